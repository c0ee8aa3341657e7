//! The layout by examples, and on random files: it is stable, and loses nothing.

use super::super::init::STARTER;
use super::rewrite::{Unformatted, formatted};

#[track_caller]
fn of(text: &str) -> String {
    match formatted(text) {
        Ok(formatted) => formatted,
        Err(Unformatted::Problems(problems)) => panic!("{problems:?}\n{text}"),
        Err(Unformatted::Failed(failure)) => panic!("{failure:?}\n{text}"),
    }
}

#[track_caller]
fn refused(text: &str) -> (usize, usize, String) {
    match formatted(text) {
        Err(Unformatted::Problems(mut problems)) => {
            let first = problems.remove(0);
            (first.line, first.column, first.message)
        }
        Err(Unformatted::Failed(failure)) => panic!("{failure:?}"),
        Ok(formatted) => panic!("{formatted}"),
    }
}

const MESSY: &str = r#"# The mail team's rules.

name="mail"   # short
format   = 1


default = 'deny'
[ ttl ]

weekend="72h"


# for the holidays
holiday = '5d'
[[rule]]   # first
verdict = "require_approval"
  # two people
  threshold=2

groups={security=1,   sre = 2}
id = "a"
when = """
context.a == 1
    && context.b   
"""
action = [ "quarantine",
  "delete*" ]
# ttl = "urgent"

# Nothing is purged.
[[rule]]
agent = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "ccccccccccccccccccc"]
action = [ # all of them
  "purge", # this
  # and that
  "purge*",
  # no more
]
verdict = "deny"
id = "b"
[[test]]
expect = "deny"
context = { long = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", list = [1, 2, {a=1}], more = "yyyyyyyyyy" }
name = "x"
agent = "a"
now = 2025-10-17T10:30:00Z
action = "purge"
facts.requester = "ci@company.com"
# the end
"#;

const TIDY: &str = r#"# The mail team's rules.

format = 1
name = "mail" # short

default = 'deny'

[ttl]
weekend = "72h"

# for the holidays
holiday = '5d'

[[rule]] # first
id = "a"
action = ["quarantine", "delete*"]
when = """
context.a == 1
    && context.b   
"""
verdict = "require_approval"
# two people
threshold = 2
groups = { security = 1, sre = 2 }
# ttl = "urgent"

# Nothing is purged.
[[rule]]
id = "b"
agent = [
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
  "ccccccccccccccccccc",
]
action = [
  # all of them
  "purge", # this
  # and that
  "purge*",
  # no more
]
verdict = "deny"

[[test]]
name = "x"
agent = "a"
action = "purge"
context = { long = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", list = [
  1,
  2,
  { a = 1 },
], more = "yyyyyyyyyy" }
facts.requester = "ci@company.com"
now = 2025-10-17T10:30:00Z
expect = "deny"
# the end
"#;

#[test]
fn a_messy_file_becomes_tidy_and_stays_so() {
    assert_eq!(of(MESSY), TIDY);
    assert_eq!(of(TIDY), TIDY);
    assert_eq!(of(STARTER), STARTER);
}

#[test]
fn line_ends_stay_and_other_marks_of_systems_go() {
    assert_eq!(of(&MESSY.replace('\n', "\r\n")), TIDY.replace('\n', "\r\n"));
    assert_eq!(of(&TIDY.replace('\n', "\r\n")), TIDY.replace('\n', "\r\n"));
    // Of a file with both, the lines of a text stay as they are.
    let mixed =
        of(&MESSY.replace("&& context.b   \n", "&& context.b   \r\n").replacen('\n', "\r\n", 1));
    assert_eq!(mixed, TIDY.replace("&& context.b   \n", "&& context.b   \r\n"));
    assert_eq!(of(&format!("\u{feff}{MESSY}")), TIDY);
    assert_eq!(of(TIDY.trim_end()), TIDY);
    assert_eq!(of(""), "");
    assert_eq!(of("\n\n# only this\n\n\n"), "# only this\n");
}

#[test]
fn values_keep_their_spelling() {
    let text = "format = 0x1\nname = 'x'\n\n[[test]]\nname = \"\\u0041\"\ncontext = { n = 99999999999999999999, f = 1.50, big = 1_000 }\n";
    assert_eq!(of(text), text);
    let multi = "format = 1\n\n[[rule]]\nwhen = '''\n  a\n\n\n  [b]\n  # no comment\n'''\n";
    assert_eq!(of(multi), multi);
    // Tables by dots and headers stay what they are.
    let tables = "format = 1\n\n[[test]]\nname = \"x\"\n\n[test.context]\nb = 1\na = 2\n\n[test.context.\"a b\"]\nc.d = 1\n";
    assert_eq!(of(tables), tables);
}

