//! Members of a TOML table, read with their positions; mistakes are recorded.

use std::ops::Range;

use signoff_core::name::Identifier;

use super::{DeTable, DeValue};
use crate::limits::IDENTIFIER_BYTES_MAX;
use crate::problem::Problems;
use crate::text::place_in_string;
use crate::verdict::Decision;

/// A value with its position.
pub(super) type Value<'t> = toml::Spanned<DeValue<'t>>;

/// A string with its position.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    /// The value.
    pub(super) text: &'a str,
    /// Its range in the file, with its quotes.
    pub(super) at: Range<usize>,
}

impl Member<'_> {
    /// Returns the file offset of a byte of the value.
    pub(super) fn place(&self, file: &str, at: usize) -> usize {
        place_in_string(file, self.at.start, self.at.end, self.text, at)
    }
}

/// Members of the file that an author may write into the table above them by mistake.
const OF_FILE: [&str; 4] = ["format", "name", "default", "include"];

/// One table.
pub(super) struct Members<'a, 't, 'p> {
    /// The text of the file.
    pub(super) text: &'p str,
    /// Offset of the table in the file.
    pub(super) at: usize,
    pub(super) table: &'a DeTable<'t>,
    pub(super) problems: &'a mut Problems<'p>,
}

impl<'a, 't, 'p> Members<'a, 't, 'p> {
    pub(super) fn new(
        text: &'p str,
        at: usize,
        table: &'a DeTable<'t>,
        problems: &'a mut Problems<'p>,
    ) -> Self {
        Self { text, at, table, problems }
    }

    /// Records an error for each member whose name is not listed.
    pub(super) fn only(&mut self, names: &[&str]) {
        for key in self.table.keys() {
            if !names.contains(&key.get_ref().as_ref()) {
                let name = key.get_ref().escape_debug();
                let is_of_file = self.at > 0 && OF_FILE.contains(&key.get_ref().as_ref());
                let hint = if is_of_file {
                    "; it belongs to the file, above the first `[[rule]]` and `[[test]]`"
                } else {
                    ""
                };
                self.problems.error(
                    key.span().start,
                    format!("unknown member `{name}`, expected one of {}{hint}", names.join(", ")),
                );
            }
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a Value<'t>> {
        self.table.get(name)
    }

    /// Returns the offset of a member, or that of the table if the member is absent.
    pub(super) fn place(&self, name: &str) -> usize {
        self.value(name).map_or(self.at, |value| value.span().start)
    }

    pub(super) fn string(&mut self, name: &str) -> Option<Member<'a>> {
        let value = self.value(name)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong(value, name, "a string");
        }
        Some(Member { text: text?, at: value.span() })
    }

    pub(super) fn integer(&mut self, name: &str) -> Option<(i64, usize)> {
        let value = self.value(name)?;
        let integer = integer(value.get_ref());
        if integer.is_none() {
            self.wrong(value, name, "an integer");
        }
        Some((integer?, value.span().start))
    }

    pub(super) fn bool(&mut self, name: &str) -> Option<bool> {
        let value = self.value(name)?;
        let bool = value.get_ref().as_bool();
        if bool.is_none() {
            self.wrong(value, name, "true or false");
        }
        bool
    }

    /// Reads an identifier: `[!-~]{1,128}`.
    pub(super) fn identifier(&mut self, name: &str) -> Option<Member<'a>> {
        let member = self.string(name)?;
        if Identifier::fits(member.text) {
            return Some(member);
        }
        self.problems.error(
            member.at.start,
            format!(
                "`{name}` is 1 to {IDENTIFIER_BYTES_MAX} visible ASCII characters, got `{}`",
                crate::text::cut(&member.text.escape_debug().to_string(), IDENTIFIER_BYTES_MAX)
            ),
        );
        None
    }

    pub(super) fn decision(&mut self, name: &str) -> Option<(Decision, usize)> {
        let member = self.string(name)?;
        let decision = Decision::parse(member.text);
        if decision.is_none() {
            self.problems.error(
                member.at.start,
                format!(
                    "`{name}` is allow, deny or require_approval, got `{}`",
                    crate::text::cut(&member.text.escape_debug().to_string(), IDENTIFIER_BYTES_MAX)
                ),
            );
        }
        Some((decision?, member.at.start))
    }

    /// Reads an array of tables.
    pub(super) fn tables(&mut self, name: &str, max: usize) -> Vec<(usize, &'a DeTable<'t>)> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(value, name, &format!("`[[{name}]]`"));
            return Vec::new();
        };
        if array.len() > max {
            let at = array.get(max).map_or(self.at, |value| value.span().start);
            self.problems
                .error(at, format!("{} of `[[{name}]]`, expected at most {max}", array.len()));
            return Vec::new();
        }
        let mut tables = Vec::new();
        for value in array.iter() {
            match value.get_ref().as_table() {
                Some(table) => tables.push((value.span().start, table)),
                None => self.wrong(value, name, &format!("`[[{name}]]`")),
            }
        }
        tables
    }

    /// Records an error for a value of the wrong type.
    pub(super) fn wrong(&mut self, value: &Value<'t>, name: &str, expected: &str) {
        let got = value.get_ref().type_str();
        self.problems
            .error(value.span().start, format!("`{name}` is {expected}, got {}", article(got)));
    }
}

fn article(got: &str) -> String {
    let an = got.starts_with(['a', 'i']);
    format!("{} {got}", if an { "an" } else { "a" })
}

pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
