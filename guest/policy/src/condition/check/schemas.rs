//! What the schemas of the context say about a value: its members, its type, its only possible values.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

use super::Checker;
use crate::condition::functions::Type;
use crate::condition::{Fault, names};
use crate::schema::{self, Found, Kind, Spec};
use crate::text::push_member;

impl<'t> Checker<'t> {
    /// Returns what a value is, by the schemas of the context; empty if unknown.
    pub(super) fn specs(&self, expression: &IdedExpr) -> Vec<&'t Spec> {
        match &expression.expr {
            Expr::Ident(name) => match self.local(name) {
                Some(local) => local.specs.clone(),
                None if name == "context" => self.given.context.to_vec(),
                None => Vec::new(),
            },
            Expr::Select(select) if !select.test => {
                let holder = self.specs(&select.operand);
                schema::member(&holder, &select.field).unwrap_or_default().specs
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                if let Some((range, part)) = self.pair(call) {
                    return range.specs_of(part);
                }
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
                let mut path = self.written(holder).unwrap_or_default();
                push_member(&mut path, name);
                let by_host = names::by_host(name).map(|hint| format!("; {hint}"));
                let hint = by_host.filter(|_| near.is_empty()).unwrap_or(near);
                self.fault(format!("no schema of these actions declares `{path}`{hint}"));
                Found::default()
            }
        }
    }

    /// Returns the type of a member that is read, and remembers it if it may be missing.
    pub(super) fn read(&mut self, holder: &IdedExpr, name: &str) -> Type {
        let found = self.declared(holder, name);
        if found.specs.is_empty() {
            self.said(holder, name);
        }
        if found.may_be_missing
            && let Some(mut path) = self.written(holder)
        {
            push_member(&mut path, name);
            self.unguarded.push((self.at, path));
        }
        of_specs(&found.specs)
    }

    /// Warns about a member in which the agent says what the host knows.
    pub(super) fn said(&mut self, holder: &IdedExpr, name: &str) {
        let is_context =
            matches!(&holder.expr, Expr::Ident(name) if name == "context" && !self.is_local(name));
        if let Some(hint) = names::by_host(name).filter(|_| is_context) {
            let message = format!("`context.{name}` is what the agent wrote; {hint}");
            self.warnings.push(Fault { offset: self.at, message });
        }
    }

    /// Returns a path as conditions write it; `None` for other expressions.
    pub(super) fn written(&self, expression: &IdedExpr) -> Option<String> {
        match &expression.expr {
            Expr::Ident(name) => (!name.starts_with('@')).then(|| name.clone()),
            Expr::Select(select) if !select.test => {
                let mut path = self.written(&select.operand)?;
                push_member(&mut path, &select.field);
                Some(path)
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                if self.pair(call).is_some() {
                    return self.variable(expression);
                }
                let [holder, key] = call.args.as_slice() else { return None };
                let mut path = self.written(holder)?;
                match &key.expr {
                    Expr::Literal(LiteralValue::String(key)) => {
                        push_member(&mut path, key.inner());
                    }
                    Expr::Literal(LiteralValue::Int(at)) => {
                        path.push_str(&format!("[{}]", at.inner()));
                    }
                    _ => return None,
                }
                Some(path)
            }
            _ => None,
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
