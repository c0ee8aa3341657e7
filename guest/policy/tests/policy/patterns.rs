//! `matches` as RE2 has it. `tests/differential/` compares many more patterns with Go's; these rows are
//! the places where the `regex` crate alone would give another answer.

use super::support::{errors, outcome};

fn matches(pattern: &str, text: &str) -> String {
    let context = serde_json::json!({ "t": text }).to_string();
    outcome(&format!("context.t.matches({})", literal(pattern)), &context)
}

/// Returns a text as a literal of CEL.
fn literal(text: &str) -> String {
    let quoted = text.chars().map(|char| match char {
        '\\' => r"\\".to_owned(),
        '\'' => r"\'".to_owned(),
        '\n' => r"\n".to_owned(),
        char => char.to_string(),
    });
    format!("'{}'", quoted.collect::<String>())
}

#[test]
fn sets_and_boundaries_are_ascii() {
    for (pattern, matching, other) in [
        (r"^\d$", &["7"][..], &["٣", "７"][..]),
        (r"^\D$", &["٣"], &["7"]),
        (r"^\w$", &["a", "_"], &["é", "ж"]),
        (r"^\W$", &["é"], &["a"]),
        (r"^\s$", &[" ", "\t", "\u{c}"], &["\u{b}", "\u{a0}", "\u{2003}"]),
        (r"^\S$", &["\u{b}", "\u{a0}"], &[" "]),
        (r"^[[:space:]]$", &["\u{b}"], &["\u{a0}"]),
        (r"\bab\b", &["éab", "ab é"], &["cab"]),
        (r"a\Bb", &["ab"], &["a b"]),
        (r"é\B", &["é"], &["éa"]),
        (r"^[\D\d]$", &["é"], &["éé"]),
        (r"^[^\W\d]$", &["a"], &["7", "é"]),
        (r"^(?i)\w$", &["\u{17f}", "\u{212a}"], &["é"]),
        (r"^(?i)[^k]$", &["a"], &["K", "\u{212a}"]),
        (r"^(?i)k$", &["K", "\u{212a}"], &["a"]),
        (r"^(?i)Ж$", &["ж"], &["з"]),
    ] {
        check(pattern, matching, other);
    }
}

#[test]
fn a_class_has_no_operators() {
    for (pattern, matching, other) in [
        (r"^[a-z&&[^b]]$", &["b]", "&]", "[]", "^]"][..], &["a"][..]),
        (r"^[+--]$", &["+", ",", "-"], &["."]),
        (r"^[a~~b]$", &["~"], &["c"]),
        (r"^[[a]$", &["[", "a"], &["]"]),
        (r"^[]a]$", &["]", "a"], &["b"]),
        (r"^[^]a]$", &["b"], &["]"]),
        (r"^[a-]$", &["-"], &["b"]),
        (r"^[-a]$", &["-"], &["b"]),
        (r"^[\d-z]$", &["-", "z", "3"], &["a"]),
        (r"^[[:alpha:]_]$", &["A", "_"], &["1", ":"]),
        (r"^[[:^alpha:]]$", &["1"], &["a"]),
        (r"^[[:alpha]$", &["[", ":", "l"], &["b"]),
        (r"^[:alpha:]$", &[":", "p"], &["b"]),
        (r"^[.*]$", &[".", "*"], &["a"]),
        (r"^[\]\\]$", &["]", "\\"], &["a"]),
    ] {
        check(pattern, matching, other);
    }
}

#[test]
fn literals_escapes_and_repetitions_are_read_as_re2_reads_them() {
    for (pattern, matching, other) in [
        (r"^a{,2}$", &["a{,2}"][..], &["aa", ""][..]),
        (r"^a{01}$", &["a{01}"], &["a"]),
        (r"^a{$", &["a{"], &["a"]),
        (r"^}]$", &["}]"], &["]"]),
        (r"^\101\x41\x{41}$", &["AAA"], &["A"]),
        (r"^\0$", &["\u{0}"], &["0"]),
        (r"^\Qa.b\E.$", &["a.bc"], &["axbc"]),
        (r"^\Qa.b", &["a.b"], &["axb"]),
        (r"^\Qab\E*$", &["a", "abb"], &["abab"]),
        (r"^a*\Q\E*$", &["", "aa"], &["b"]),
        (r"^\a\f\t\n\r\v$", &["\u{7}\u{c}\t\n\r\u{b}"], &["a"]),
        (r"^\_\-\/$", &["_-/"], &["a"]),
        (r"^.$", &["é", "\r"], &["\n"]),
        (r"^(?s).$", &["\n"], &["ab"]),
        (r"a$", &["ba"], &["a\n"]),
        (r"(?m)^a$", &["b\na\nc"], &["b\nac"]),
        (r"^(?m:^)a$", &["a"], &["b\na"]),
        (r"^(?:a(?i)b|c)d$", &["aBd", "Cd"], &["ABd", "cD"]),
        (r"^(?i:a(?-i)b)$", &["Ab"], &["AB"]),
        (r"^(?P<n>a)(?<m>b)(?P<1>c)$", &["abc"], &["ab"]),
        (r"^(?U)a+?$", &["aa"], &["b"]),
        (r"^(?)a||$", &["", "b"], &[]),
        (r"^(|a)+b$", &["b", "aab"], &["c"]),
        (r"^\pL\p{Greek}\P{Greek}\p{^Lu}$", &["aαaa", "aα1λ"], &["aaaa", "aααa", "aαaA"]),
        (r"^(?i)\p{Lu}$", &["a", "A"], &["1"]),
        (r"^(?i)\P{Lu}$", &["1"], &["a"]),
        (r"^[\p{Any}]$", &["\n", "😀"], &[""]),
        (r"^[^\x{0}-\x{10FFFF}]", &[], &["a", ""]),
        (r"^(?:a{10}){100}$", &[], &["a"]),
    ] {
        check(pattern, matching, other);
    }
}

