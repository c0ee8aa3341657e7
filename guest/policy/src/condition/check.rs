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
use super::names;
use super::pairs::PAIRS;
use super::{Fault, Given, Places, Tables};
use crate::json::Node;
use crate::limits::WHEN_DEPTH_MAX;
use crate::schema::{self, Found, Kind, Spec};
use crate::text::push_member;

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
    let warnings = unguarded.map(|(offset, path)| Fault {
        offset,
        message: format!(
            "`{path}` may be missing, and the condition then fails: test `has({path})` first, or read it with `.?` and `orValue`"
        ),
    });
    Ok(Checked { facts: checker.facts, warnings: warnings.collect() })
}

/// A variable that a macro declares.
struct Local<'s> {
    name: String,
    kind: Type,
    /// What it is, by the schemas; empty if unknown.
    specs: Vec<&'s Spec>,
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
        if let Some(local) = self.locals.iter().rev().find(|local| local.name == name) {
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

    /// Returns what a value is, by the schemas of the context; empty if unknown.
    fn specs(&self, expression: &IdedExpr) -> Vec<&'t Spec> {
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
    fn declared(&mut self, holder: &IdedExpr, name: &str) -> Found<'t> {
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
    fn read(&mut self, holder: &IdedExpr, name: &str) -> Type {
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
    fn compared(&mut self, call: &CallExpr) {
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
                return if select.test { Type::Bool } else { Type::Dyn };
            }
        }
        if !select.test {
            return self.read(&select.operand, &select.field);
        }
        self.declared(&select.operand, &select.field);
        if let Some(mut path) = written(&select.operand) {
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
            self.fault(not_iterated(range));
        }
        let start = self.infer(&it.accu_init);
        let outer = self.locals.len();
        let bound = self.specs(&it.accu_init);
        let items =
            if range == Type::Map { Vec::new() } else { schema::item(&self.specs(&it.iter_range)) };
        let item = if range == Type::Map { Type::Dyn } else { of_specs(&items) };
        self.locals.push(Local { name: it.accu_var.clone(), kind: start, specs: bound });
        self.locals.push(Local { name: it.iter_var.clone(), kind: item, specs: items });
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
        if !method {
            if let Some(gives) = self.member_of_call(call, &takes) {
                return gives;
            }
            if let Some(gives) = self.operator(&call.func_name, &takes) {
                if [operators::EQUALS, operators::NOT_EQUALS].contains(&call.func_name.as_str()) {
                    self.compared(call);
                }
                return gives;
            }
        }
        self.function(&call.func_name, method, &takes)
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

    fn is_local(&self, name: &str) -> bool {
        self.locals.iter().any(|local| local.name == name)
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
                if ![Type::Dyn, Type::Int, Type::Double, Type::Number].contains(one) {
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
            let over = takes.first().copied().unwrap_or(Type::Dyn);
            if name == PAIRS && ![Type::Dyn, Type::List, Type::Map].contains(&over) {
                self.fault(not_iterated(over));
            }
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
            names::no_function(name, method, given.len())
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
    if left == Type::Number || right == Type::Number {
        let other = if left == Type::Number { right } else { left };
        let fits = match other {
            Type::Dyn | Type::Number | Type::Int => true,
            Type::Double => sign != "%",
            _ => false,
        };
        return (fits, other);
    }
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

/// Returns the type of values with one of these specs.
fn of_specs(specs: &[&Spec]) -> Type {
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
fn written(expression: &IdedExpr) -> Option<String> {
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
    let equals =
        |other: &dyn cel::common::value::Val| super::equal(value.val(), other).unwrap_or(false);
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

fn not_iterated(kind: Type) -> String {
    format!("a macro iterates over a list or a map, got a value of type {}", kind.name())
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
