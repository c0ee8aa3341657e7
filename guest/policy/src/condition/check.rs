//! Static checks of a condition: undeclared names and functions, calls with the wrong number of
//! arguments, types that never fit.
//!
//! The content of a context is unknown, so `context.x` may have any type. The check finds certain
//! mistakes; it does not prove that a condition never fails.

use std::collections::BTreeSet;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue,
    SelectExpr, operators,
};

use signoff_core::facts;

use super::functions::{Function, Type, functions, is_namespace};
use super::{Fault, Places};
use crate::limits::WHEN_DEPTH_MAX;

/// Checks an expression. Returns the names of the facts that it reads.
///
/// # Errors
///
/// All certain mistakes.
pub(super) fn check(
    expression: &IdedExpr,
    places: &Places<'_>,
) -> Result<BTreeSet<&'static str>, Vec<Fault>> {
    let mut checker = Checker {
        places,
        locals: Vec::new(),
        facts: BTreeSet::new(),
        faults: Vec::new(),
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
    if checker.faults.is_empty() { Ok(checker.facts) } else { Err(checker.faults) }
}

struct Checker<'t> {
    places: &'t Places<'t>,
    /// Variables that macros declare, innermost last.
    locals: Vec<(String, Type)>,
    facts: BTreeSet<&'static str>,
    faults: Vec<Fault>,
    /// Offset of the innermost node that has a position.
    at: usize,
    depth: usize,
}

impl Checker<'_> {
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
                    let keys = [Type::Dyn, Type::Bool, Type::Int, Type::Uint, Type::String];
                    if !keys.contains(&key) {
                        self.fault(format!("a value of type {} cannot be a map key", key.name()));
                    }
                    self.infer(&entry.value);
                }
            }
        }
    }

    fn name(&mut self, name: &str) -> Type {
        if let Some((_, local)) = self.locals.iter().rev().find(|(local, _)| local == name) {
            return *local;
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
            dotted if dotted.starts_with('.') => {
                self.fault(format!("`{dotted}` begins with a dot: names are written without it"));
                Type::Dyn
            }
            _ => {
                self.fault(format!(
                    "`{name}` is not declared, expected agent, action, context, plan, facts or now (did you mean `context.{name}`?)"
                ));
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
            return if select.test { Type::Bool } else { gives };
        }
        let operand = self.infer(&select.operand);
        match operand {
            Type::Optional if !select.test => return Type::Optional,
            Type::Dyn | Type::Map | Type::Optional => {}
            other => {
                self.fault(format!(
                    "a value of type {} has no member `{}`",
                    other.name(),
                    select.field
                ));
            }
        }
        if select.test { Type::Bool } else { Type::Dyn }
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

    /// Returns the type of `facts["x"]`, `facts.?x` and `facts[?"x"]`; `None` for other calls.
    fn indexed_fact(&mut self, call: &CallExpr) -> Option<Type> {
        let operator = call.func_name.as_str();
        let [target, name] = call.args.as_slice() else { return None };
        let Expr::Literal(LiteralValue::String(name)) = &name.expr else { return None };
        if !self.is_facts(target) {
            return None;
        }
        match operator {
            operators::INDEX => Some(self.fact(name.inner())),
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
            self.fault(format!(
                "a macro iterates over a list or a map, got a value of type {}",
                range.name()
            ));
        }
        let start = self.infer(&it.accu_init);
        let outer = self.locals.len();
        self.locals.push((it.accu_var.clone(), start));
        self.locals.push((it.iter_var.clone(), Type::Dyn));
        if let Some(second) = &it.iter_var2 {
            self.locals.push((second.clone(), Type::Dyn));
        }
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
        if let Some(namespace) = self.namespace(call) {
            let name = format!("{namespace}.{}", call.func_name);
            let takes: Vec<Type> = call.args.iter().map(|arg| self.infer(arg)).collect();
            return self.function(&name, false, &takes);
        }
        let target = call.target.as_ref().map(|target| self.infer(target));
        let mut takes: Vec<Type> = target.into_iter().collect();
        let method = !takes.is_empty();
        takes.extend(call.args.iter().map(|arg| self.infer(arg)));
        if !method && let Some(gives) = self.operator(&call.func_name, &takes) {
            return gives;
        }
        self.function(&call.func_name, method, &takes)
    }

    /// Returns the namespace of a call like `math.abs(x)`.
    fn namespace<'e>(&self, call: &'e CallExpr) -> Option<&'e str> {
        match &call.target.as_ref()?.expr {
            Expr::Ident(name) if is_namespace(name) && !self.is_local(name) => Some(name),
            _ => None,
        }
    }

    fn is_local(&self, name: &str) -> bool {
        self.locals.iter().any(|(local, _)| local == name)
    }

    fn operator(&mut self, name: &str, takes: &[Type]) -> Option<Type> {
        let sign = match name {
            operators::CONDITIONAL => {
                let [condition, yes, no] = takes else { return None };
                self.bools("? :", &[*condition]);
                return Some(if yes == no { *yes } else { Type::Dyn });
            }
            operators::NOT_STRICTLY_FALSE => return Some(Type::Bool),
            operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT => {
                let [target, key] = takes else { return None };
                return Some(self.index(name, *target, *key));
            }
            operators::NEGATE => {
                let [one] = takes else { return None };
                if ![Type::Dyn, Type::Int, Type::Double].contains(one) {
                    self.fault(format!(
                        "`-` takes an int or a double, got a value of type {}",
                        one.name()
                    ));
                }
                return Some(*one);
            }
            operators::LOGICAL_NOT => "!",
            operators::LOGICAL_AND => "&&",
            operators::LOGICAL_OR => "||",
            operators::EQUALS => "==",
            operators::NOT_EQUALS => "!=",
            operators::LESS => "<",
            operators::LESS_EQUALS => "<=",
            operators::GREATER => ">",
            operators::GREATER_EQUALS => ">=",
            operators::IN => "in",
            operators::ADD => "+",
            operators::SUBSTRACT => "-",
            operators::MULTIPLY => "*",
            operators::DIVIDE => "/",
            operators::MODULO => "%",
            _ => return None,
        };
        if matches!(sign, "!" | "&&" | "||") {
            self.bools(sign, takes);
            return Some(Type::Bool);
        }
        let [left, right] = takes else { return None };
        Some(self.binary(sign, *left, *right))
    }

    fn bools(&mut self, sign: &str, takes: &[Type]) {
        if let Some(other) = takes.iter().find(|one| !one.may_be(Type::Bool)) {
            self.fault(format!("`{sign}` takes a bool, got a value of type {}", other.name()));
        }
    }

    fn index(&mut self, name: &str, target: Type, key: Type) -> Type {
        let fits = match target {
            Type::List => key == Type::Dyn || key.is_number(),
            Type::Map => matches!(key, Type::Dyn | Type::Bool | Type::String) || key.is_number(),
            Type::Dyn | Type::Optional => true,
            _ => false,
        };
        if !fits {
            self.fault(format!(
                "a value of type {} cannot be indexed with one of type {}",
                target.name(),
                key.name()
            ));
        }
        let optional = name != operators::INDEX || target == Type::Optional;
        if optional { Type::Optional } else { Type::Dyn }
    }

    fn binary(&mut self, sign: &str, left: Type, right: Type) -> Type {
        let loose = left == Type::Dyn || right == Type::Dyn;
        let same = left == right;
        let numbers = left.is_number() && right.is_number();
        let (fits, gives) = match sign {
            "==" | "!=" => (loose || same || numbers, Type::Bool),
            "in" => (matches!(right, Type::Dyn | Type::List | Type::Map), Type::Bool),
            "<" | "<=" | ">" | ">=" => {
                let unordered = [Type::List, Type::Map, Type::Null, Type::Type, Type::Optional];
                let ordered = !unordered.contains(&left) && !unordered.contains(&right);
                (ordered && (loose || same || numbers), Type::Bool)
            }
            _ => arithmetic(sign, left, right),
        };
        if !fits {
            self.fault(format!(
                "`{sign}` does not take a value of type {} and one of type {}",
                left.name(),
                right.name()
            ));
        }
        gives
    }

    fn function(&mut self, name: &str, method: bool, takes: &[Type]) -> Type {
        // Macros call functions whose names are not valid in a text.
        if name.contains('@') {
            return Type::Dyn;
        }
        let named: Vec<&Function> = functions().iter().filter(|one| one.name == name).collect();
        let kind: Vec<&&Function> = named.iter().filter(|one| one.method == method).collect();
        let counted: Vec<&&&Function> =
            kind.iter().filter(|one| one.takes.len() == takes.len()).collect();
        let mut fitting = counted
            .iter()
            .filter(|one| one.takes.iter().zip(takes).all(|(wants, given)| wants.may_be(*given)));
        if let Some(first) = fitting.next() {
            let one = fitting.all(|other| other.gives == first.gives);
            return if one { first.gives } else { Type::Dyn };
        }
        let given = takes.get(usize::from(method)..).unwrap_or_default();
        self.fault(if named.is_empty() {
            format!("there is no function `{name}`")
        } else if kind.is_empty() {
            let how = if method { format!("{name}(x)") } else { format!("x.{name}()") };
            format!("`{name}` is called as `{how}`")
        } else if counted.is_empty() {
            format!("`{name}` does not take {}", arguments(given.len()))
        } else {
            let types: Vec<&str> = takes.iter().map(|one| one.name()).collect();
            format!("`{name}` does not take values of types {}", types.join(", "))
        });
        Type::Dyn
    }
}

