//! Properties of every context, independent of CPython.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use signoff_core::context::{
    BYTES_MAX, DEPTH_MAX, Reason, canonicalize, canonicalize_and_digest, digest,
};

const DOCUMENT: &str = r#"{ "b" : [ 1, -2.50, 1e-7, true, null ], "a\u00e9" : { "y" : "\n\ud83d\ude00é", "x" : "" },
    "ä" : [ [ ], { } ] , "key that is long" : "a string of more than eight bytes", "z" : false }"#;

#[test]
fn canonicalization_is_idempotent() {
    for text in [DOCUMENT, "{}", r#"{"b":1e22,"a":[1.0,-0.0,-0]}"#] {
        let canonical = canonicalize(text).unwrap();
        assert_eq!(canonicalize(&canonical).unwrap(), canonical);
        assert_eq!(digest(text).unwrap(), digest(&canonical).unwrap());
    }
}

#[test]
fn order_and_white_space_do_not_matter() {
    let mut random = Random(1);
    for _ in 0..300 {
        let members = random_members(&mut random);
        let expected = canonicalize(&object(&members, &mut Random(0))).unwrap();
        for _ in 0..5 {
            let mut shuffled = members.clone();
            random.shuffle(&mut shuffled);
            assert_eq!(canonicalize(&object(&shuffled, &mut random)).unwrap(), expected);
        }
    }
}

#[test]
fn every_member_counts() {
    let mut random = Random(2);
    for _ in 0..100 {
        let members = random_members(&mut random);
        let whole = digest(&object(&members, &mut random)).unwrap();
        for at in 0..members.len() {
            let mut fewer = members.clone();
            fewer.remove(at);
            assert_ne!(digest(&object(&fewer, &mut random)).unwrap(), whole);
        }
    }
}

#[test]
fn no_prefix_of_a_document_is_accepted() {
    for (end, _) in DOCUMENT.char_indices() {
        let invalid = canonicalize(&DOCUMENT[..end]).unwrap_err();
        assert!(invalid.offset <= end, "{invalid}");
    }
}

#[test]
fn any_text_is_accepted_whole_or_refused_at_one_of_its_characters() {
    let mut random = Random(3);
    for _ in 0..200_000 {
        let text = edited(DOCUMENT, &mut random);
        match canonicalize_and_digest(&text) {
            Ok((canonical, digest_of)) => {
                assert!(canonical.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text}");
                assert_eq!(canonicalize(&canonical).as_ref(), Ok(&canonical), "{text}");
                assert_eq!(digest(&canonical), Ok(digest_of), "{text}");
            }
            Err(invalid) => assert!(text.is_char_boundary(invalid.offset), "{invalid}: {text}"),
        }
    }
}

