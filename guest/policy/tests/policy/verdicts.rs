//! Which rule decides, and what an approval requires.

use signoff_policy::verdict::{Decision, Requirement, Verdict};

use super::support::{attempt, evaluate, load};

/// Builds rules from letters: `d`eny, `r`equire and `a`llow that match, `D`, `R`, `A` that do not,
/// `x`, `y`, `z` with the same verdicts whose condition fails.
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
        xd    | allow            | deny             | d1
        xxd   | allow            | deny             | d2
        yr    | allow            | require_approval | r1
        y     | deny             | deny             | -
        x     | deny             | deny             | x0
        ya    | deny             | require_approval | y0
        Ay    | require_approval | require_approval | y1
        z     | allow            | allow            | z0
        zy    | allow            | require_approval | y1
        zx    | allow            | deny             | x1
        yx    | allow            | deny             | x1
    ";
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let [letters, default, decision, rule] =
            line.split('|').map(str::trim).collect::<Vec<_>>()[..]
        else {
            panic!("{line}")
        };
        let policy = load(&format!("default = '{default}'\n{}", rules(letters)));
        let verdict = evaluate(&policy, r#"{"one": 1}"#);
        assert_eq!(verdict.decision.as_str(), decision, "{line}");
        assert_eq!(verdict.rule.as_deref().unwrap_or("-"), rule, "{line}");
        let reason = verdict.rule.map(|rule| match rule.starts_with(['x', 'y', 'z']) {
            true => format!(
                "the condition of rule `{rule}` could not be evaluated: `context.absent` is missing"
            ),
            false => format!("because {rule}"),
        });
        assert_eq!(verdict.reason, reason, "{line}");
        let asks = decision == "require_approval" && rule != "-";
        assert_eq!(verdict.requirement.is_some(), asks, "{line}");
        let matched =
            policy.trace(&attempt(r#"{"one": 1}"#, None)).into_iter().filter(|t| t.matched);
        let counted = letters.chars().filter(|letter| "draxy".contains(*letter)).count();
        assert_eq!(matched.count(), counted, "{line}");
        let failed: Vec<String> = letters
            .char_indices()
            .filter(|(_, l)| "xyz".contains(*l))
            .map(|(at, l)| format!("{l}{at}"))
            .collect();
        assert_eq!(verdict.failed, failed, "{line}");
    }
}

#[test]
fn the_built_in_default_requires_an_approval() {
    assert_eq!(evaluate(&load(""), "{}").decision.as_str(), "require_approval");
}

#[test]
fn the_requirement_is_the_strictest_of_all_matching_rules() {
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
    let verdict = evaluate(&policy, r#"{"yes": true}"#);
    assert_eq!(verdict.rule.as_deref(), Some("a"));
    assert_eq!(
        serde_json::to_string(&verdict.requirement).unwrap(),
        r#"{"ttl_seconds":1800,"threshold":3,"groups":{"legal":2,"security":2}}"#
    );
    let policy = load("[[rule]]\nid = 'a'\nverdict = 'require_approval'\n");
    assert_eq!(serde_json::to_string(&evaluate(&policy, "{}").requirement).unwrap(), "{}");
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
        let requirement = evaluate(&policy, "{}").requirement.unwrap();
        assert_eq!(requirement.ttl_seconds, Some(seconds), "{ttl}");
    }
}

#[test]
fn globs_match_whole_names() {
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
        let mut attempted = attempt("{}", None);
        attempted.agent = name;
        assert_eq!(policy.evaluate(&attempted).rule.is_some(), fits, "{glob} {name}");
    }
}

