//! A strict JSON parser for texts that are already canonical: it refuses what the verifier refuses,
//! and copies only strings that hold an escape.

use std::borrow::Cow;
use std::sync::Arc;

use cel::common::types::{CelBool, CelDouble, CelInt, CelNull, CelString};

use super::number::{Big, Double};
use super::value::{List, Node, Object};
use crate::limits::{JSON_BYTES_MAX, JSON_DEPTH_MAX};

/// The text is not what the verifier lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Parses a JSON object.
///
/// # Errors
///
/// Not JSON, not an object, a duplicate key, a number that no double holds, a lone surrogate, too
/// long or too deep.
pub fn parse(text: &str) -> Result<Node<'_>, Malformed> {
    if text.len() > JSON_BYTES_MAX {
        return Err(Malformed);
    }
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, depth: 0 };
    parser.blank();
    let node = match parser.peek() {
        Some(b'{') => parser.object()?,
        _ => return Err(Malformed),
    };
    parser.blank();
    if parser.at == text.len() { Ok(node) } else { Err(Malformed) }
}

struct Parser<'v> {
    text: &'v str,
    bytes: &'v [u8],
    at: usize,
    depth: usize,
}

impl<'v> Parser<'v> {
    fn value(&mut self) -> Result<Node<'v>, Malformed> {
        match self.peek().ok_or(Malformed)? {
            b'{' => self.object(),
            b'[' => self.list(),
            b'"' => Ok(Node::Text(CelString::from(self.string()?))),
            b't' => self.word("true", Node::Bool(CelBool::TRUE)),
            b'f' => self.word("false", Node::Bool(CelBool::FALSE)),
            b'n' => self.word("null", Node::Null(CelNull)),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(Malformed),
        }
    }

    fn object(&mut self) -> Result<Node<'v>, Malformed> {
        self.enter()?;
        let mut entries = Vec::with_capacity(8);
        if !self.takes(b'}') {
            loop {
                let key = self.string()?;
                self.blank();
                self.expect(b':')?;
                self.blank();
                let value = self.value()?;
                entries.push((CelString::from(key), value));
                if self.ends(b'}')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        // Canonical texts are sorted already.
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

    fn list(&mut self) -> Result<Node<'v>, Malformed> {
        self.enter()?;
        let mut items = Vec::with_capacity(4);
        if !self.takes(b']') {
            loop {
                items.push(self.value()?);
                if self.ends(b']')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(Node::List(List(Arc::new(items))))
    }

    /// Past the opening bracket, to the first item or the closing bracket.
    fn enter(&mut self) -> Result<(), Malformed> {
        self.depth += 1;
        if self.depth > JSON_DEPTH_MAX {
            return Err(Malformed);
        }
        self.at += 1;
        self.blank();
        Ok(())
    }

    /// After an item: whether the bracket closes. Otherwise the next item follows.
    fn ends(&mut self, close: u8) -> Result<bool, Malformed> {
        self.blank();
        if self.takes(close) {
            return Ok(true);
        }
        self.expect(b',')?;
        self.blank();
        Ok(false)
    }

    fn word(&mut self, word: &str, node: Node<'v>) -> Result<Node<'v>, Malformed> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(node)
    }

    fn number(&mut self) -> Result<Node<'v>, Malformed> {
        let start = self.at;
        self.takes(b'-');
        let first = self.at;
        self.digits()?;
        if self.at - first > 1 && self.bytes.get(first) == Some(&b'0') {
            return Err(Malformed);
        }
        let mut whole = true;
        if self.takes(b'.') {
            whole = false;
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            whole = false;
            let _signed = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        let text = self.text.get(start..self.at).ok_or(Malformed)?;
        if whole {
            return Ok(match text.parse::<i64>() {
                Ok(int) => Node::Int(CelInt::from(int)),
                Err(_) => Node::Big(Big(text.into())),
            });
        }
        let value: f64 = text.parse().map_err(|_| Malformed)?;
        if !value.is_finite() {
            return Err(Malformed);
        }
        Ok(Node::Double(Double { value: CelDouble::from(value), text }))
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(Malformed) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Cow<'v, str>, Malformed> {
        self.expect(b'"')?;
        let plain = self.plain()?;
        if self.takes(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut copied = plain.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => copied.push(self.escape()?),
                _ => return Err(Malformed),
            }
            copied.push_str(self.plain()?);
        }
        self.at += 1;
        Ok(Cow::Owned(copied))
    }

    /// What stands as it is, up to a quote, a backslash or a control character.
    fn plain(&mut self) -> Result<&'v str, Malformed> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
        self.at += length.ok_or(Malformed)?;
        self.text.get(start..self.at).ok_or(Malformed)
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        self.at += 1;
        let kind = self.peek().ok_or(Malformed)?;
        self.at += 1;
        Ok(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex()?;
                if !(0xd800..0xe000).contains(&high) {
                    return char::from_u32(high).ok_or(Malformed);
                }
                self.expect(b'\\')?;
                self.expect(b'u')?;
                let low = self.hex()?;
                if high >= 0xdc00 || !(0xdc00..0xe000).contains(&low) {
                    return Err(Malformed);
                }
                let both = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(both).ok_or(Malformed);
            }
            _ => return Err(Malformed),
        })
    }

    fn hex(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Malformed)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Malformed);
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Malformed)
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let takes = self.peek() == Some(byte);
        self.at += usize::from(takes);
        takes
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.takes(byte) { Ok(()) } else { Err(Malformed) }
    }
}
