//! The variables of macros with two: parts of the pairs of a list or a map (see `macros` and `pairs`).

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::Checker;
use crate::condition::functions::Type;
use crate::condition::pairs::PAIRS;
use crate::schema::{self, Spec};

/// The list or the map whose pairs a variable takes.
#[derive(Debug)]
pub(super) struct Range<'s> {
    kind: Type,
    specs: Vec<&'s Spec>,
    /// Whether it is a map whose keys are strings.
    has_names: bool,
}

/// A part of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The index of an item, or the key of a member.
    Key,
    /// The item, or the value of a member.
    Value,
}

impl<'s> Range<'s> {
    /// Returns the schemas of a part.
    pub(super) fn specs_of(&self, part: Part) -> Vec<&'s Spec> {
        match (part, self.kind) {
            (Part::Key, _) => Vec::new(),
            (Part::Value, Type::Map) => schema::values(&self.specs),
            (Part::Value, _) => schema::item(&self.specs),
        }
    }

    /// Returns the type of the key; `Dyn` if unknown.
    pub(super) fn key(&self) -> Type {
        match self.kind {
            Type::List => Type::Int,
            Type::Map if self.has_names => Type::String,
            _ => Type::Dyn,
        }
    }

    /// Returns the order of the two variables in words.
    pub(super) fn order(&self) -> &'static str {
        match self.kind {
            Type::Map => "; the first variable is the key, the second the value",
            _ => "; the first variable is the index, the second the item",
        }
    }
}

impl<'t> Checker<'t> {
    /// Returns what a loop with this range visits, for a type that is inferred already.
    pub(super) fn range(&self, range: &IdedExpr) -> Range<'t> {
        let kind = self.types.get(&range.id).copied().unwrap_or(Type::Dyn);
        let specs = self.specs(range);
        let is_json = match &range.expr {
            Expr::Ident(name) => {
                name == "context" && !self.is_local(name) || self.tables.value(name).is_some()
            }
            _ => false,
        };
        Range { kind, has_names: is_json || !specs.is_empty(), specs }
    }

    /// Returns the range behind the pairs that a loop visits; `None` for other loops.
    pub(super) fn paired(&self, range: &IdedExpr) -> Option<Range<'t>> {
        match &range.expr {
            Expr::Call(call) if call.func_name == PAIRS => Some(self.range(call.args.first()?)),
            _ => None,
        }
    }

    /// Returns the range and the part of its pairs that a call reads; `None` for other calls.
    pub(super) fn pair(&self, call: &CallExpr) -> Option<(&Range<'t>, Part)> {
        let [pair, part] = call.args.as_slice() else { return None };
        let (Expr::Ident(name), Expr::Literal(LiteralValue::Int(at))) = (&pair.expr, &part.expr)
        else {
            return None;
        };
        let range = self.local(name).filter(|_| call.func_name == operators::INDEX)?;
        let part = if *at.inner() == 0 { Part::Key } else { Part::Value };
        Some((range.pairs.as_ref()?, part))
    }

    /// Returns the name of the variable that was written where a pair is read.
    pub(super) fn variable(&self, expression: &IdedExpr) -> Option<String> {
        let rest = self.places.text.get(self.places.offset(expression.id)?..)?;
        let end = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let name = rest.get(..end.unwrap_or(rest.len()))?;
        (!name.is_empty()).then(|| name.to_owned())
    }
}
