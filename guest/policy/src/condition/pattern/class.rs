//! Classes of characters: `[a-z]`, `[^[:space:]]`, `\d`, `\pL`.

use std::fmt::Write as _;

use super::sets::{self, Range};
use super::{Parser, shown};

/// A class as it is read.
#[derive(Default)]
pub(super) struct Class {
    is_negated: bool,
    /// The inside of a class, in the syntax of the `regex` crate.
    items: String,
}

impl Class {
    /// Returns the class in the syntax of the `regex` crate.
    pub(super) fn text(&self, fold: bool) -> String {
        let not = if self.is_negated { "^" } else { "" };
        let flags = if fold { "i" } else { "" };
        format!("(?{flags}:[{not}{}])", self.items)
    }

    fn range(&mut self, first: char, last: char) {
        let _infallible =
            write!(self.items, r"\x{{{:X}}}-\x{{{:X}}}", u32::from(first), u32::from(last));
    }

    fn set(&mut self, ranges: &[Range], is_negated: bool) {
        self.items.push_str(if is_negated { "[^" } else { "[" });
        for (first, last) in ranges {
            self.range(*first, *last);
        }
        self.items.push(']');
    }
}

/// Reads what follows a `[`.
pub(super) fn bracketed(parser: &mut Parser<'_>, start: &str) -> Result<Class, String> {
    let mut class = Class { is_negated: parser.take("^"), ..Class::default() };
    let mut is_first = true;
    // A `]` that comes first is a literal.
    while is_first || !parser.take("]") {
        is_first = false;
        if named_set(parser, &mut class)? {
            continue;
        }
        let item = parser.rest;
        if parser.take("\\") {
            if escaped_set(parser, &mut class, item)? {
                continue;
            }
            parser.rest = item;
        }
        let first = char_of_class(parser, start)?;
        let mut last = first;
        // A `-` before the closing bracket is a literal.
        if parser.rest.starts_with('-') && parser.rest.get(1..2).is_none_or(|next| next != "]") {
            parser.take("-");
            last = char_of_class(parser, start)?;
        }
        if last < first {
            return Err(format!("`{}` ends before it begins", shown(item)));
        }
        class.range(first, last);
    }
    Ok(class)
}

fn char_of_class(parser: &mut Parser<'_>, class: &str) -> Result<char, String> {
    let start = parser.rest;
    let Some(next) = start.chars().next() else {
        return Err(format!("the class `{}` is not closed, expected `]`", shown(class)));
    };
    parser.skip(next.len_utf8());
    if next == '\\' { parser.escaped_char(start) } else { Ok(next) }
}

/// Reads `[:name:]` or `[:^name:]`; `false` if no such set follows.
fn named_set(parser: &mut Parser<'_>, class: &mut Class) -> Result<bool, String> {
    let Some(inside) = parser.rest.strip_prefix("[:") else { return Ok(false) };
    let Some((name, rest)) = inside.split_once(":]") else { return Ok(false) };
    let (plain, is_negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let ranges =
        sets::named(plain).ok_or_else(|| format!("`[:{}:]` is not a set of RE2", shown(name)))?;
    class.set(ranges, is_negated);
    parser.rest = rest;
    Ok(true)
}

/// Reads a set that follows a `\`: `d`, `s`, `w`, `p` and their upper cases; `false` if none follows.
pub(super) fn escaped_set(
    parser: &mut Parser<'_>,
    class: &mut Class,
    start: &str,
) -> Result<bool, String> {
    let Some(letter) = parser.rest.chars().next() else { return Ok(false) };
    let is_upper = letter.is_ascii_uppercase();
    match letter.to_ascii_lowercase() {
        'd' => class.set(sets::DIGITS, is_upper),
        's' => class.set(sets::SPACES, is_upper),
        'w' => class.set(sets::WORDS, is_upper),
        'p' => {
            parser.skip(1);
            return unicode_set(parser, class, is_upper, start).map(|()| true);
        }
        _ => return Ok(false),
    }
    parser.skip(1);
    Ok(true)
}

/// Reads what follows `\p`: a letter, or a name in braces.
fn unicode_set(
    parser: &mut Parser<'_>,
    class: &mut Class,
    is_upper: bool,
    start: &str,
) -> Result<(), String> {
    let bad = |why: &str| format!("`{}` is not a set of Unicode that RE2 has{why}", shown(start));
    let (name, length) = match parser.rest.strip_prefix('{') {
        Some(inside) => {
            let (name, _) = inside.split_once('}').ok_or_else(|| bad(""))?;
            (name, name.len() + 2)
        }
        None => {
            let next = parser.rest.chars().next().ok_or_else(|| bad(""))?;
            parser
                .rest
                .split_at_checked(next.len_utf8())
                .map(|(name, _)| (name, name.len()))
                .ok_or_else(|| bad(""))?
        }
    };
    let (plain, is_caret) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let letter = if is_upper == is_caret { 'p' } else { 'P' };
    if plain == "Any" {
        class.set(sets::ANY, letter == 'P');
    } else if sets::CATEGORIES.contains(&plain) {
        let _infallible = write!(class.items, r"\{letter}{{gc={plain}}}");
    } else if sets::SCRIPTS.contains(&plain) {
        let _infallible = write!(class.items, r"\{letter}{{sc={plain}}}");
    } else if matches!(plain, "C" | "Cs") {
        return Err(bad(" with one meaning: name Cc, Cf or Co"));
    } else {
        return Err(bad(": a category such as `Lu` or a script such as `Greek`"));
    }
    parser.skip(length);
    Ok(())
}
