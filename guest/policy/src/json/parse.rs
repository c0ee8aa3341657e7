//! Parses canonical texts to CEL values. Refuses what the verifier refuses, and copies only strings
//! that contain an escape.

use std::sync::Arc;

use cel::common::types::{CelBool, CelDouble, CelInt, CelNull, CelString};
use signoff_core::context::{Expected, Invalid, Tokens};

use super::number::{Big, Double};
use super::value::{List, Node, Object};

/// The text is not one that the verifier accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl From<Invalid> for Malformed {
    fn from(_: Invalid) -> Self {
        Self
    }
}

/// Parses a JSON object.
///
/// # Errors
///
/// Not JSON, not an object, a duplicate key, a number too large for a double, a lone surrogate, too
/// long or too deep.
pub fn parse(text: &str) -> Result<Node<'_>, Malformed> {
    let mut tokens = Tokens::new(text)?;
    let node = match tokens.peek() {
        Some(b'{') => object(&mut tokens)?,
        _ => return Err(Malformed),
    };
    tokens.end()?;
    Ok(node)
}

fn value<'v>(tokens: &mut Tokens<'v>) -> Result<Node<'v>, Malformed> {
    match tokens.peek() {
        Some(b'{') => object(tokens),
        Some(b'[') => list(tokens),
        Some(b'"') => Ok(Node::Text(CelString::from(tokens.string()?))),
        Some(b'-' | b'0'..=b'9') => number(tokens),
        _ => Ok(match tokens.word()? {
            "true" => Node::Bool(CelBool::TRUE),
            "false" => Node::Bool(CelBool::FALSE),
            _ => Node::Null(CelNull),
        }),
    }
}

fn object<'v>(tokens: &mut Tokens<'v>) -> Result<Node<'v>, Malformed> {
    tokens.open()?;
    let mut entries = Vec::with_capacity(8);
    if !tokens.close(b'}') {
        loop {
            let key = tokens.key()?;
            entries.push((CelString::from(key), value(tokens)?));
            if tokens.close_or_comma(b'}', Expected::CommaOrBrace)? {
                break;
            }
        }
    }
    // The members of canonical texts are already sorted.
    let ordered = |pair: &[(CelString<'v>, Node<'v>)]| match pair {
        [one, two] => one.0.inner() < two.0.inner(),
        _ => true,
    };
    if !entries.windows(2).all(ordered) {
        entries.sort_by(|one, two| one.0.inner().cmp(two.0.inner()));
        if !entries.windows(2).all(ordered) {
            return Err(Malformed);
        }
    }
    Ok(Node::Object(Object(Arc::new(entries))))
}

fn list<'v>(tokens: &mut Tokens<'v>) -> Result<Node<'v>, Malformed> {
    tokens.open()?;
    let mut items = Vec::with_capacity(4);
    if !tokens.close(b']') {
        loop {
            items.push(value(tokens)?);
            if tokens.close_or_comma(b']', Expected::CommaOrBracket)? {
                break;
            }
        }
    }
    Ok(Node::List(List(Arc::new(items))))
}

/// Parses a number: an integer within i64 is a CEL int; a larger one is kept as text.
fn number<'v>(tokens: &mut Tokens<'v>) -> Result<Node<'v>, Malformed> {
    let number = tokens.number()?;
    if number.is_integer {
        return Ok(match number.text.parse::<i64>() {
            Ok(int) => Node::Int(CelInt::from(int)),
            Err(_) => Node::Big(Big(number.text.into())),
        });
    }
    let value = CelDouble::from(number.to_f64().ok_or(Malformed)?);
    Ok(Node::Double(Double { value, text: number.text }))
}
