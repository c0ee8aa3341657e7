//! Values that are known when a condition is checked: literals and named values.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};

use super::types::of_literal;
use crate::condition::functions::Type;
use crate::condition::{Tables, equal};
use crate::json::Node;

/// A known value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known<'k> {
    Literal(&'k LiteralValue),
    Node(&'k Node<'static>),
    /// A key of a map.
    Key(&'k str),
}

impl<'k> Known<'k> {
    /// Returns the value of an expression, if it is known.
    pub(super) fn of(expression: &'k IdedExpr, tables: &'k Tables) -> Option<Self> {
        match &expression.expr {
            Expr::Literal(literal) => Some(Self::Literal(literal)),
            Expr::Ident(name) => tables.value(name).map(Self::Node),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&'k str> {
        match self {
            Self::Literal(LiteralValue::String(text)) => Some(text.inner()),
            Self::Node(Node::Text(text)) => Some(text.inner()),
            Self::Key(key) => Some(key),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "only compared with small numbers")]
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Literal(LiteralValue::Int(int)) => Some(*int.inner() as f64),
            Self::Literal(LiteralValue::UInt(uint)) => Some(*uint.inner() as f64),
            Self::Literal(LiteralValue::Double(double)) => Some(*double.inner()),
            Self::Node(Node::Int(int)) => Some(*int.inner() as f64),
            Self::Node(Node::Double(double)) => Some(*double.value().inner()),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Literal(LiteralValue::Null) | Self::Node(Node::Null(_)))
    }

    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Literal(literal) => of_literal(literal),
            Self::Node(Node::Null(_)) => Type::Null,
            Self::Node(Node::Bool(_)) => Type::Bool,
            Self::Node(Node::Int(_)) => Type::Int,
            Self::Node(Node::Double(_)) => Type::Double,
            Self::Node(Node::Text(_)) | Self::Key(_) => Type::String,
            Self::Node(Node::List(_)) => Type::List,
            Self::Node(Node::Object(_)) => Type::Map,
            Self::Node(Node::Big(_)) => Type::Dyn,
        }
    }

    /// Returns whether it equals a value of a file.
    pub(super) fn equals(&self, value: &Node<'static>) -> bool {
        let equals =
            |other: &dyn cel::common::value::Val| equal(value.val(), other).unwrap_or(false);
        match self {
            Self::Literal(literal) => equals(literal.to_val().as_ref()),
            Self::Node(node) => equals(node.val()),
            Self::Key(key) => matches!(value, Node::Text(text) if text.inner() == *key),
        }
    }
}

/// Returns the known items of a list or keys of a map, each with the node that has its position.
pub(super) fn items<'k>(
    expression: &'k IdedExpr,
    tables: &'k Tables,
) -> Vec<(Known<'k>, &'k IdedExpr)> {
    match &expression.expr {
        Expr::List(list) => {
            let known = |item: &'k IdedExpr| Some((Known::of(item, tables)?, item));
            list.elements.iter().filter_map(known).collect()
        }
        Expr::Map(map) => {
            let keys = map.entries.iter().filter_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => Some(&entry.key),
                EntryExpr::StructField(_) => None,
            });
            keys.filter_map(|key| Some((Known::of(key, tables)?, key))).collect()
        }
        Expr::Ident(name) => match tables.value(name) {
            Some(map @ Node::Object(_)) => {
                map.names().map(|name| (Known::Key(name), expression)).collect()
            }
            Some(list) => list.items().iter().map(|item| (Known::Node(item), expression)).collect(),
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}
