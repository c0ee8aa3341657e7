//! What is known of a value by the functions that give it: its case, its range.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use signoff_core::facts;

use super::Checker;
use super::calendar::Part;
use super::known::Known;
use crate::condition::functions::Type;

/// Functions whose result has the case of the text that they are called on.
const KEEP_CASE: [&str; 6] = ["charAt", "reverse", "split", "substring", "trim", "value"];

/// What is known of a value beside its type.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin {
    pub(super) case: Option<Case>,
    pub(super) part: Option<&'static Part>,
}

/// The case of all ASCII letters of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// A fact, which is in lower case.
    Fact,
    Lower,
    Upper,
}

impl Case {
    /// Returns why a text of this case never has or equals another text; `None` if it may.
    pub(super) fn never(self, text: &str) -> Option<String> {
        let shown = |text: String| -> String {
            text.chars().take(64).flat_map(char::escape_debug).collect()
        };
        match self {
            Self::Fact => facts::not_lower(text),
            Self::Lower => text.bytes().any(|byte| byte.is_ascii_uppercase()).then(|| {
                let lower = shown(text.to_ascii_lowercase());
                format!("`lowerAscii` gives lower case, expected `{lower}`")
            }),
            Self::Upper => text.bytes().any(|byte| byte.is_ascii_lowercase()).then(|| {
                let upper = shown(text.to_ascii_uppercase());
                format!("`upperAscii` gives upper case, expected `{upper}`")
            }),
        }
    }
}

impl Checker<'_> {
    /// Returns what is known of a value whose type is inferred already.
    pub(super) fn origin(&self, expression: &IdedExpr) -> Origin {
        match &expression.expr {
            Expr::Ident(name) => self.local(name).map(|local| local.origin).unwrap_or_default(),
            Expr::Select(select) if !select.test && self.is_facts(&select.operand) => {
                Origin { case: Some(Case::Fact), part: None }
            }
            Expr::Call(call) => Origin { case: self.case(call), part: self.part(call) },
            _ => Origin::default(),
        }
    }

    fn part(&self, call: &CallExpr) -> Option<&'static Part> {
        let target = call.target.as_ref()?;
        let is_timestamp =
            !call.args.is_empty() || self.types.get(&target.id) == Some(&Type::Timestamp);
        Part::of(&call.func_name, is_timestamp)
    }

    fn case(&self, call: &CallExpr) -> Option<Case> {
        let name = call.func_name.as_str();
        let reads = [operators::INDEX, operators::OPT_INDEX, operators::OPT_SELECT];
        if reads.contains(&name) {
            let [holder, key] = call.args.as_slice() else { return None };
            let is_name = matches!(&key.expr, Expr::Literal(LiteralValue::String(_)));
            if is_name && self.is_facts(holder) {
                return Some(Case::Fact);
            }
            return self.origin(holder).case;
        }
        let target = call.target.as_ref()?;
        match name {
            "lowerAscii" => Some(Case::Lower),
            "upperAscii" => Some(Case::Upper),
            "orValue" => {
                let case = self.origin(target).case?;
                let default = Known::of(call.args.first()?, self.tables)?.text()?;
                case.never(default).is_none().then_some(case)
            }
            _ if KEEP_CASE.contains(&name) => self.origin(target).case,
            _ => None,
        }
    }
}