fn check(pattern: &str, matching: &[&str], other: &[&str]) {
    for text in matching {
        assert_eq!(matches(pattern, text), "true", "{pattern} {text:?}");
    }
    for text in other {
        assert_eq!(matches(pattern, text), "false", "{pattern} {text:?}");
    }
}

#[test]
fn what_re2_lacks_or_reads_in_two_ways_is_refused() {
    // pattern => a piece of the message
    let table = r"
        (?=a)            => no look-around
        (?<=a)           => no look-around
        (?<!a)           => no look-around
        (?P=n)           => does not begin a group
        (?x)a b          => does not begin a group
        (?u)a            => does not begin a group
        (?R)a            => does not begin a group
        (?i-)a           => does not begin a group
        (?--i)a          => does not begin a group
        (?P<é>a)         => does not begin a group
        (?P<>a)          => does not begin a group
        (?P<n            => does not begin a group
        (?P<n>a)(?<n>b)  => two groups have the name
        (?i              => does not begin a group
        (a               => a group is not closed
        a)               => closes no group
        (a)\1            => refers to a group
        \8               => not an escape
        \Z               => not an escape
        \G               => not an escape
        \C               => not an escape
        \K               => not an escape
        \R               => not an escape
        \h               => not an escape
        \u0041           => not an escape
        \U00000041       => not an escape
        \<a\>            => => not refused
        \é               => not an escape
        \x4              => not an escape
        \x{}             => not an escape
        \x{110000}       => not a character
        \x{D800}         => not a character
        [\b]             => not an escape
        [\A]             => not an escape
        [a               => is not closed
        []               => is not closed
        [a--b]           => ends before it begins
        [z-a]            => ends before it begins
        [a-\d]           => not an escape
        [[:foo:]]        => not a set of RE2
        [[=a=]]          => => not refused
        \pC              => with one meaning
        \p{Cs}           => with one meaning
        \p{Letter}       => a category such as
        \p{greek}        => a category such as
        \p{Grek}         => a category such as
        \p{Alphabetic}   => a category such as
        \p{sc=Greek}     => a category such as
        \p               => not a set of Unicode
        \p{Lu            => not a set of Unicode
        a**              => follows a repetition
        a*+              => follows a repetition
        a{2}{3}          => follows a repetition
        a+??             => follows a repetition
        *a               => nothing precedes
        (*a)             => nothing precedes
        a|*              => nothing precedes
        {2}              => nothing precedes
        a{1001}          => repeats too often
        a{3,2}           => the wrong way round
        a{99999999999}   => repeats too often
        (?:a{10}){101}   => nested repetitions demand 1010
        \                => ends the pattern
    ";
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (pattern, message) = line.split_once("=>").unwrap();
        let (pattern, message) = (pattern.trim(), message.trim());
        let when = format!("agent.matches({})", literal(pattern));
        let found = errors(&format!("[[rule]]\nid = 'r'\nverdict = 'deny'\nwhen = '''{when}'''\n"));
        if message == "=> not refused" {
            assert!(found.is_empty(), "{pattern}: {found:?}");
        } else {
            assert!(
                found.iter().any(|problem| problem.message.contains(message)),
                "{pattern}: {found:?}"
            );
        }
    }
}

#[test]
fn every_script_and_category_that_is_accepted_is_known_to_the_engine() {
    for name in ["Lu", "Co", "Sk", "Zl", "Adlam", "Nag_Mundari", "SignWriting", "Zanabazar_Square"]
    {
        assert_eq!(matches(&format!(r"^\p{{{name}}}$"), "-"), "false", "{name}");
    }
}
