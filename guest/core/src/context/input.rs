//! The input text and the read position.

use std::ops::Range;

use super::invalid::{Expected, Invalid, Reason};
use super::swar;

pub(super) struct Input<'a> {
    text: &'a str,
    /// Number of bytes consumed.
    pub(super) at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the next byte without consuming it.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Consumes the next byte if it is `byte`.
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Returns the next character without consuming it; `None` at the end of the text.
    pub(super) fn peek_char(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    /// Returns the bytes not yet consumed.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Returns eight bytes of the text from `at`, zero-padded at its end.
    #[inline]
    pub(super) fn word(&self, at: usize) -> [u8; 8] {
        let bytes = self.text.as_bytes().get(at..).unwrap_or_default();
        bytes.first_chunk().copied().unwrap_or_else(|| padded(bytes))
    }

    /// Returns a slice of the text; empty if an end is inside a character.
    #[inline]
    pub(super) fn text(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    /// Consumes JSON's four white space characters.
    #[inline]
    pub(super) fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Copies bytes to `out` until the first one that `stops` marks or the last seven of the text;
    /// the caller handles the next byte. `stops` is one of [`swar`]'s masks.
    #[inline]
    pub(super) fn copy_until(&mut self, out: &mut Vec<u8>, stops: impl Fn(u64) -> u64) {
        for chunk in self.rest().as_chunks::<8>().0 {
            // All eight bytes are stored and truncated later: cheaper than copying the right
            // number.
            out.extend_from_slice(chunk);
            let plain = swar::first(stops(u64::from_le_bytes(*chunk)));
            self.at += plain;
            if plain < 8 {
                out.truncate(out.len() - 8 + plain);
                return;
            }
        }
    }

    /// Creates the error for the next character where the grammar expects something else.
    #[cold]
    pub(super) fn unexpected(&self, expected: Expected) -> Fault {
        let found = self.peek_char();
        invalid(self.at, Reason::Unexpected { expected, found })
    }
}

/// A boxed error: one word, so that successful results are cheap to return.
pub(super) type Fault = Box<Invalid>;

/// Creates an error at an offset.
#[cold]
pub(super) fn invalid(offset: usize, reason: Reason) -> Fault {
    Box::new(Invalid { offset, reason })
}

#[cold]
fn padded(bytes: &[u8]) -> [u8; 8] {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    word
}
