//! Regular expressions as RE2 reads them.
//!
//! CEL's `matches` takes RE2's syntax and gives RE2's answer. The `regex` crate has another syntax: its
//! `\d`, `\w`, `\s` and `\b` know all of Unicode, `[a&&b]` is an intersection, and it accepts escapes and
//! flags that RE2 does not have. So a pattern is read here by RE2's grammar, character by character, and
//! written again in a small part of the crate's syntax that has one meaning: literals and ranges as code
//! points, and the flags of each atom beside it.
//!
//! Groups capture nothing and lazy repetitions are greedy, because `matches` only asks whether the
//! pattern occurs in the text.
//!
//! The grammar is that of <https://github.com/google/re2/wiki/Syntax> where the C++ and the Go
//! implementations agree. What they read differently is refused, and so is a surrogate, which no text
//! contains. `tests/differential/` compares the result with Go.

mod class;
mod sets;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use class::Class;
use regex::{Regex, RegexBuilder};

use crate::limits::REGEX_BYTES_MAX;

/// Most repetitions that a pattern may demand, also as the product of nested ones, as in RE2.
const REPEATS_MAX: u32 = 1_000;

/// Compiles a pattern of RE2's syntax.
///
/// # Errors
///
/// What is wrong with the pattern, with the place in it; over 256 KiB when compiled.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated =
        translate(pattern).map_err(|why| format!("not a regular expression of RE2: {why}"))?;
    RegexBuilder::new(&translated)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(bytes) => {
                format!("the compiled regular expression exceeds {bytes} bytes")
            }
            // What is left is nesting beyond the crate's limit.
            other => {
                let message = other.to_string();
                let message = message.lines().last().unwrap_or_default();
                format!("not a regular expression: {}", message.trim_start_matches("error: "))
            }
        })
}

/// Writes a pattern of RE2's syntax in the syntax of the `regex` crate.
fn translate(pattern: &str) -> Result<String, String> {
    let mut parser = Parser {
        rest: pattern,
        flags: Flags::default(),
        groups: Vec::new(),
        names: BTreeSet::new(),
        open: Group::default(),
    };
    parser.whole()
}

/// The flags that change what an atom matches. RE2's `U` only changes which repetition is lazy.
#[derive(Clone, Copy, Default)]
struct Flags {
    /// `i`: letters match in either case.
    fold: bool,
    /// `m`: `^` and `$` match at lines.
    lines: bool,
    /// `s`: `.` matches a line feed.
    dot_all: bool,
}

/// A group that is not closed yet; the outermost one is the pattern.
#[derive(Default)]
struct Group {
    /// The alternatives before the last `|`.
    before: Vec<Atom>,
    /// The atoms of the alternative that is being read.
    atoms: Vec<Atom>,
    /// The flags outside of the group.
    outside: Flags,
}

/// A part of the pattern that a repetition can follow.
struct Atom {
    /// In the syntax of the `regex` crate.
    text: String,
    /// The largest product of nested repetitions inside.
    repeats: u32,
}

impl Atom {
    fn once(text: String) -> Self {
        Self { text, repeats: 1 }
    }
}

impl Group {
    /// Ends an alternative.
    fn alternative(&mut self) {
        let atoms = std::mem::take(&mut self.atoms);
        let repeats = atoms.iter().map(|atom| atom.repeats).max().unwrap_or(1);
        let text = atoms.into_iter().map(|atom| atom.text).collect();
        self.before.push(Atom { text, repeats });
    }

    /// Ends the group.
    fn close(mut self) -> Atom {
        self.alternative();
        let repeats = self.before.iter().map(|atom| atom.repeats).max().unwrap_or(1);
        let all: Vec<String> = self.before.into_iter().map(|atom| atom.text).collect();
        Atom { text: format!("(?:{})", all.join("|")), repeats }
    }
}

struct Parser<'p> {
    rest: &'p str,
    flags: Flags,
    /// The groups around the open one, outermost first.
    groups: Vec<Group>,
    open: Group,
    names: BTreeSet<&'p str>,
}

impl<'p> Parser<'p> {
    fn whole(&mut self) -> Result<String, String> {
        let mut was_repetition = false;
        while let Some(next) = self.rest.chars().next() {
            let start = self.rest;
            let repetition = self.repetition()?;
            if let Some((least, most)) = repetition {
                if was_repetition {
                    return Err(format!(
                        "a repetition follows a repetition at `{}`: write it in a group",
                        shown(start)
                    ));
                }
                self.repeat(least, most, start)?;
            } else {
                self.item(next)?;
            }
            was_repetition = repetition.is_some();
        }
        if !self.groups.is_empty() {
            return Err("a group is not closed, expected `)`".to_owned());
        }
        Ok(std::mem::take(&mut self.open).close().text)
    }