fn arguments(count: usize) -> String {
    match count {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        count => format!("{count} arguments"),
    }
}

/// Returns whether arithmetic accepts two types, and its result type.
fn arithmetic(sign: &str, left: Type, right: Type) -> (bool, Type) {
    let known = if left == Type::Dyn { right } else { left };
    let loose = left == Type::Dyn || right == Type::Dyn;
    let alone = match sign {
        "+" => matches!(
            known,
            Type::Int
                | Type::Uint
                | Type::Double
                | Type::String
                | Type::Bytes
                | Type::List
                | Type::Timestamp
                | Type::Duration
                | Type::Dyn
        ),
        "-" => known.is_number() || matches!(known, Type::Timestamp | Type::Duration | Type::Dyn),
        "%" => matches!(known, Type::Int | Type::Uint | Type::Dyn),
        _ => known.is_number() || known == Type::Dyn,
    };
    if loose {
        return (alone, Type::Dyn);
    }
    match (sign, left, right) {
        ("+", Type::Timestamp, Type::Duration)
        | ("+", Type::Duration, Type::Timestamp)
        | ("-", Type::Timestamp, Type::Duration) => (true, Type::Timestamp),
        ("-", Type::Timestamp, Type::Timestamp) => (true, Type::Duration),
        ("+", Type::Timestamp, Type::Timestamp) => (false, Type::Dyn),
        _ => (alone && left == right, left),
    }
}

fn of_literal(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}
