//! Determines how deep a condition nests before a recursive parser sees its text.

use super::Fault;
use crate::limits::{WHEN_DEPTH_MAX, WHEN_NESTING_MAX};

/// Refuses a text that nests deeper than a policy's stack allows. Counts every level of brackets,
/// and every sign in a chain (`a.b.c`, `1 + 2 + 3`, `!!x`), which the parser also nests. Does not
/// count `&&` and `||`, which the parser balances.
pub(super) fn bounded(text: &str) -> Result<(), Fault> {
    let mut scan = Scan { text, at: 0, chains: vec![0], deepest: 0 };
    while let Some(byte) = scan.peek(0) {
        match byte {
            b'"' | b'\'' => scan.string(false),
            b'r' | b'R' if matches!(scan.peek(1), Some(b'"' | b'\'')) => {
                scan.at += 1;
                scan.string(true);
            }
            b'/' if scan.peek(1) == Some(b'/') => scan.comment(),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => scan.word(),
            _ => scan.sign(byte),
        }
        if scan.chains.len() > WHEN_NESTING_MAX + 1 {
            return Err(scan.fault(format!(
                "brackets nest too deep, expected at most {WHEN_NESTING_MAX} levels"
            )));
        }
        if scan.deepest > WHEN_DEPTH_MAX {
            return Err(scan.fault(format!(
                "the expression is too deep, expected at most {WHEN_DEPTH_MAX} levels"
            )));
        }
    }
    Ok(())
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// Number of signs in the current chain, for each level of brackets.
    chains: Vec<usize>,
    deepest: usize,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn sign(&mut self, byte: u8) {
        let doubled = self.peek(1) == Some(byte);
        match byte {
            b'(' | b'[' | b'{' => {
                self.link();
                self.chains.push(0);
            }
            b')' | b']' | b'}' if self.chains.len() > 1 => {
                self.chains.pop();
            }
            b',' => self.rest(),
            b'&' | b'|' if doubled => {
                self.rest();
                self.at += 1;
            }
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'!' | b'?' => {
                self.link();
            }
            _ => {}
        }
        self.at += 1;
    }

    fn link(&mut self) {
        if let Some(chain) = self.chains.last_mut() {
            *chain += 1;
        }
        self.deepest = self.deepest.max(self.chains.iter().sum());
    }

    fn rest(&mut self) {
        if let Some(chain) = self.chains.last_mut() {
            *chain = 0;
        }
    }

    /// Skips a name or a number.
    fn word(&mut self) {
        let start = self.at;
        while let Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_') = self.peek(0) {
            self.at += 1;
        }
        if self.text.get(start..self.at) == Some("in") {
            self.link();
        }
    }

    fn comment(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn string(&mut self, raw: bool) {
        let Some(quote) = self.peek(0) else { return };
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        self.at += if triple { 3 } else { 1 };
        while let Some(byte) = self.peek(0) {
            let closes = byte == quote
                && (!triple || (self.peek(1) == Some(quote) && self.peek(2) == Some(quote)));
            if closes {
                self.at += if triple { 3 } else { 1 };
                return;
            }
            self.at += if byte == b'\\' && !raw { 2 } else { 1 };
        }
    }

    fn fault(&self, message: String) -> Fault {
        Fault { offset: self.at.min(self.text.len()).saturating_sub(1), message }
    }
}
