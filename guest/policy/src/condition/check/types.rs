//! The types that operators and functions take and give.

use cel::common::ast::{LiteralValue, operators};

use super::Checker;
use crate::condition::functions::{Function, Type, functions};
use crate::condition::pairs::PAIRS;

impl Checker<'_> {
    pub(super) fn operator(&mut self, name: &str, takes: &[Type]) -> Option<Type> {
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

    pub(super) fn function(&mut self, name: &str, method: bool, takes: &[Type]) -> Type {
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
        self.fault(if kind.is_empty() {
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

pub(super) fn not_iterated(kind: Type) -> String {
    format!("a macro iterates over a list or a map, got a value of type {}", kind.name())
}

pub(super) fn of_literal(literal: &LiteralValue) -> Type {
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
