//! JSON's grammar (RFC 8259), parsed and written in one pass.

use super::input::{Fault, Input, invalid};
use super::invalid::{Expected, Invalid, Reason};
use super::members::{Key, Member, Members};
use super::{BYTES_MAX, DEPTH_MAX, number, string};

/// Returns the canonical form of a text, in ASCII.
pub(super) fn canonical(text: &str) -> Result<Vec<u8>, Invalid> {
    if text.len() > BYTES_MAX {
        return Err(*invalid(BYTES_MAX, Reason::InputTooLong));
    }
    let mut parser = Parser::new(text);
    match parser.document() {
        Ok(()) => Ok(parser.out),
        Err(fault) => Err(*fault),
    }
}

struct Parser<'a> {
    input: Input<'a>,
    out: Vec<u8>,
    members: Members<'a>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            input: Input::new(text),
            // A text without white space grows by one space per comma and colon.
            out: Vec::with_capacity(text.len() + text.len() / 4 + 8),
            members: Members::default(),
        }
    }

    fn document(&mut self) -> Result<(), Fault> {
        self.input.skip_whitespace();
        if self.input.peek() != Some(b'{') {
            return Err(self.input.unexpected(Expected::Object));
        }
        self.object(1)?;
        self.input.skip_whitespace();
        match self.input.peek() {
            None => Ok(()),
            Some(_) => Err(self.input.unexpected(Expected::EndOfText)),
        }
    }

    /// Parses the value that starts at the next byte, inside `depth` brackets.
    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        let start = self.input.at;
        match self.input.peek() {
            Some(b'"') => {
                string::copy(&mut self.input, &mut self.out)?;
            }
            Some(b'{') => return self.object(depth + 1),
            Some(b'[') => return self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => number::copy(&mut self.input, &mut self.out)?,
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            _ => return Err(self.no_value()),
        }
        self.check_length(start)
    }

    fn object(&mut self, depth: usize) -> Result<(), Fault> {
        self.open(b'{', depth)?;
        if !self.close(b'}')? {
            let first = self.members.len();
            let sorted = self.object_members(first, depth)?;
            if !sorted {
                self.members.sort(first, &mut self.out)?;
            }
            self.members.truncate(first);
        }
        Ok(())
    }

    /// Parses one or more members and the closing brace. Returns whether the keys are in order and
    /// distinct.
    fn object_members(&mut self, first: usize, depth: usize) -> Result<bool, Fault> {
        let mut sorted = true;
        loop {
            let (key_at, start) = (self.input.at, self.out.len());
            let key = self.key()?;
            sorted = sorted && self.members.in_order(first, &key);
            self.colon()?;
            self.value(depth)?;
            let end = self.out.len();
            self.members.push(Member { key, key_at, start, end });
            self.input.skip_whitespace();
            if self.close(b'}')? {
                return Ok(sorted);
            }
            self.comma(Expected::CommaOrBrace)?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Fault> {
        self.open(b'[', depth)?;
        if self.close(b']')? {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.input.skip_whitespace();
            if self.close(b']')? {
                return Ok(());
            }
            self.comma(Expected::CommaOrBracket)?;
        }
    }

    /// Parses an opening bracket and the white space after it.
    fn open(&mut self, bracket: u8, depth: usize) -> Result<(), Fault> {
        if depth > DEPTH_MAX {
            return Err(invalid(self.input.at, Reason::TooDeep));
        }
        self.input.at += 1;
        self.out.push(bracket);
        self.input.skip_whitespace();
        Ok(())
    }

    /// Parses a closing bracket if it comes next.
    #[inline]
    fn close(&mut self, bracket: u8) -> Result<bool, Fault> {
        let at = self.input.at;
        if !self.input.eat(bracket) {
            return Ok(false);
        }
        self.out.push(bracket);
        self.check_length(at)?;
        Ok(true)
    }

    /// Parses a comma and the white space after it.
    #[inline]
    fn comma(&mut self, expected: Expected) -> Result<(), Fault> {
        if !self.input.eat(b',') {
            return Err(self.input.unexpected(expected));
        }
        self.out.extend_from_slice(b", ");
        self.input.skip_whitespace();
        Ok(())
    }

    /// Parses a colon and the white space around it.
    #[inline]
    fn colon(&mut self) -> Result<(), Fault> {
        self.input.skip_whitespace();
        if !self.input.eat(b':') {
            return Err(self.input.unexpected(Expected::Colon));
        }
        self.out.extend_from_slice(b": ");
        self.input.skip_whitespace();
        Ok(())
    }

    /// Parses a member's name.
    #[inline]
    fn key(&mut self) -> Result<Key<'a>, Fault> {
        let start = self.input.at;
        if self.input.peek() != Some(b'"') {
            return Err(self.input.unexpected(Expected::Key));
        }
        let escaped = string::copy(&mut self.input, &mut self.out)?;
        self.check_length(start)?;
        let spelled = self.input.text(start + 1..self.input.at - 1);
        Ok(Key::new(spelled, escaped, self.input.word(start + 1)))
    }

    #[inline]
    fn literal<const N: usize>(&mut self, name: &[u8; N]) -> Result<(), Fault> {
        if self.input.rest().first_chunk() != Some(name) {
            return Err(self.input.unexpected(Expected::Value));
        }
        self.input.at += N;
        self.out.extend_from_slice(name);
        Ok(())
    }

    /// Creates the error for a byte that starts no value. Two words that CPython accepts have their
    /// own reason.
    #[cold]
    fn no_value(&self) -> Fault {
        let rest = self.input.rest();
        if rest.starts_with(b"NaN") || rest.starts_with(b"Infinity") {
            return invalid(self.input.at, Reason::NotFinite);
        }
        self.input.unexpected(Expected::Value)
    }

    /// Checks the length of the canonical form after the piece of text that starts at `at`.
    #[inline]
    fn check_length(&self, at: usize) -> Result<(), Fault> {
        if self.out.len() > BYTES_MAX {
            return Err(invalid(at, Reason::CanonicalTooLong));
        }
        Ok(())
    }
}
