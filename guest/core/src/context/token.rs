//! A tokenizer for readers that build their own values. Strings and numbers are validated by the
//! code that writes the canonical form.

use std::borrow::Cow;

use super::input::{Fault, Input, invalid};
use super::invalid::{Expected, Invalid, Reason};
use super::{BYTES_MAX, DEPTH_MAX, float, number, string};

/// Initial capacity: enough for most strings and numbers, so that reading them allocates once.
const SCRATCH_BYTES: usize = 256;

/// A JSON text and the read position. Refuses the same texts as
/// [`canonicalize`](super::canonicalize).
pub struct Tokens<'a> {
    input: Input<'a>,
    depth: usize,
    /// The canonical form of the last string or number; readers do not use it.
    scratch: Vec<u8>,
}

/// A number literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<'a> {
    /// The text of the literal.
    pub text: &'a str,
    /// Whether it has neither a fraction nor an exponent.
    pub is_integer: bool,
}

impl<'a> Tokens<'a> {
    /// Starts reading a text at its first byte that is not white space.
    ///
    /// # Errors
    ///
    /// [`Reason::InputTooLong`].
    pub fn new(text: &'a str) -> Result<Self, Invalid> {
        if text.len() > BYTES_MAX {
            return Err(*invalid(BYTES_MAX, Reason::InputTooLong));
        }
        let mut tokens =
            Self { input: Input::new(text), depth: 0, scratch: Vec::with_capacity(SCRATCH_BYTES) };
        tokens.input.skip_whitespace();
        Ok(tokens)
    }

    /// Returns the next byte without consuming it.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.input.peek()
    }

    /// Reads the opening bracket that comes next and the white space after it. The caller has
    /// checked the bracket.
    ///
    /// # Errors
    ///
    /// [`Reason::TooDeep`].
    pub fn open(&mut self) -> Result<(), Invalid> {
        if self.depth == DEPTH_MAX {
            return Err(*invalid(self.input.at, Reason::TooDeep));
        }
        self.depth += 1;
        self.input.at += 1;
        self.input.skip_whitespace();
        Ok(())
    }

    /// Reads a closing bracket if it comes next.
    #[inline]
    pub fn close(&mut self, bracket: u8) -> bool {
        let closes = self.input.eat(bracket);
        self.depth -= usize::from(closes);
        closes
    }

    /// After an item, reads the closing bracket or a comma, and the white space around it. Returns
    /// whether the bracket closed.
    ///
    /// # Errors
    ///
    /// [`Reason::Unexpected`], with `expected`.
    #[inline]
    pub fn close_or_comma(&mut self, bracket: u8, expected: Expected) -> Result<bool, Invalid> {
        self.input.skip_whitespace();
        if self.close(bracket) {
            return Ok(true);
        }
        self.punctuation(b',', expected)?;
        Ok(false)
    }

    /// Reads a member's name, the colon, and the white space around it.
    ///
    /// # Errors
    ///
    /// As [`Self::string`]; [`Reason::Unexpected`] for anything but a name and a colon.
    #[inline]
    pub fn key(&mut self) -> Result<Cow<'a, str>, Invalid> {
        if self.peek() != Some(b'"') {
            return Err(*self.input.unexpected(Expected::Key));
        }
        let key = self.string()?;
        self.input.skip_whitespace();
        self.punctuation(b':', Expected::Colon)?;
        Ok(key)
    }

    /// Reads the string whose opening quote comes next. Copies it only if it has escapes.
    ///
    /// # Errors
    ///
    /// [`Reason::Unexpected`], [`Reason::ControlCharacter`], [`Reason::EscapeInvalid`],
    /// [`Reason::LoneSurrogate`], [`Reason::CanonicalTooLong`].
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>, Invalid> {
        let start = self.input.at;
        self.scratch.clear();
        let escaped = string::copy(&mut self.input, &mut self.scratch).map_err(unboxed)?;
        let spelled = self.input.text(start + 1..self.input.at - 1);
        Ok(if escaped {
            Cow::Owned(string::characters(spelled).collect())
        } else {
            Cow::Borrowed(spelled)
        })
    }

    /// Reads the number that starts at the next byte, a sign or a digit.
    ///
    /// # Errors
    ///
    /// [`Reason::Unexpected`], [`Reason::NotFinite`], [`Reason::LeadingZero`],
    /// [`Reason::IntegerTooLong`], [`Reason::FloatTooLarge`].
    pub fn number(&mut self) -> Result<Number<'a>, Invalid> {
        let start = self.input.at;
        self.scratch.clear();
        number::copy(&mut self.input, &mut self.scratch).map_err(unboxed)?;
        let text = self.input.text(start..self.input.at);
        Ok(Number { text, is_integer: !text.contains(['.', 'e', 'E']) })
    }

    /// Reads `true`, `false` or `null`.
    ///
    /// # Errors
    ///
    /// [`Reason::Unexpected`] for anything else.
    pub fn word(&mut self) -> Result<&'static str, Invalid> {
        let words = ["true", "false", "null"];
        let found = words.into_iter().find(|word| self.input.rest().starts_with(word.as_bytes()));
        let word = found.ok_or_else(|| *self.input.unexpected(Expected::Value))?;
        self.input.at += word.len();
        Ok(word)
    }

    /// Checks that only white space remains.
    ///
    /// # Errors
    ///
    /// [`Reason::Unexpected`].
    pub fn end(&mut self) -> Result<(), Invalid> {
        self.input.skip_whitespace();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(*self.input.unexpected(Expected::EndOfText)),
        }
    }

    #[inline]
    fn punctuation(&mut self, byte: u8, expected: Expected) -> Result<(), Invalid> {
        if !self.input.eat(byte) {
            return Err(*self.input.unexpected(expected));
        }
        self.input.skip_whitespace();
        Ok(())
    }
}

impl Number<'_> {
    /// Returns the nearest float, ties to even. [`Tokens::number`] has refused numbers that are too
    /// large.
    pub fn to_f64(self) -> Option<f64> {
        float::parse(self.text)
    }
}

#[expect(
    clippy::boxed_local,
    reason = "a fault inside is one word, for the speed of what succeeds"
)]
fn unboxed(fault: Fault) -> Invalid {
    *fault
}