#[test]
fn what_is_no_rules_file_is_left_alone() {
    assert_eq!(refused("format = 1\nname = \n").0, 2);
    let twice = refused("format = 1\n[[rule]]\nid = \"a\"\nid = \"b\"\n");
    assert_eq!((twice.0, twice.1), (4, 1));
    let other = refused("[package]\nname = \"signoff\"\n");
    assert_eq!((other.0, other.1), (1, 2));
    assert!(other.2.starts_with("a rules file has no member `package`"), "{other:?}");
    refused(&"a = [".repeat(10_000));
    refused(&format!("format = {}1{}", "[".repeat(50_000), "]".repeat(50_000)));
}

/// Pieces of files, in layouts that nobody would write.
const PIECES: [&str; 45] = [
    "\n",
    "\n\n\n",
    "\r\n",
    "  ",
    "\t",
    "# comment\n",
    "   # comment   \n",
    "#\n",
    "format = 1\n",
    "name=\"x\"\n",
    "default = \"deny\" # why\n",
    "ttl.weekend = '72h'\n",
    "[ttl]\n",
    "weekend = \"72h\"   #c\n",
    "[[rule]]\n",
    "[[ rule ]] # r\n",
    "[rule.groups]\n",
    "security = 1\n",
    "[[test]]\n",
    "[test.context]\n",
    "id = \"a\"\n",
    "verdict='deny'\n",
    "when = \"\"\"\n a\n\n  && b\n\"\"\" # w\n",
    "when = 'a'\n",
    "threshold = 2\n",
    "groups = {a=1,b = 2}\n",
    "groups = {\n a=1, # one\n b = 2,\n}\n",
    "agent = [\"a\" , 'b' ]\n",
    "agent = [\n # x\n \"a\" # y\n , # z\n 'b', \n # end\n]\n",
    "action = []\n",
    "action = [ # nothing\n]\n",
    "action = [\"aaaaaaaaaaaaaaaaaaaaaaaaaa\", \"bbbbbbbbbbbbbbbbbbbbbbbbbbbb\", \"cccccccccccccccccc\"]\n",
    "reason = \"äöü 請求書 # no comment\"\n",
    "context = { a = [1, 2, [3, {b = 'ccccccccccccccccccccccccc'}]], d = { e = \"ffffffffffffffffffff\" } }\n",
    "context = {}\n",
    "context = { a = [ # c\n 1 ], b = [2] }\n",
    "context = { a # x\n .\n b\n # y\n = # z\n 1 }\n",
    "context . a . \"b c\" = 1\n",
    "name = 'test' # n\n",
    "expect = \"allow\"\n",
    "now = 2025-10-17 10:30:00Z\n",
    "requirement = { ttl_seconds = 1_800 }\n",
    "facts.requester = 'x'\n",
    "plan = \"{}\"\n",
    "unknown = 1e5\n",
];

#[test]
fn of_random_files_the_layout_is_stable_and_loses_nothing() {
    let mut written = 0;
    for seed in 1..30_000_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |most: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % most as u64).unwrap()
        };
        let length = next(14) + 1;
        let text: String = (0..length).map(|_| PIECES[next(PIECES.len())]).collect();
        // Most are no TOML, because of a duplicate member.
        match formatted(&text) {
            Ok(once) => {
                written += 1;
                assert_eq!(of(&once), once, "seed {seed}:\n{text}");
            }
            Err(Unformatted::Problems(_)) => {}
            Err(Unformatted::Failed(failure)) => panic!("seed {seed}: {failure:?}\n{text}"),
        }
    }
    assert!(written > 3_000, "only {written} files were valid");
}

#[test]
fn of_changed_files_the_layout_is_stable_and_loses_nothing() {
    let files = [MESSY, TIDY, STARTER];
    let (mut state, mut written) = (1_u64, 0);
    for number in 0..3_000 {
        let mut text: Vec<char> = files[number % files.len()].chars().collect();
        for _ in 0..3 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let random = usize::try_from(state >> 33).unwrap();
            let at = random % text.len();
            match random % 5 {
                0 => text[at] = '\n',
                1 => text[at] = ' ',
                2 => text.insert(at, '#'),
                3 => text.insert(at, '\n'),
                _ => drop(text.remove(at)),
            }
        }
        let text: String = text.into_iter().collect();
        match formatted(&text) {
            Ok(once) => {
                written += 1;
                assert_eq!(of(&once), once, "{number}:\n{text}");
            }
            Err(Unformatted::Problems(_)) => {}
            Err(Unformatted::Failed(failure)) => panic!("{number}: {failure:?}\n{text}"),
        }
    }
    assert!(written > 300, "only {written} files were valid");
}
