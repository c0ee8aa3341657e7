//! Reasons: a text with `{path}` placeholders, filled from an attempt.

use signoff_core::facts;

use crate::condition::{Path, Root, Scope, Step};
use crate::constants::{Constants, Place};
use crate::json;
use crate::limits::{PLACEHOLDERS_MAX, REASON_BYTES_MAX};
use crate::text::cut;

/// A parsed reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Agent,
    Action,
    Path(Path),
}

impl Reason {
    /// Parses a reason.
    ///
    /// # Errors
    ///
    /// The offset and message of the first mistake: over 4 KiB, a control character that approvals do
    /// not take, over 64 placeholders, a brace that
    /// neither opens nor closes a placeholder, a placeholder that is not a path from `agent`,
    /// `action`, `context` or `plan`, a known fact nor a named value.
    pub fn parse(text: &str, constants: &Constants) -> Result<Self, (usize, String)> {
        if text.len() > REASON_BYTES_MAX {
            return Err((
                0,
                format!("a reason of {} bytes, expected at most {REASON_BYTES_MAX}", text.len()),
            ));
        }
        if let Some((at, char)) = text.char_indices().find(|(_, char)| is_control(*char)) {
            return Err((
                at,
                format!("a reason has no control character `{}`", char.escape_unicode()),
            ));
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(brace) = ["{{", "}}"].iter().find(|brace| rest.starts_with(**brace)) {
                plain.push_str(brace.get(1..).unwrap_or_default());
                at += 2;
            } else if let Some(inside) = rest.strip_prefix('{') {
                let Some((name, _)) = inside.split_once('}') else {
                    return Err((
                        at,
                        "a `{` without its `}`, expected `{{` for a brace".to_owned(),
                    ));
                };
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(placeholder(name, constants).map_err(|message| (at, message))?);
                at += name.len() + 2;
            } else if rest.starts_with('}') {
                return Err((at, "a `}` without its `{`, expected `}}` for a brace".to_owned()));
            } else {
                let end = rest.find(['{', '}']).unwrap_or(rest.len());
                plain.push_str(rest.get(..end).unwrap_or_default());
                at += end;
            }
        }
        if pieces.len() > 2 * PLACEHOLDERS_MAX {
            return Err((0, format!("a reason has at most {PLACEHOLDERS_MAX} placeholders")));
        }
        pieces.push(Piece::Text(plain));
        Ok(Self { pieces })
    }

    /// Returns the names of the facts that the reason shows.
    pub(crate) fn facts(&self) -> impl Iterator<Item = &'static str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Path(Path { root: Root::Facts, steps }) => match steps.as_slice() {
                [Step::Key(name)] => facts::named(name).ok(),
                _ => None,
            },
            _ => None,
        })
    }

    /// Returns the reason for one attempt, at most 4 KiB.
    #[must_use]
    pub fn fill(&self, agent: &str, action: &str, scope: &Scope<'_>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Agent => out.push_str(agent),
                Piece::Action => out.push_str(action),
                Piece::Path(path) => match scope.at(path) {
                    Some(node) => json::show(node, &mut out, REASON_BYTES_MAX),
                    None => out.push('?'),
                },
            }
        }
        out.truncate(cut(&out, REASON_BYTES_MAX).len());
        out
    }
}

/// Returns whether a character is a control character that the reason of an approval must not have.
fn is_control(char: char) -> bool {
    char.is_control() && !matches!(char, '\n' | '\t')
}

/// Returns whether a text can be a member's name. Whatever else stands in a placeholder, such as the
/// `:.2f` of another language, would name a member that no context has.
fn is_name(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | '-'))
}

fn placeholder(name: &str, constants: &Constants) -> Result<Piece, String> {
    let bad = || {
        format!(
            "`{{{name}}}` is not a placeholder, expected `{{agent}}`, `{{action}}`, `{{const.limit}}` or a path like `{{context.mail.to[0]}}`, without a format"
        )
    };
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (root, mut rest) = name.split_at(end);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (key, tail) = after.split_at(end);
            if !is_name(key) {
                return Err(bad());
            }
            steps.push(Step::Key(key.to_owned()));
            rest = tail;
        } else {
            let (index, tail) =
                rest.strip_prefix('[').and_then(|i| i.split_once(']')).ok_or_else(bad)?;
            if index.is_empty() || !index.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(bad());
            }
            steps.push(Step::Item(index.parse().map_err(|_| bad())?));
            rest = tail;
        }
    }
    match (root, steps.is_empty()) {
        ("agent", true) => Ok(Piece::Agent),
        ("action", true) => Ok(Piece::Action),
        ("context", _) => Ok(Piece::Path(Path { root: Root::Context, steps })),
        ("plan", _) => Ok(Piece::Path(Path { root: Root::Plan, steps })),
        ("facts", false) => match steps.as_slice() {
            [Step::Key(name)] => {
                facts::named(name)?;
                Ok(Piece::Path(Path { root: Root::Facts, steps }))
            }
            _ => Err(bad()),
        },
        ("const", false) if constants.is_incomplete => Ok(Piece::Text("?".to_owned())),
        ("const", false) => {
            let places = steps.iter().map(|step| match step {
                Step::Key(key) => Place::Key(key),
                Step::Item(at) => Place::Item(*at),
            });
            let places: Vec<Place<'_>> = places.collect();
            constants.shown(&places, REASON_BYTES_MAX).map(Piece::Text)
        }
        _ => Err(bad()),
    }
}
