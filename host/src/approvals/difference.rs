//! Which members of a context or plan differ from the approved one: for the refusal of a claim, so
//! that its caller sees what to correct. It decides nothing; the verifier compares the digests.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use signoff_core::deceptive::in_one_line;

/// Maximum number of members that are named.
const MEMBERS_MAX: usize = 16;
/// Maximum characters of the path of one member; a longer path is cut to that of its parent.
const PATH_CHARS_MAX: usize = 256;
/// Maximum depth of a path: deeper differences are named by their parent.
const DEPTH_MAX: usize = 8;

/// Returns the JSON Pointers (RFC 6901) of the members that differ between two canonical texts, in
/// the order of their names, at most [`MEMBERS_MAX`]. Members of objects are compared one by one;
/// anything else is compared as a whole, by its canonical text.
pub(super) fn differing_members(approved: &str, attempted: &str) -> Vec<String> {
    let mut found = Vec::new();
    let read = |text| serde_json::from_str::<&RawValue>(text).ok();
    if let (Some(approved), Some(attempted)) = (read(approved), read(attempted)) {
        compare(approved, attempted, "", 0, &mut found);
    }
    found
}

/// Returns a sentence that names the members.
pub(super) fn in_words(members: &[String]) -> String {
    let names: Vec<String> =
        members.iter().map(|member| format!("`{}`", in_one_line(member))).collect();
    let more = if members.len() == MEMBERS_MAX { ", and perhaps more" } else { "" };
    format!("these members differ: {}{more}", names.join(", "))
}

fn compare(
    approved: &RawValue,
    attempted: &RawValue,
    path: &str,
    depth: usize,
    found: &mut Vec<String>,
) {
    if found.len() == MEMBERS_MAX || approved.get() == attempted.get() {
        return;
    }
    let (Some(before), Some(after)) = (members(approved), members(attempted)) else {
        found.push(path.to_owned());
        return;
    };
    for name in before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))) {
        if found.len() == MEMBERS_MAX {
            return;
        }
        let (before, after) = (before.get(name), after.get(name));
        let inner = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        let (inner, is_deepest) = match inner.chars().count() > PATH_CHARS_MAX {
            true => (path.to_owned(), true),
            false => (inner, depth + 1 == DEPTH_MAX),
        };
        match (before, after) {
            (Some(before), Some(after)) if !is_deepest => {
                compare(before, after, &inner, depth + 1, found);
            }
            (Some(before), Some(after)) if before.get() == after.get() => {}
            _ if found.last() == Some(&inner) => {}
            _ => found.push(inner),
        }
    }
}

/// Returns the members of an object; `None` for any other value.
fn members(value: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn each_member_that_differs_is_named() {
        let cases = [
            (r#"{"a": 1}"#, r#"{"a": 1}"#, ""),
            (r#"{"a": 1, "b": 2}"#, r#"{"a": 1, "b": 3}"#, "/b"),
            (r#"{"a": 1, "b": 2}"#, r#"{"a": 1}"#, "/b"),
            (r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#, "/b"),
            (r#"{"a": {"b": 1, "c": [1]}}"#, r#"{"a": {"b": 1, "c": [2]}}"#, "/a/c"),
            (r#"{"a": {"b": 1}}"#, r#"{"a": [1]}"#, "/a"),
            // One value in two spellings: `1` is not `1.0`, and no digit is lost.
            (r#"{"a": 1}"#, r#"{"a": 1.0}"#, "/a"),
            (r#"{"a": 12345678901234567890123}"#, r#"{"a": 12345678901234567890124}"#, "/a"),
            (r#"{"a/b": 1, "c~d": 1}"#, r#"{"a/b": 2, "c~d": 2}"#, "/a~1b /c~0d"),
            (r#"{"": 1}"#, r#"{"": 2}"#, "/"),
        ];
        for (approved, attempted, expected) in cases {
            assert_eq!(differing_members(approved, attempted).join(" "), expected, "{attempted}");
        }
    }

    #[test]
    fn what_is_named_is_limited() {
        let object = |value: u32| {
            let members: Vec<String> =
                (0..100).map(|member| format!("\"m{member:03}\": {value}")).collect();
            format!("{{{}}}", members.join(", "))
        };
        let found = differing_members(&object(1), &object(2));
        assert_eq!((found.len(), found.first().unwrap().as_str()), (MEMBERS_MAX, "/m000"));
        let nested = |value: u32| format!("{}{value}{}", "{\"a\": ".repeat(63), "}".repeat(63));
        assert_eq!(differing_members(&nested(1), &nested(2)), ["/a".repeat(DEPTH_MAX)]);
        let name = "n".repeat(300);
        let long = |value: u32| format!("{{\"a\": {{\"{name}\": {value}, \"{name}2\": {value}}}}}");
        assert_eq!(differing_members(&long(1), &long(2)), ["/a"]);
    }

    #[test]
    fn names_are_escaped_in_words() {
        let members = differing_members("{\"a\\u202eb\": 1}", "{}");
        assert_eq!(in_words(&members), "these members differ: `/a\\u{202e}b`");
    }
}