    /// Reads whatever is not a repetition.
    fn item(&mut self, next: char) -> Result<(), String> {
        let start = self.rest;
        self.skip(next.len_utf8());
        let anchor = |text: &str| Ok(text.to_owned());
        let text = match next {
            '(' => return self.group(start),
            ')' => return self.end_of_group(start),
            '|' => {
                self.open.alternative();
                return Ok(());
            }
            '[' => class::bracketed(self, start).map(|class| class.text(self.flags.fold)),
            '.' => anchor(if self.flags.dot_all { "(?s:.)" } else { r"[^\n]" }),
            '^' => anchor(if self.flags.lines { "(?m:^)" } else { r"\A" }),
            '$' => anchor(if self.flags.lines { "(?m:$)" } else { r"\z" }),
            '\\' => return self.escape(start),
            literal => Ok(self.literal(literal)),
        };
        self.open.atoms.push(Atom::once(text?));
        Ok(())
    }

    /// Reads what follows a `\` outside of a class.
    fn escape(&mut self, start: &'p str) -> Result<(), String> {
        let text = if self.take("A") {
            r"\A".to_owned()
        } else if self.take("z") {
            r"\z".to_owned()
        } else if self.take("b") {
            r"(?-u:\b)".to_owned()
        } else if self.take("B") {
            r"(?-u:\B)".to_owned()
        } else if self.take("Q") {
            let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            self.rest = rest;
            for literal in quoted.chars() {
                let text = self.literal(literal);
                self.open.atoms.push(Atom::once(text));
            }
            return Ok(());
        } else {
            let mut class = Class::default();
            if class::escaped_set(self, &mut class, start)? {
                class.text(self.flags.fold)
            } else {
                let literal = self.escaped_char(start)?;
                self.literal(literal)
            }
        };
        self.open.atoms.push(Atom::once(text));
        Ok(())
    }

    /// Reads the character that follows a `\`.
    fn escaped_char(&mut self, start: &str) -> Result<char, String> {
        let bad = || format!("`{}` is not an escape of RE2", shown(start));
        let next = self.rest.chars().next().ok_or("a `\\` ends the pattern")?;
        self.skip(next.len_utf8());
        let code = match next {
            'a' => 0x07,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            // One digit alone would be a reference to a group, which RE2 does not have.
            '1'..='7' if !self.rest.starts_with(|digit: char| digit.is_digit(8)) => {
                return Err(format!("`{}` refers to a group, which RE2 cannot do", shown(start)));
            }
            '0'..='7' => {
                let more =
                    self.rest.bytes().take(2).take_while(|digit| matches!(digit, b'0'..=b'7'));
                let digits = 1 + more.count();
                let octal = start.get(1..=digits).ok_or_else(bad)?;
                self.skip(digits - 1);
                u32::from_str_radix(octal, 8).map_err(|_| bad())?
            }
            'x' => self.hexadecimal().ok_or_else(bad)?,
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => u32::from(other),
            _ => return Err(bad()),
        };
        char::from_u32(code)
            .ok_or_else(|| format!("`{}` is not a character that a text can contain", shown(start)))
    }

