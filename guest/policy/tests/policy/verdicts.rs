//! Which rule decides, and what an approval takes.

use super::support::{ask, attempt, load};

/// Rules by letter: `d`eny, `r`equire and `a`llow that match, `D`, `R`, `A` that do not, `x`, `y`, `z` of the same
/// verdicts whose condition errs.
fn rules(letters: &str) -> String {
    let rule = |(at, letter): (usize, char)| {
        let verdict = match letter {
            'd' | 'D' | 'x' => "deny",
            'r' | 'R' | 'y' => "require_approval",
            _ => "allow",
        };
        let when = match letter {
            'd' | 'r' | 'a' => "context.one == 1",
            'D' | 'R' | 'A' => "context.one == 2",
            _ => "context.absent == 1",
        };
        format!(
            "[[rule]]\nid = '{letter}{at}'\nverdict = '{verdict}'\nwhen = '{when}'\nreason = 'because {letter}{at}'\n"
        )
    };
    letters.chars().enumerate().map(rule).collect()
}

#[test]
fn the_strictest_rule_that_matches_decides_and_the_first_of_its_verdict_is_named() {
    // rules | default | decision | rule
    let table = "
        dra   | allow            | deny             | d0
        ard   | allow            | deny             | d2
        aadd  | allow            | deny             | d2
        ar    | allow            | require_approval | r1
        arr   | allow            | require_approval | r1
        aa    | deny             | allow            | a0
        Aa    | deny             | allow            | a1
        Dra   | deny             | require_approval | r1
        DRa   | deny             | allow            | a2
        DRA   | deny             | deny             | -
        DRA   | require_approval | require_approval | -
        DRA   | allow            | allow            | -
        x     | allow            | deny             | x0
        ax    | allow            | deny             | x1
        y     | allow            | require_approval | y0
        ay    | allow            | require_approval | y1
        yd    | allow            | deny             | d1
        z     | deny             | deny             | -
        z     | require_approval | require_approval | -
        zA    | deny             | deny             | -
        za    | deny             | allow            | a1
        zzz   | require_approval | require_approval | -
    ";
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let [letters, default, decision, rule] =
            line.split('|').map(str::trim).collect::<Vec<_>>()[..]
        else {
            panic!("{line}")
        };
        let policy = load(&format!("default = '{default}'\n{}", rules(letters)));
        let verdict = ask(&policy, r#"{"one": 1}"#);
        assert_eq!(verdict.decision.as_str(), decision, "{line}");
        assert_eq!(verdict.rule.as_deref().unwrap_or("-"), rule, "{line}");
        let reason = verdict.rule.map(|rule| format!("because {rule}"));
        assert_eq!(verdict.reason, reason, "{line}");
        let asks = decision == "require_approval" && rule != "-";
        assert_eq!(verdict.requirement.is_some(), asks, "{line}");
        let matched =
            policy.trace(&attempt(r#"{"one": 1}"#, None)).into_iter().filter(|t| t.matched);
        let counted = letters.chars().filter(|letter| "draxy".contains(*letter)).count();
        assert_eq!(matched.count(), counted, "{line}");
    }
}

#[test]
fn without_a_default_what_no_rule_names_needs_an_approval() {
    assert_eq!(ask(&load(""), "{}").decision.as_str(), "require_approval");
}

#[test]
fn the_requirement_is_the_strictest_in_each_part_of_all_rules_that_match() {
    let policy = load(
        "
        [[rule]]
        id = 'a'
        verdict = 'require_approval'
        ttl = '2h'
        groups = { security = 1, legal = 2 }
        [[rule]]
        id = 'b'
        verdict = 'require_approval'
        ttl = 'urgent'
        threshold = 3
        groups = { security = 2 }
        [[rule]]
        id = 'c'
        verdict = 'require_approval'
        when = 'context.absent == 1'
        ttl = '40m'
        threshold = 2
        [[rule]]
        id = 'd'
        verdict = 'require_approval'
        when = 'false == context.yes'
        ttl = 1
        threshold = 16
        [[rule]]
        id = 'e'
        agent = 'other'
        verdict = 'require_approval'
        ttl = 1
        ",
    );
    let verdict = ask(&policy, r#"{"yes": true}"#);
    assert_eq!(verdict.rule.as_deref(), Some("a"));
    assert_eq!(
        serde_json::to_string(&verdict.requirement).unwrap(),
        r#"{"ttl_seconds":1800,"threshold":3,"groups":{"legal":2,"security":2}}"#
    );
    let policy = load("[[rule]]\nid = 'a'\nverdict = 'require_approval'\n");
    assert_eq!(serde_json::to_string(&ask(&policy, "{}").requirement).unwrap(), "{}");
}

#[test]
fn a_ttl_is_a_class_or_a_time() {
    for (ttl, seconds) in [
        ("'urgent'", 1_800),
        ("'standard'", 3_600),
        ("'non-urgent'", 86_400),
        ("'emergency'", 300),
        ("'weekend'", 259_200),
        ("'short'", 7),
        ("'45m'", 2_700),
        ("'90s'", 90),
        ("'2h'", 7_200),
        ("'7d'", 604_800),
        ("1", 1),
        ("604_800", 604_800),
        ("0x10", 16),
        ("'604800s'", 604_800),
        ("'007s'", 7),
    ] {
        let policy = load(&format!(
            "ttl.weekend = '72h'\nttl.short = 7\n[[rule]]\nid = 'a'\nverdict = 'require_approval'\nttl = {ttl}\n"
        ));
        let requirement = ask(&policy, "{}").requirement.unwrap();
        assert_eq!(requirement.ttl_seconds, Some(seconds), "{ttl}");
    }
}

#[test]
fn globs_fit_whole_names() {
    let cases = [
        ("*", "inbox", true),
        ("inbox", "inbox", true),
        ("inbox", "inbox2", false),
        ("inbox", "Inbox", false),
        ("inbox*", "inbox", true),
        ("inbox_*", "inbox", false),
        ("*box", "inbox", true),
        ("*box", "boxer", false),
        ("i*x", "inbox", true),
        ("i*x", "ix", true),
        ("i*x", "i", false),
        ("ab*ba", "aba", false),
        ("ab*ba", "abba", true),
        ("*n*o*", "inbox", true),
        ("*o*n*", "inbox", false),
        ("**", "inbox", true),
        ("a*b*c", "abbc", true),
        ("a*b*c", "acb", false),
        ("a*b*b", "ab", false),
        ("a*b*b", "abb", true),
        ("in?ox", "inbox", false),
        ("in[a-z]ox", "inbox", false),
        ("in.ox", "inbox", false),
        ("*aab", "aaaab", true),
        ("a*aab", "aaaab", true),
        ("a*", "b", false),
        ("***x", "x", true),
    ];
    for (glob, name, fits) in cases {
        let made = signoff_policy::glob::Glob::new(glob).unwrap();
        assert_eq!(made.matches(name), fits, "{glob} {name}");
        let policy = load(&format!(
            "default = 'deny'\n[[rule]]\nid = 'a'\nagent = ['nobody', '{glob}']\nverdict = 'allow'\n"
        ));
        let mut asked = attempt("{}", None);
        asked.agent = name;
        assert_eq!(policy.evaluate(&asked).rule.is_some(), fits, "{glob} {name}");
    }
}

#[test]
fn a_glob_that_covers_another_fits_all_that_it_fits() {
    let globs = ["*", "a", "a*", "*a", "a*b", "a*b*", "*a*", "ab", "ab*", "*ab", "a**b", "ba*ab"];
    let names = ["a", "b", "ab", "ba", "aab", "abb", "baab", "bab", "xaby", "abab", "baxab"];
    for one in globs {
        for other in globs {
            let make = |glob| signoff_policy::glob::Glob::new(glob).unwrap();
            let (one, other) = (make(one), make(other));
            if one.covers(&other) {
                for name in names {
                    assert!(!other.matches(name) || one.matches(name), "{one:?} {other:?} {name}");
                }
            }
        }
    }
    let make = |glob| signoff_policy::glob::Glob::new(glob).unwrap();
    assert!(
        make("*").covers(&make("a*b"))
            && make("a*").covers(&make("a*b"))
            && !make("a*b").covers(&make("a*"))
    );
}
