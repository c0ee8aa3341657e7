//! What the schemas of the context say about a value: its members, its type, its only possible values.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::Checker;
use crate::condition::equal;
use crate::condition::functions::Type;
use crate::json::Node;
use crate::schema::{self, Found, Kind, Spec};
use crate::text::push_member;

impl<'t> Checker<'t> {
    /// Returns what a value is, by the schemas of the context; empty if unknown.
    pub(super) fn specs(&self, expression: &IdedExpr) -> Vec<&'t Spec> {
        match &expression.expr {
            Expr::Ident(name) => match self.locals.iter().rev().find(|local| local.name == *name) {
                Some(local) => local.specs.clone(),
                None if name == "context" => self.given.context.to_vec(),
                None => Vec::new(),
            },
            Expr::Select(select) if !select.test => {
                let holder = self.specs(&select.operand);
                schema::member(&holder, &select.field).unwrap_or_default().specs
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [holder, key] = call.args.as_slice() else { return Vec::new() };
                let holder = self.specs(holder);
                match &key.expr {
                    Expr::Literal(LiteralValue::String(key)) => {
                        schema::member(&holder, key.inner()).unwrap_or_default().specs
                    }
                    _ => schema::item(&holder),
                }
            }
            _ => Vec::new(),
        }
    }

    /// Looks a member up in the schemas, and refuses one that no schema declares.
    pub(super) fn declared(&mut self, holder: &IdedExpr, name: &str) -> Found<'t> {
        let specs = self.specs(holder);
        match schema::member(&specs, name) {
            Ok(found) => found,
            Err(near) => {
                let mut path = written(holder).unwrap_or_default();
                push_member(&mut path, name);
                self.fault(format!("no schema of these actions declares `{path}`{near}"));
                Found::default()
            }
        }
    }

    /// Returns the type of a member that is read, and remembers it if it may be missing.
    pub(super) fn read(&mut self, holder: &IdedExpr, name: &str) -> Type {
        let found = self.declared(holder, name);
        if found.may_be_missing
            && let Some(mut path) = written(holder)
        {
            push_member(&mut path, name);
            self.unguarded.push((self.at, path));
        }
        of_specs(&found.specs)
    }

    /// Refuses a comparison with a value that a schema excludes.
    pub(super) fn compared(&mut self, call: &CallExpr) {
        let [left, right] = call.args.as_slice() else { return };
        for (one, other) in [(left, right), (right, left)] {
            let Expr::Literal(literal) = &other.expr else { continue };
            let specs = self.specs(one);
            let excludes = |spec: &&&Spec| {
                let is_possible = |one: &Node<'static>| is_literal(one, literal);
                let is_null = spec.is_nullable && matches!(literal, LiteralValue::Null);
                !(spec.one_of.is_empty() || spec.one_of.iter().any(is_possible) || is_null)
            };
            if let Some(spec) =
                specs.iter().find(excludes).filter(|_| specs.iter().all(|spec| excludes(&spec)))
            {
                let path = written(one).unwrap_or_else(|| "the value".to_owned());
                self.fault(format!(
                    "`{path}` is one of {}, so it never equals this value",
                    spec.choices()
                ));
            }
        }
    }
}

/// Returns the type of values with one of these specs.
pub(super) fn of_specs(specs: &[&Spec]) -> Type {
    let kind = |spec: &&Spec| match &spec.kind {
        _ if spec.is_nullable => Type::Dyn,
        Kind::Any => Type::Dyn,
        Kind::Bool => Type::Bool,
        Kind::Int => Type::Int,
        Kind::Number => Type::Number,
        Kind::String => Type::String,
        Kind::List(_) => Type::List,
        Kind::Table(_) => Type::Map,
    };
    let mut kinds = specs.iter().map(kind);
    let first = kinds.next().unwrap_or(Type::Dyn);
    if kinds.all(|kind| kind == first) { first } else { Type::Dyn }
}

/// Returns a path as conditions write it; `None` for other expressions.
pub(super) fn written(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => (!name.starts_with('@')).then(|| name.clone()),
        Expr::Select(select) if !select.test => {
            let mut path = written(&select.operand)?;
            push_member(&mut path, &select.field);
            Some(path)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [holder, key] = call.args.as_slice() else { return None };
            let mut path = written(holder)?;
            match &key.expr {
                Expr::Literal(LiteralValue::String(key)) => push_member(&mut path, key.inner()),
                Expr::Literal(LiteralValue::Int(at)) => path.push_str(&format!("[{}]", at.inner())),
                _ => return None,
            }
            Some(path)
        }
        _ => None,
    }
}

/// Returns whether a value equals a literal.
fn is_literal(value: &Node<'static>, literal: &LiteralValue) -> bool {
    let equals = |other: &dyn cel::common::value::Val| equal(value.val(), other).unwrap_or(false);
    match literal {
        LiteralValue::Boolean(bool) => equals(bool),
        LiteralValue::Bytes(bytes) => equals(bytes),
        LiteralValue::Double(double) => equals(double),
        LiteralValue::Int(int) => equals(int),
        LiteralValue::Null => matches!(value, Node::Null(_)),
        LiteralValue::String(text) => equals(text),
        LiteralValue::UInt(uint) => equals(uint),
    }
}
