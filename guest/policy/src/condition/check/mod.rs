//! Static checks of a condition: undeclared names and functions, calls with the wrong number of
//! arguments, types that never fit.
//!
//! The content of a context is unknown, so `context.x` may have any type. The check finds certain
//! mistakes; it does not prove that a condition never fails.

mod calendar;
mod compared;
mod known;
mod origin;
mod pair;
mod schemas;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue,
    SelectExpr, operators,
};

use signoff_core::facts;

use super::functions::{Type, functions, is_namespace};
use super::{Fault, Given, Places, Tables, names};
use crate::json::Node;
use crate::limits::WHEN_DEPTH_MAX;
use crate::schema::{self, Spec};
use crate::text::push_member;
use origin::Origin;
use pair::{Part, Range};
use schemas::of_specs;
use types::{not_iterated, of_literal};

/// What a check finds in a condition without certain mistakes.
pub(super) struct Checked {
    /// The facts that it reads.
    pub(super) facts: BTreeSet<&'static str>,
    /// What its author may not have meant.
    pub(super) warnings: Vec<Fault>,
}

/// Checks an expression.
///
/// # Errors
///
/// All certain mistakes.
pub(super) fn check(
    expression: &IdedExpr,
    places: &Places<'_>,
    tables: &Tables,
    given: Given<'_>,
) -> Result<Checked, Vec<Fault>> {
    let mut checker = Checker {
        places,
        tables,
        given,
        locals: Vec::new(),
        facts: BTreeSet::new(),
        faults: Vec::new(),
        tested: BTreeSet::new(),
        unguarded: Vec::new(),
        warnings: Vec::new(),
        types: BTreeMap::new(),
        at: 0,
        depth: 0,
    };
    let gives = checker.infer(expression);
    if checker.faults.is_empty() && !gives.may_be(Type::Bool) {
        checker.at = 0;
        checker.fault(format!(
            "the condition gives a value of type {}, expected a bool",
            gives.name()
        ));
    }
    if !checker.faults.is_empty() {
        return Err(checker.faults);
    }
    let tested = checker.tested;
    let unguarded = checker.unguarded.into_iter().filter(|(_, path)| !tested.contains(path));
    let missing = unguarded.map(|(offset, path)| Fault { offset, message: missing(&path) });
    let mut warnings = checker.warnings;
    warnings.extend(missing);
    Ok(Checked { facts: checker.facts, warnings })
}

fn missing(path: &str) -> String {
    match path.strip_prefix("facts.").filter(|fact| facts::is_of_claims(fact)) {
        Some(_) => format!(
            "`{path}` exists only at a claim, and the condition fails before: test `has({path})` first"
        ),
        None => format!(
            "`{path}` may be missing, and the condition then fails: test `has({path})` first, or read it with `.?` and `orValue`"
        ),
    }
}

/// A variable that a macro declares.
struct Local<'s> {
    name: String,
    kind: Type,
    /// What it is, by the schemas; empty if unknown.
    specs: Vec<&'s Spec>,
    /// What else is known of it.
    origin: Origin,
    /// What it takes the pairs of, for the variable behind a macro with two.
    pairs: Option<Range<'s>>,
}

struct Checker<'t> {
    places: &'t Places<'t>,
    tables: &'t Tables,
    given: Given<'t>,
    /// Innermost last.
    locals: Vec<Local<'t>>,
    facts: BTreeSet<&'static str>,
    faults: Vec<Fault>,
    /// The members that `has` tests, as conditions write them.
    tested: BTreeSet<String>,
    /// The members that are read although a schema says that they may be missing.
    unguarded: Vec<(usize, String)>,
    warnings: Vec<Fault>,
    /// The type of each node that is inferred.
    types: BTreeMap<u64, Type>,
    /// Offset of the innermost node that has a position.
    at: usize,
    depth: usize,
}

impl<'t> Checker<'t> {
    fn fault(&mut self, message: String) {
        self.faults.push(Fault { offset: self.at, message });
    }

    fn infer(&mut self, expression: &IdedExpr) -> Type {
        // A macro expands one call to a few levels.
        if self.depth > 4 * WHEN_DEPTH_MAX {
            if self.faults.is_empty() {
                self.fault("the expression is too deep".to_owned());
            }
            return Type::Dyn;
        }
        let outer = self.at;
        self.at = self.places.offset(expression.id).unwrap_or(outer);
        self.depth += 1;
        let gives = self.node(&expression.expr);
        self.depth -= 1;
        self.at = outer;
        self.types.insert(expression.id, gives);
        gives
    }

    fn node(&mut self, expression: &Expr) -> Type {
        match expression {
            Expr::Literal(literal) => of_literal(literal),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                for element in &list.elements {
                    self.infer(element);
                }
                Type::List
            }
            Expr::Map(map) => {
                self.entries(&map.entries);
                Type::Map
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(message) => {
                self.fault(format!(
                    "`{}` is not a type that a condition can create",
                    message.type_name
                ));
                Type::Dyn
            }
            Expr::Unspecified => {
                self.fault("an expression is missing".to_owned());
                Type::Dyn
            }
        }
    }

