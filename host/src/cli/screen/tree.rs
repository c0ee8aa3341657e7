//! A JSON text as an indented tree, one member a line, for people.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use signoff_core::context::DEPTH_MAX;

use super::lookalike;
use super::text::in_one_line;

/// Strings of more characters are folded.
const STRING_CHARS_MAX: usize = 600;
/// Characters of a folded string that are shown.
const STRING_CHARS_SHOWN: usize = 200;
/// Longer objects and arrays are folded.
const MEMBERS_MAX: usize = 100;

/// One line of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The depth of its indentation.
    pub(super) depth: usize,
    /// The member's name or the mark of an item, with what separates it from the value.
    pub(super) name: String,
    /// The value, escaped.
    pub(super) value: String,
    /// What is folded here, in our words.
    pub(super) folded: Option<String>,
    /// A remark on a word of the name or the value that may look like another.
    pub(super) remark: Option<String>,
}

/// Lays a JSON text out. With `full` nothing is folded. A text that is not JSON is one line.
pub(super) fn lines(json: &str, full: bool) -> Vec<Line> {
    let mut tree = Tree { lines: Vec::new(), full };
    match serde_json::from_str::<&RawValue>(json) {
        Ok(value) => tree.value(0, String::new(), value),
        Err(_) => tree.push(0, String::new(), in_one_line(json)),
    }
    tree.lines
}

struct Tree {
    lines: Vec<Line>,
    full: bool,
}

impl Tree {
    fn value(&mut self, depth: usize, name: String, raw: &RawValue) {
        let text = raw.get();
        match text.as_bytes().first() {
            // Nothing that can be signed is deeper; a server may show what nobody signed.
            _ if depth > DEPTH_MAX => self.push(depth, name, in_one_line(text)),
            Some(b'{') => self.members(depth, name, text),
            Some(b'[') => self.items(depth, name, text),
            Some(b'"') => self.string(depth, name, text),
            // A number is shown as it was signed, digit by digit.
            _ => self.push(depth, name, in_one_line(text)),
        }
    }

    fn members(&mut self, depth: usize, name: String, text: &str) {
        let Ok(Members(members)) = serde_json::from_str(text) else {
            return self.push(depth, name, in_one_line(text));
        };
        if members.is_empty() {
            return self.push(depth, name, "{}".to_owned());
        }
        let inner = self.open(depth, name);
        let shown = self.shown(members.len());
        for (key, value) in members.iter().take(shown) {
            let first = self.lines.len();
            self.value(inner, format!("{}: ", key_text(key)), value);
            if let (Some(line), Some(remark)) = (self.lines.get_mut(first), lookalike::remark(key))
            {
                line.remark = Some(remark);
            }
        }
        self.fold_rest(inner, members.len(), shown, "members");
    }

    fn items(&mut self, depth: usize, name: String, text: &str) {
        let Ok(Items(items)) = serde_json::from_str(text) else {
            return self.push(depth, name, in_one_line(text));
        };
        if items.is_empty() {
            return self.push(depth, name, "[]".to_owned());
        }
        let inner = self.open(depth, name);
        let shown = self.shown(items.len());
        for item in items.iter().take(shown) {
            self.value(inner, "- ".to_owned(), item);
        }
        self.fold_rest(inner, items.len(), shown, "items");
    }

    fn string(&mut self, depth: usize, name: String, text: &str) {
        let Ok(text) = serde_json::from_str::<String>(text) else {
            return self.push(depth, name, in_one_line(text));
        };
        let length = text.chars().count();
        if self.full || length <= STRING_CHARS_MAX {
            self.push(depth, name, format!("\"{}\"", quoted(&text)));
            return self.mark(&text);
        }
        let head: String = text.chars().take(STRING_CHARS_SHOWN).collect();
        self.push(depth, name, format!("\"{}", quoted(&head)));
        self.mark(&text);
        self.fold(format!("{} more characters of {length}", length - STRING_CHARS_SHOWN));
    }

