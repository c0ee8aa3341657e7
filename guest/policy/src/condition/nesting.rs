//! Determines how deep a condition nests before a recursive parser sees its text.

use super::Fault;
use super::tokens::{Kind, Token};
use crate::limits::{WHEN_DEPTH_MAX, WHEN_NESTING_MAX};

/// Refuses a text that nests deeper than a policy's stack allows. Counts every level of brackets,
/// and every sign in a chain (`a.b.c`, `1 + 2 + 3`, `!!x`), which the parser also nests. Does not
/// count `&&` and `||`, which the parser balances.
pub(super) fn bounded(tokens: &[Token<'_>]) -> Result<(), Fault> {
    let mut depth = Depth { chains: vec![0], deepest: 0 };
    for token in tokens {
        match token.kind {
            Kind::Sign => depth.sign(token.text),
            Kind::Word if token.text == "in" => depth.link(1),
            // A number may begin with the point of a member.
            Kind::Number if token.text.starts_with('.') => depth.link(1),
            _ => {}
        }
        let fault = |message: String| Err(Fault { offset: token.end().saturating_sub(1), message });
        if depth.chains.len() > WHEN_NESTING_MAX + 1 {
            return fault(format!(
                "brackets nest too deep, expected at most {WHEN_NESTING_MAX} levels"
            ));
        }
        if depth.deepest > WHEN_DEPTH_MAX {
            return fault(format!(
                "the expression is too deep, expected at most {WHEN_DEPTH_MAX} levels"
            ));
        }
    }
    Ok(())
}

struct Depth {
    /// Number of signs in the current chain, for each level of brackets.
    chains: Vec<usize>,
    deepest: usize,
}

impl Depth {
    fn sign(&mut self, sign: &str) {
        match sign {
            "(" | "[" | "{" => {
                self.link(1);
                self.chains.push(0);
            }
            ")" | "]" | "}" if self.chains.len() > 1 => {
                self.chains.pop();
            }
            "," | "&&" | "||" => self.rest(),
            ")" | "]" | "}" | ":" | "&" | "|" => {}
            operator => self.link(operator.len()),
        }
    }

    fn link(&mut self, signs: usize) {
        if let Some(chain) = self.chains.last_mut() {
            *chain += signs;
        }
        self.deepest = self.deepest.max(self.chains.iter().sum());
    }

    fn rest(&mut self) {
        if let Some(chain) = self.chains.last_mut() {
            *chain = 0;
        }
    }
}