    /// Reads what follows `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        let (digits, length) = match self.rest.strip_prefix('{') {
            Some(inside) => inside.split_once('}').map(|(digits, _)| (digits, digits.len() + 2))?,
            None => (self.rest.get(..2)?, 2),
        };
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.skip(length);
        u32::from_str_radix(digits, 16).ok()
    }

    fn literal(&self, literal: char) -> String {
        let mut class = String::new();
        if self.flags.fold {
            let _infallible = write!(class, r"(?i:\x{{{:X}}})", u32::from(literal));
        } else if literal.is_ascii_alphanumeric() {
            class.push(literal);
        } else {
            let _infallible = write!(class, r"\x{{{:X}}}", u32::from(literal));
        }
        class
    }

    /// Reads what follows a `(`.
    fn group(&mut self, start: &'p str) -> Result<(), String> {
        let mut inside = self.flags;
        if self.take("?") {
            if let Some(name) = self.name(start)? {
                if !self.names.insert(name) {
                    return Err(format!("two groups have the name `{name}`"));
                }
            } else {
                let (flags, opens) = self.flags(start)?;
                if !opens {
                    self.flags = flags;
                    return Ok(());
                }
                inside = flags;
            }
        }
        let group = Group { outside: self.flags, ..Group::default() };
        self.groups.push(std::mem::replace(&mut self.open, group));
        self.flags = inside;
        Ok(())
    }

    /// Reads `P<name>` or `<name>`; `None` if the group has no name.
    fn name(&mut self, start: &str) -> Result<Option<&'p str>, String> {
        if !self.take("P<") && !self.take("<") {
            return Ok(None);
        }
        let bad = || {
            format!(
                "`{}` does not begin a group of RE2: a name is letters, digits and `_`, and there is no look-around",
                shown(start)
            )
        };
        let (name, rest) = self.rest.split_once('>').ok_or_else(bad)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(bad());
        }
        self.rest = rest;
        Ok(Some(name))
    }

    /// Reads the flags of a group, and whether it opens (`:`) or only sets the flags (`)`).
    fn flags(&mut self, start: &str) -> Result<(Flags, bool), String> {
        let mut flags = self.flags;
        let mut sets = true;
        let mut is_complete = true;
        loop {
            let next = self.rest.chars().next();
            self.skip(next.map_or(0, char::len_utf8));
            match next {
                Some('i') => flags.fold = sets,
                Some('m') => flags.lines = sets,
                Some('s') => flags.dot_all = sets,
                Some('U') => {}
                Some('-') if sets => {
                    sets = false;
                    is_complete = false;
                    continue;
                }
                Some(end @ (':' | ')')) if is_complete => return Ok((flags, end == ':')),
                _ => {
                    return Err(format!(
                        "`{}` does not begin a group of RE2: the flags are i, m, s and U, and there is no look-around",
                        shown(start)
                    ));
                }
            }
            is_complete = true;
        }
    }

    fn end_of_group(&mut self, start: &str) -> Result<(), String> {
        let Some(outer) = self.groups.pop() else {
            return Err(format!("`{}` closes no group", shown(start)));
        };
        let group = std::mem::replace(&mut self.open, outer);
        self.flags = group.outside;
        self.open.atoms.push(group.close());
        Ok(())
    }

    /// Reads a repetition: `None` if the next character begins none.
    fn repetition(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let start = self.rest;
        let bounds = if self.take("*") {
            (0, None)
        } else if self.take("+") {
            (1, None)
        } else if self.take("?") {
            (0, Some(1))
        } else if let Some(bounds) = self.counted() {
            bounds.ok_or_else(|| {
                format!(
                    "`{}` repeats too often or the wrong way round, expected at most {REPEATS_MAX}",
                    shown(start)
                )
            })?
        } else {
            return Ok(None);
        };
        self.take("?");
        Ok(Some(bounds))
    }

    /// Reads `{n}`, `{n,}` or `{n,m}`. Outer `None`: the brace is a literal; inner: the numbers are
    /// too large or the wrong way round.
    fn counted(&mut self) -> Option<Option<(u32, Option<u32>)>> {
        let (inside, rest) = self.rest.strip_prefix('{')?.split_once('}')?;
        let (least, most) = match inside.split_once(',') {
            None => (inside, Some(inside)),
            Some((least, "")) => (least, None),
            Some((least, most)) => (least, Some(most)),
        };
        let is_number = |text: &&str| {
            !text.is_empty()
                && text.bytes().all(|digit| digit.is_ascii_digit())
                && (text.len() == 1 || !text.starts_with('0'))
        };
        if !is_number(&least) || most.is_some_and(|most| !is_number(&most)) {
            return None;
        }
        self.rest = rest;
        let number = |text: &str| text.parse().ok().filter(|number| *number <= REPEATS_MAX);
        let bounds = || {
            let least: u32 = number(least)?;
            let most = most.map(|most| number(most).ok_or(())).transpose().ok()?;
            most.is_none_or(|most| least <= most).then_some((least, most))
        };
        Some(bounds())
    }

    fn repeat(&mut self, least: u32, most: Option<u32>, start: &str) -> Result<(), String> {
        let Some(atom) = self.open.atoms.pop() else {
            return Err(format!("nothing precedes the repetition `{}`", shown(start)));
        };
        let repeats = match most {
            Some(0) => 1,
            Some(most) => most.saturating_mul(atom.repeats),
            None => least.max(1).saturating_mul(atom.repeats),
        };
        if repeats > REPEATS_MAX {
            return Err(format!(
                "nested repetitions demand {repeats} in all at `{}`, expected at most {REPEATS_MAX}",
                shown(start)
            ));
        }
        let text = match (least, most) {
            (0, None) => format!("(?:{})*", atom.text),
            (1, None) => format!("(?:{})+", atom.text),
            (least, None) => format!("(?:{}){{{least},}}", atom.text),
            (least, Some(most)) => format!("(?:{}){{{least},{most}}}", atom.text),
        };
        self.open.atoms.push(Atom { text, repeats });
        Ok(())
    }

    /// Skips a prefix; `false` if the rest does not begin with it.
    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

/// Returns the beginning of the rest of a pattern, for a message.
fn shown(rest: &str) -> String {
    rest.chars().take(12).collect()
}