    /// Starts an object or array; returns the depth of what it contains. The outermost has no line.
    fn open(&mut self, depth: usize, name: String) -> usize {
        if name.is_empty() {
            return depth;
        }
        self.push(depth, name, String::new());
        depth + 1
    }

    fn shown(&self, length: usize) -> usize {
        if self.full { length } else { length.min(MEMBERS_MAX) }
    }

    fn fold_rest(&mut self, depth: usize, length: usize, shown: usize, what: &str) {
        if length > shown {
            self.push(depth, String::new(), String::new());
            self.fold(format!("{} more {what} of {length}", length - shown));
        }
    }

    fn push(&mut self, depth: usize, name: String, value: String) {
        self.lines.push(Line { depth, name, value, folded: None, remark: None });
    }

    /// Marks the last line if a word of this text may look like another.
    fn mark(&mut self, text: &str) {
        if let Some(line) = self.lines.last_mut() {
            line.remark = lookalike::remark(text);
        }
    }

    fn fold(&mut self, what: String) {
        if let Some(line) = self.lines.last_mut() {
            line.folded = Some(what);
        }
    }
}

/// A member's name: bare if it cannot be taken for anything else.
fn key_text(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !key.is_empty() && !key.starts_with('-') && key.chars().all(is_bare) {
        return key.to_owned();
    }
    format!("\"{}\"", quoted(key))
}

/// A string's content, with the escapes of JSON for its quotes and backslashes.
fn quoted(text: &str) -> String {
    in_one_line(&text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The members of an object, in order; a duplicate name stays.
struct Members<'a>(Vec<(String, &'a RawValue)>);

/// The items of an array.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(json: &str, full: bool) -> Vec<String> {
        let line = |line: Line| {
            let folded = line.folded.map(|what| format!(" <{what}>")).unwrap_or_default();
            format!("{}{}{}{folded}", "  ".repeat(line.depth), line.name, line.value)
        };
        lines(json, full).into_iter().map(line).collect()
    }

    #[test]
    fn each_member_has_a_line_and_numbers_keep_their_digits() {
        let json = r#"{"a b":{"-x":[],"y":{}},"n":123456789012345678901234567890.10,"s":["Zoë",[true,null]]}"#;
        let tree = [
            "\"a b\": ",
            "  \"-x\": []",
            "  y: {}",
            "n: 123456789012345678901234567890.10",
            "s: ",
            "  - \"Zoë\"",
            "  - ",
            "    - true",
            "    - null",
        ];
        assert_eq!(drawn(json, false), tree);
        assert_eq!(drawn("[]", false), ["[]"]);
        assert_eq!(drawn("\"x\"", false), ["\"x\""]);
        assert_eq!(drawn("not json\u{1b}", false), ["not json\\u{1b}"]);
    }

    /// A server may show what nobody can sign.
    #[test]
    fn what_is_too_deep_is_one_line() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(drawn(&deep(64), true).len(), 63);
        let lines = drawn(&deep(100_000), true);
        assert_eq!(lines.len(), 66);
        assert!(lines.last().is_some_and(|last| last.contains("[[[[")));
    }

    #[test]
    fn a_string_cannot_end_its_own_quotes() {
        assert_eq!(drawn(r#"{"x":"a\" \\ \n\u202e b"}"#, false), [r#"x: "a\" \\ \n\u{202e} b""#]);
    }

    #[test]
    fn long_values_are_folded_with_their_length() {
        let long = format!("{{\"x\":\"{}\"}}", "y".repeat(601));
        let shown = drawn(&long, false);
        assert_eq!(shown, [format!("x: \"{} <401 more characters of 601>", "y".repeat(200))]);
        assert_eq!(drawn(&long, true), [format!("x: \"{}\"", "y".repeat(601))]);
        let many = format!("[{}]", vec!["1"; 103].join(","));
        let shown = drawn(&many, false);
        assert_eq!((shown.len(), shown[100].as_str()), (101, " <3 more items of 103>"));
        assert_eq!(drawn(&many, true).len(), 103);
    }
}