#[test]
fn a_glob_that_covers_another_matches_all_its_names() {
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

/// Returns whether one requirement is at least as strict as another in each part.
fn is_at_least_as_strict(one: &Requirement, other: &Requirement) -> bool {
    let ttl = match (one.ttl_seconds, other.ttl_seconds) {
        (Some(one), Some(other)) => one <= other,
        (None, Some(_)) => false,
        (_, None) => true,
    };
    let groups = other
        .groups
        .iter()
        .all(|(group, least)| one.groups.get(group).is_some_and(|ours| ours >= least));
    ttl && groups && one.threshold >= other.threshold
}

fn at_least_as_strict(one: &Verdict, other: &Verdict) -> bool {
    if one.decision != Decision::RequireApproval || one.decision != other.decision {
        return one.decision >= other.decision;
    }
    let requirement = |verdict: &Verdict| verdict.requirement.clone().unwrap_or_default();
    is_at_least_as_strict(&requirement(one), &requirement(other))
}

/// Returns every assignment of the values to the rules.
fn each(rules: usize, values: &[Option<bool>]) -> Vec<Vec<Option<bool>>> {
    let mut all = vec![Vec::new()];
    for _ in 0..rules {
        let longer =
            |given: Vec<_>| values.iter().map(move |value| [&given[..], &[*value]].concat());
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

fn given(values: &[Option<bool>]) -> String {
    let members = values.iter().enumerate().filter_map(|(at, value)| Some((at, (*value)?)));
    let members: Vec<String> = members.map(|(at, value)| format!("\"r{at}\": {value}")).collect();
    format!("{{{}}}", members.join(", "))
}

#[test]
fn no_value_of_a_failed_condition_gives_a_stricter_verdict() {
    const KINDS: [&str; 5] = [
        "verdict = 'deny'",
        "verdict = 'allow'",
        "verdict = 'require_approval'\nttl = 60\nthreshold = 2",
        "verdict = 'require_approval'\nttl = 90\ngroups = { a = 1, b = 3 }",
        "verdict = 'require_approval'\nthreshold = 3\ngroups = { a = 2 }",
    ];
    let mut compared = 0;
    for default in ["allow", "require_approval", "deny"] {
        for number in 0..KINDS.len().pow(3) {
            let kinds = [number % 5, number / 5 % 5, number / 25].map(|kind| KINDS[kind]);
            let rule = |(at, kind): (usize, &&str)| {
                format!("[[rule]]\nid = 'r{at}'\nwhen = 'context.r{at}'\n{kind}\n")
            };
            let rules: String = kinds.iter().enumerate().map(rule).collect();
            let policy = load(&format!("default = '{default}'\n{rules}"));
            let whole = each(3, &[Some(true), Some(false)]);
            let answers: Vec<Verdict> =
                whole.iter().map(|values| evaluate(&policy, &given(values))).collect();
            for failing in each(3, &[Some(true), Some(false), None]) {
                let verdict = evaluate(&policy, &given(&failing));
                for (values, answer) in whole.iter().zip(&answers) {
                    let fits = |(one, other): (&Option<bool>, &Option<bool>)| {
                        one.is_none() || one == other
                    };
                    if !failing.iter().zip(values).all(fits) {
                        continue;
                    }
                    compared += 1;
                    assert!(
                        at_least_as_strict(&verdict, answer),
                        "{default} {rules} {failing:?} {verdict:?}, {values:?} {answer:?}"
                    );
                }
            }
        }
    }
    // For each condition: true, false, and failed compared with both.
    assert_eq!(compared, 3 * 125 * 4_usize.pow(3));
}

#[test]
fn the_requirement_includes_rules_whose_condition_failed() {
    let policy = load(
        "[[rule]]\nid = 'm'\nverdict = 'require_approval'\nttl = 90\nreason = 'asked'\n[[rule]]\nid = 'f'\nverdict = 'require_approval'\nttl = 60\nthreshold = 2\nwhen = 'context.absent == 1'\n",
    );
    let verdict = evaluate(&policy, "{}");
    assert_eq!((verdict.rule.as_deref(), verdict.reason.as_deref()), (Some("m"), Some("asked")));
    let requirement = verdict.requirement.unwrap();
    assert_eq!((requirement.ttl_seconds, requirement.threshold), (Some(60), Some(2)));
}

#[test]
fn the_reason_of_a_failed_condition_is_generated_bounded_and_escaped() {
    let policy = load(
        "[[rule]]\nid = 'x'\nverdict = 'deny'\nreason = 'theirs'\nwhen = 'context.map[context.key] == 1'\n",
    );
    let reason = |key: &str| {
        let context = serde_json::json!({ "map": {}, "key": key }).to_string();
        evaluate(&policy, &context).reason.unwrap()
    };
    let start = "the condition of rule `x` could not be evaluated: ";
    assert_eq!(reason("k"), format!("{start}`k` is missing"));
    let odd = reason("a\n\u{202e}b\u{7}");
    assert!(odd.contains("a\\n\\u{202e}b\\u{7}"), "{odd}");
    let long = reason(&"\u{e9}".repeat(10_000));
    assert!(long.len() <= 4_096 && long.len() > 4_000, "{}", long.len());
}
