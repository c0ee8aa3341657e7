//! Comparisons whose result is always the same, and what their author meant.

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators};

use super::Checker;
use super::known::{Known, items};
use super::origin::Origin;
use crate::condition::Fault;
use crate::condition::functions::Type;
use crate::schema::Spec;

/// Functions that look for their argument in a text.
const SEARCHES: [&str; 5] = ["contains", "endsWith", "indexOf", "lastIndexOf", "startsWith"];
const ORDERS: [&str; 4] =
    [operators::LESS, operators::LESS_EQUALS, operators::GREATER, operators::GREATER_EQUALS];

impl<'t> Checker<'t> {
    /// Refuses a comparison with a known value that never changes its result.
    pub(super) fn compared(&mut self, call: &CallExpr) {
        let [left, right] = call.args.as_slice() else { return };
        let operator = call.func_name.as_str();
        let tables = self.tables;
        match operator {
            operators::IN => {
                let listed = items(right, tables);
                self.looked_up(left, right, &listed);
                self.each(left, operator, &listed);
                if let (Some(known), Expr::List(list)) = (Known::of(left, tables), &right.expr) {
                    for item in &list.elements {
                        self.each(item, operators::EQUALS, &[(known, left)]);
                    }
                }
            }
            operators::EQUALS | operators::NOT_EQUALS => {
                for (one, other) in [(left, right), (right, left)] {
                    if let Some(known) = Known::of(other, tables) {
                        self.each(one, operator, &[(known, other)]);
                    }
                }
            }
            _ if ORDERS.contains(&operator) => {
                if let Some(known) = Known::of(right, tables) {
                    self.each(left, operator, &[(known, right)]);
                } else if let Some(known) = Known::of(left, tables) {
                    self.each(right, flipped(operator), &[(known, left)]);
                }
            }
            _ => {}
        }
    }

    /// Refuses a search for a text that is never found.
    pub(super) fn searched(&mut self, call: &CallExpr) {
        let (Some(target), Some(text)) = (&call.target, call.args.first()) else { return };
        if call.func_name == "matches" {
            let pattern = Known::of(text, self.tables).and_then(|text| text.text());
            if pattern.is_some_and(|pattern| pattern.contains('\u{8}')) {
                let message = "`\\b` in a CEL string is a backspace: write `r\"…\"`, in which it is the end of a word".to_owned();
                self.warnings.push(Fault { offset: self.at, message });
            }
        }
        if !SEARCHES.contains(&call.func_name.as_str()) {
            return;
        }
        let (Some(case), Some(text)) =
            (self.origin(target).case, Known::of(text, self.tables).and_then(|text| text.text()))
        else {
            return;
        };
        if let Some(message) = case.never(text) {
            self.fault(message);
        }
    }

    /// Completes the message for an operator that does not take the types of its arguments.
    pub(super) fn explain(&mut self, call: &CallExpr) {
        let ([left, _], Some(fault)) = (call.args.as_slice(), self.faults.last_mut()) else {
            return;
        };
        let is_order = ORDERS.contains(&call.func_name.as_str());
        if is_call_of(left, &[operators::LOGICAL_NOT]) {
            fault.message.push_str(not_first(&call.func_name));
        } else if is_order && is_call_of(left, &ORDERS) {
            fault.message.push_str("; a range is written `a < x && x < b`");
        }
    }

    fn each(&mut self, one: &IdedExpr, operator: &str, values: &[(Known<'_>, &IdedExpr)]) {
        let specs = self.specs(one);
        let origin = self.origin(one);
        for (value, place) in values {
            if let Some(message) = self.never(one, &specs, origin, operator, value) {
                let offset = if operator == operators::IN {
                    self.places.offset(place.id).unwrap_or(self.at)
                } else {
                    self.at
                };
                self.faults.push(Fault { offset, message });
                // A named list has one place for all its items.
                if !matches!(&place.expr, Expr::Literal(_)) {
                    return;
                }
            }
        }
    }

    /// Returns why a comparison with a value always has the same result; `None` if it has not.
    fn never(
        &self,
        one: &IdedExpr,
        specs: &[&'t Spec],
        origin: Origin,
        operator: &str,
        value: &Known<'_>,
    ) -> Option<String> {
        if let (Some(part), Some(number)) = (origin.part, value.number()) {
            return part.never(operator, number);
        }
        if ORDERS.contains(&operator) {
            return None;
        }
        if let (Some(case), Some(text)) = (origin.case, value.text()) {
            return case.never(text);
        }
        let excludes = |spec: &&&Spec| {
            let is_null = spec.is_nullable && value.is_null();
            !(spec.one_of.is_empty() || spec.one_of.iter().any(|one| value.equals(one)) || is_null)
        };
        let spec = specs.iter().find(excludes)?;
        if !specs.iter().all(|spec| excludes(&spec)) {
            return None;
        }
        let path = self.written(one).unwrap_or_else(|| "the value".to_owned());
        Some(format!("`{path}` is one of {}, so it never equals this value", spec.choices()))
    }

    /// Refuses to look for a value in a list that has only values of other types.
    fn looked_up(&mut self, left: &IdedExpr, right: &IdedExpr, listed: &[(Known<'_>, &IdedExpr)]) {
        let kind = self.types.get(&left.id).copied().unwrap_or(Type::Dyn);
        let is_negated = is_call_of(left, &[operators::LOGICAL_NOT]);
        let is_whole = match &right.expr {
            Expr::List(list) => list.elements.len() == listed.len(),
            Expr::Map(_) => false,
            _ => true,
        };
        if listed.is_empty() || !is_whole {
            if is_negated {
                let message = format!("`in` gets a bool here{}", not_first(operators::IN));
                self.warnings.push(Fault { offset: self.at, message });
            }
            return;
        }
        let is_other = |(value, _): &(Known<'_>, &IdedExpr)| {
            let other = value.kind();
            !(other.may_be(kind) || other.is_number() && kind.is_number())
        };
        if let Some((first, _)) = listed.first()
            && Known::of(left, self.tables).is_none()
            && listed.iter().all(is_other)
        {
            let hint = if is_negated { not_first(operators::IN) } else { "" };
            self.fault(format!(
                "`in` never finds a value of type {} among values of type {}{hint}",
                kind.name(),
                first.kind().name()
            ));
        }
    }
}

fn is_call_of(expression: &IdedExpr, functions: &[&str]) -> bool {
    match &expression.expr {
        Expr::Call(call) => functions.contains(&call.func_name.as_str()),
        _ => false,
    }
}

/// Returns the hint for a `!` that negates only the left side of an operator.
fn not_first(operator: &str) -> &'static str {
    match operator {
        operators::IN => "; `!` negates only what follows it: write `!(x in y)`",
        operators::EQUALS => "; `!` negates only what follows it: write `x != y`",
        _ => "; `!` negates only what follows it: write `!(…)`",
    }
}

fn flipped(operator: &str) -> &str {
    match operator {
        operators::LESS => operators::GREATER,
        operators::LESS_EQUALS => operators::GREATER_EQUALS,
        operators::GREATER => operators::LESS,
        operators::GREATER_EQUALS => operators::LESS_EQUALS,
        other => other,
    }
}