    fn entries(&mut self, entries: &[IdedEntryExpr]) {
        for entry in entries {
            match &entry.expr {
                EntryExpr::StructField(field) => {
                    self.infer(&field.value);
                }
                EntryExpr::MapEntry(entry) => {
                    let key = self.infer(&entry.key);
                    let keys =
                        [Type::Dyn, Type::Bool, Type::Int, Type::Number, Type::Uint, Type::String];
                    if !keys.contains(&key) {
                        self.fault(format!("a value of type {} cannot be a map key", key.name()));
                    }
                    self.infer(&entry.value);
                }
            }
        }
    }

    fn name(&mut self, name: &str) -> Type {
        if let Some(local) = self.local(name) {
            return local.kind;
        }
        if name.starts_with('@') {
            return match self.tables.value(name) {
                Some(Node::List(_)) => Type::List,
                Some(Node::Object(_)) => Type::Map,
                Some(Node::Text(_)) => Type::String,
                _ => Type::Dyn,
            };
        }
        match name {
            "agent" | "action" => Type::String,
            "context" => Type::Map,
            "plan" => Type::Dyn,
            "now" => Type::Timestamp,
            "facts" => {
                self.fault(format!(
                    "a fact is read by its name, as `facts.requester`; the known facts are {}",
                    facts::NAMES.join(", ")
                ));
                Type::Dyn
            }
            "bool" | "bytes" | "double" | "int" | "list" | "map" | "null_type"
            | "optional_type" | "string" | "type" | "uint" => Type::Type,
            _ => {
                let locals = self.locals.iter().map(|local| local.name.as_str());
                let message = names::undeclared(name, locals, self.given);
                self.fault(message);
                Type::Dyn
            }
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Type {
        let whole = |operand: &IdedExpr| match &operand.expr {
            Expr::Select(inner) => {
                matches!(&inner.operand.expr, Expr::Ident(name) if name == "google")
                    && inner.field == "protobuf"
            }
            _ => false,
        };
        if whole(&select.operand) && matches!(select.field.as_str(), "Timestamp" | "Duration") {
            return Type::Type;
        }
        if self.is_facts(&select.operand) {
            let gives = self.fact(&select.field);
            if select.test {
                self.tested.insert(format!("facts.{}", select.field));
                return Type::Bool;
            }
            self.claimed(&select.field);
            return gives;
        }
        let operand = self.infer(&select.operand);
        match operand {
            Type::Optional if !select.test => return Type::Optional,
            Type::Dyn | Type::Map | Type::Optional => {}
            other => {
                let hint = match &select.operand.expr {
                    Expr::Call(call) => self.pair(call).filter(|(_, part)| *part == Part::Key),
                    _ => None,
                };
                let hint = hint.map(|(range, _)| range.order().to_owned());
                let hint = hint.unwrap_or_else(|| names::member_hint(other, &select.field));
                self.fault(format!(
                    "a value of type {} has no member `{}`{hint}",
                    other.name(),
                    select.field
                ));
                return if select.test { Type::Bool } else { Type::Dyn };
            }
        }
        if !select.test {
            return self.read(&select.operand, &select.field);
        }
        self.declared(&select.operand, &select.field);
        if let Some(mut path) = self.written(&select.operand) {
            push_member(&mut path, &select.field);
            self.tested.insert(path);
        }
        Type::Bool
    }

    /// Returns whether an expression is the facts as a whole.
    fn is_facts(&self, expression: &IdedExpr) -> bool {
        matches!(&expression.expr, Expr::Ident(name) if name == "facts" && !self.is_local(name))
    }

    /// Records that a fact is read.
    fn fact(&mut self, name: &str) -> Type {
        match facts::named(name) {
            Ok(fact) => {
                self.facts.insert(fact);
                Type::String
            }
            Err(message) => {
                self.fault(message);
                Type::Dyn
            }
        }
    }

    /// Remembers a fact that is read and may be missing.
    fn claimed(&mut self, name: &str) {
        if facts::is_of_claims(name) {
            self.unguarded.push((self.at, format!("facts.{name}")));
        }
    }

    /// Returns the type of `facts["x"]`, `facts.?x` and `facts[?"x"]`; `None` for other calls.
    fn indexed_fact(&mut self, call: &CallExpr) -> Option<Type> {
        let operator = call.func_name.as_str();
        let [target, name] = call.args.as_slice() else { return None };
        let Expr::Literal(LiteralValue::String(name)) = &name.expr else { return None };
        if !self.is_facts(target) {
            return None;
        }
        match operator {
            operators::INDEX => {
                self.claimed(name.inner());
                Some(self.fact(name.inner()))
            }
            operators::OPT_INDEX | operators::OPT_SELECT => {
                self.fact(name.inner());
                Some(Type::Optional)
            }
            _ => None,
        }
    }

    fn comprehension(&mut self, it: &ComprehensionExpr) -> Type {
        let range = self.infer(&it.iter_range);
        if ![Type::Dyn, Type::List, Type::Map].contains(&range) {
            self.fault(not_iterated(range));
        }
        let start = self.infer(&it.accu_init);
        let outer = self.locals.len();
        let bound = self.specs(&it.accu_init);
        let origin = self.origin(&it.accu_init);
        let pairs = self.paired(&it.iter_range);
        let visited = self.range(&it.iter_range);
        let (items, item) = match range {
            Type::Map => (Vec::new(), visited.key()),
            _ => {
                let items = visited.specs_of(Part::Value);
                let item = of_specs(&items);
                (items, item)
            }
        };
        // The parts of a text in lower case are in lower case.
        let visited = Origin { part: None, ..self.origin(&it.iter_range) };
        let (accumulator, variable) = (it.accu_var.clone(), it.iter_var.clone());
        self.locals.push(Local {
            name: accumulator,
            kind: start,
            specs: bound,
            origin,
            pairs: None,
        });
        self.locals.push(Local {
            name: variable,
            kind: item,
            specs: items,
            origin: visited,
            pairs,
        });
        self.infer(&it.loop_cond);
        self.infer(&it.loop_step);
        self.locals.truncate(outer + 1);
        let gives = self.infer(&it.result);
        self.locals.truncate(outer);
        gives
    }

    fn call(&mut self, call: &CallExpr) -> Type {
        if let Some(gives) = self.indexed_fact(call) {
            return gives;
        }
        if let Some((range, part)) = self.pair(call) {
            return match part {
                Part::Key => range.key(),
                Part::Value => of_specs(&range.specs_of(part)),
            };
        }
        if let Some(namespace) = self.namespace(call) {
            let name = format!("{namespace}.{}", call.func_name);
            if !is_function(&name) {
                return self.unknown(&name, false, call);
            }
            let takes: Vec<Type> = call.args.iter().map(|arg| self.infer(arg)).collect();
            return self.function(&name, false, &takes);
        }
        let target = call.target.as_ref().map(|target| self.infer(target));
        let mut takes: Vec<Type> = target.into_iter().collect();
        let method = !takes.is_empty();
        if is_name(&call.func_name) && !is_function(&call.func_name) {
            return self.unknown(&call.func_name, method, call);
        }
        takes.extend(call.args.iter().map(|arg| self.infer(arg)));
        if !method {
            if let Some(gives) = self.member_of_call(call, &takes) {
                return gives;
            }
            let faults = self.faults.len();
            if let Some(gives) = self.operator(&call.func_name, &takes) {
                if self.faults.len() > faults {
                    self.explain(call);
                } else {
                    self.compared(call);
                }
                return gives;
            }
        }
        self.searched(call);
        self.function(&call.func_name, method, &takes)
    }

    /// Refuses an unknown function, or a macro in the wrong form. Its arguments are not checked: they may
    /// read variables that it would declare.
    fn unknown(&mut self, name: &str, method: bool, call: &CallExpr) -> Type {
        self.fault(names::no_function(name, method, call.args.len()));
        Type::Dyn
    }

    /// Returns the type of `context["x"]`, `context.?x`, `context[?"x"]` and `context.list[0]`; `None` for
    /// other calls and for values of which nothing is known.
    fn member_of_call(&mut self, call: &CallExpr, takes: &[Type]) -> Option<Type> {
        let ([holder, key], [target, _]) = (call.args.as_slice(), takes) else { return None };
        let is_plain = call.func_name == operators::INDEX;
        let is_optional =
            [operators::OPT_INDEX, operators::OPT_SELECT].contains(&call.func_name.as_str());
        if !is_plain && !is_optional || !matches!(target, Type::Dyn | Type::Map | Type::List) {
            return None;
        }
        let specs = self.specs(holder);
        match &key.expr {
            Expr::Literal(LiteralValue::String(name)) if specs.is_empty() => {
                self.said(holder, name.inner());
                None
            }
            _ if specs.is_empty() => None,
            Expr::Literal(LiteralValue::String(name)) if is_plain => {
                Some(self.read(holder, name.inner()))
            }
            Expr::Literal(LiteralValue::String(name)) => {
                self.declared(holder, name.inner());
                Some(Type::Optional)
            }
            Expr::Literal(LiteralValue::Int(_)) if is_plain && *target == Type::List => {
                Some(of_specs(&schema::item(&specs)))
            }
            _ => None,
        }
    }

    /// Returns the namespace of a call like `math.abs(x)`.
    fn namespace<'e>(&self, call: &'e CallExpr) -> Option<&'e str> {
        match &call.target.as_ref()?.expr {
            Expr::Ident(name) if is_namespace(name) && !self.is_local(name) => Some(name),
            _ => None,
        }
    }

    fn local(&self, name: &str) -> Option<&Local<'t>> {
        self.locals.iter().rev().find(|local| local.name == name)
    }

    fn is_local(&self, name: &str) -> bool {
        self.local(name).is_some()
    }
}

fn is_function(name: &str) -> bool {
    functions().iter().any(|function| function.name == name)
}

/// Returns whether a call has a name, and is not an operator or a function behind a macro.
fn is_name(name: &str) -> bool {
    name.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.'))
}