#[test]
fn many_members_are_ordered() {
    let numbers = || 0..60_000;
    let reversed: Vec<_> = numbers().rev().map(|i| format!(r#""k{i:05}":{i}"#)).collect();
    let sorted: Vec<_> = numbers().map(|i| format!(r#""k{i:05}": {i}"#)).collect();
    let expected = format!("{{{}}}", sorted.join(", "));
    assert_eq!(canonicalize(&format!("{{{}}}", reversed.join(","))).unwrap(), expected);
}

#[test]
fn long_keys_that_differ_late_are_ordered() {
    let name = |i: usize| format!("{}{i:03}", r"\u0061".repeat(100));
    let members: Vec<_> = (0..1000).rev().map(|i| format!(r#""{}":0"#, name(i))).collect();
    let canonical = canonicalize(&format!("{{{}}}", members.join(","))).unwrap();
    assert!(canonical.starts_with(&format!(r#"{{"{}000": 0, "#, "a".repeat(100))));
    assert!(canonical.ends_with(&format!(r#""{}999": 0}}"#, "a".repeat(100))));
}

#[test]
fn sorting_cost_is_bounded_by_depth() {
    // Each level moves nearly a mebibyte; quadratic work would not end.
    let filler = "x".repeat(BYTES_MAX - 1024);
    let text =
        format!(r#"{}"{filler}"{}"#, r#"{"b":"#.repeat(DEPTH_MAX), r#","a":0}"#.repeat(DEPTH_MAX));
    let canonical = canonicalize(&text).unwrap();
    assert!(canonical.starts_with(r#"{"a": 0, "b": {"a": 0, "b": "#));
    assert_eq!(canonicalize(&canonical).unwrap(), canonical);
}

#[test]
fn refusals_say_what_and_where() {
    let cases = [
        (r#"{"a":1, "a":2}"#, "duplicate key `a` at byte 8"),
        ("{\"é\\n\":1,\"\\u00e9\\n\":2}", r"duplicate key `\u00e9\n` at byte 10"),
        ("", "expected an object, found the end of the text at byte 0"),
        ("[]", "expected an object, found `[` at byte 0"),
        ("\u{feff}{}", r"expected an object, found `\u{feff}` at byte 0"),
        ("{'a':1}", "expected a key in double quotes, found `'` at byte 1"),
        (r#"{"a" 1}"#, "expected `:`, found `1` at byte 5"),
        (r#"{"a":é}"#, r"expected a value, found `\u{e9}` at byte 5"),
        (r#"{"a":1 2}"#, "expected `,` or `}`, found `2` at byte 7"),
        (r#"{"a":[1"#, "expected `,` or `]`, found the end of the text at byte 7"),
        (r#"{"a":-}"#, "expected a digit, found `}` at byte 6"),
        (r#"{"a":"b"#, "expected a closing `\"`, found the end of the text at byte 7"),
        ("{} x", "expected the end of the text, found `x` at byte 3"),
        ("{\"a\":\"\n\"}", "control character in a string at byte 6"),
        (r#"{"a":"\x"}"#, "invalid escape in a string at byte 6"),
        (r#"{"a":"\ud800"}"#, "surrogate without its partner at byte 6"),
        (r#"{"a":NaN}"#, "number that is not finite at byte 5"),
        (r#"{"a":1e999}"#, "number too large for a float at byte 5"),
        (r#"{"a":01}"#, "number with a leading zero at byte 5"),
    ];
    for (text, expected) in cases {
        assert_eq!(canonicalize(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn a_long_duplicate_key_is_cut_short() {
    let key = "k".repeat(1000);
    let invalid = canonicalize(&format!(r#"{{"{key}":1,"{key}":2}}"#)).unwrap_err();
    let shown = format!("{}…", "k".repeat(64));
    assert_eq!(invalid.reason, Reason::DuplicateKey(shown));
}

/// Distinct members of every kind, as their texts.
fn random_members(random: &mut Random) -> Vec<String> {
    let values = ["1", "-0.5", "1e5", "true", "null", r#""é\n""#, "[1,[2]]", r#"{"b":1,"a":2}"#];
    let names =
        ["", "a", "b", "é", r"\u00ea", r"\n", "\u{ffff}", r"\ud83d\ude00", "sixteen bytes ab"];
    let mut members = Vec::new();
    for name in names {
        if random.below(3) > 0 {
            members.push(format!(r#""{name}":{}"#, values[random.below(values.len())]));
        }
    }
    for number in 0..random.below(40) {
        members.push(format!(r#""key number {number}":{number}"#));
    }
    members
}

fn object(members: &[String], random: &mut Random) -> String {
    let mut text = String::from("{");
    for (at, member) in members.iter().enumerate() {
        text.push_str(if at > 0 { "," } else { "" });
        text.push_str([" ", "", "\n\t", "         "][random.below(4)]);
        text.push_str(member);
    }
    text + "}"
}

/// A text with one to three characters replaced, removed or doubled.
fn edited(text: &str, random: &mut Random) -> String {
    let pieces: Vec<_> =
        "{}[],:\"\\'01.eE+-tfn \t\n\0\x1f\x7fué\u{10000}\u{feff}".chars().collect();
    let mut characters: Vec<_> = text.chars().collect();
    for _ in 0..=random.below(3) {
        let at = random.below(characters.len());
        let piece = pieces[random.below(pieces.len())];
        match random.below(4) {
            0 => characters[at] = piece,
            1 => characters.insert(at, piece),
            2 => characters.insert(at, characters[at]),
            _ => drop(characters.remove(at)),
        }
    }
    characters.into_iter().collect()
}

/// Splitmix64: the same numbers on every run and every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % limit
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
