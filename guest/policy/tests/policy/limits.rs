//! Every limit holds, and exceeding it is an error that names it.

use signoff_policy::limits::{
    FILE_BYTES_MAX, GLOBS_MAX, RULES_MAX, TESTS_MAX, TTL_CLASSES_MAX, WHEN_BYTES_MAX,
    WHEN_DEPTH_MAX, WHEN_NESTING_MAX,
};
use signoff_policy::policy::Policy;

use super::support::errors;

fn when(text: &str) -> Vec<String> {
    let found = errors(&format!("[[rule]]\nid = 'r'\nverdict = 'deny'\nwhen = '''{text}'''\n"));
    found.into_iter().map(|problem| problem.message).collect()
}

fn assert_bounded(fits: &str, passes: &str, message: &str) {
    assert_eq!(when(fits), Vec::<String>::new());
    let found = when(passes);
    assert!(found.iter().any(|found| found.contains(message)), "{found:?}");
}

#[test]
fn a_condition_is_bounded_in_length() {
    let padded = |bytes: usize| format!("{}true", " ".repeat(bytes - 4));
    assert_bounded(&padded(WHEN_BYTES_MAX), &padded(WHEN_BYTES_MAX + 1), "expected at most 4096");
}

#[test]
fn a_condition_is_bounded_in_depth() {
    let nested = |open: &str, close: &str, levels: usize| {
        format!("{}true{} == context.a", open.repeat(levels), close.repeat(levels))
    };
    for (open, close) in [("(", ")"), ("[", "]"), ("dyn(", ")"), ("{1: ", "}")] {
        let levels = WHEN_NESTING_MAX - 2;
        assert_bounded(&nested(open, close, levels), &nested(open, close, 40), "nest");
        let found = when(&nested(open, close, 500));
        assert!(found.iter().any(|found| found.contains("nest too deep")), "{found:?}");
    }
    let chain = |piece: &str, links: usize| format!("context.a == context{}", piece.repeat(links));
    for (piece, signs) in [(".a", 1), ("['a']", 1), (".?a.value()", 4)] {
        let levels = (WHEN_DEPTH_MAX - 8) / signs;
        assert_bounded(&chain(piece, levels), &chain(piece, WHEN_DEPTH_MAX), "too deep");
    }
    let sums = |piece: &str, links: usize| format!("context.a == 1{}", piece.repeat(links));
    for piece in [" + 1", " - 1", " * 1", " / 1", " % 1"] {
        assert_bounded(&sums(piece, WHEN_DEPTH_MAX - 4), &sums(piece, WHEN_DEPTH_MAX), "too deep");
    }
    for sign in ["!", "-"] {
        let found = when(&format!("{}context.a", sign.repeat(3_000)));
        assert!(found.iter().any(|found| found.contains("too deep")), "{found:?}");
    }
    let questions = |links: usize| format!("{}true", "context.a == 1 ? true : ".repeat(links));
    assert_bounded(&questions(20), &questions(150), "too deep");
}

#[test]
fn chains_of_and_and_or_do_not_count_as_depth() {
    let terms = |sign: &str| vec!["context.ab == 12"; 200].join(sign);
    for sign in [" && ", " || "] {
        assert_eq!(when(&terms(sign)), Vec::<String>::new());
    }
    let list = vec!["'abcdef'"; 400].join(", ");
    assert_eq!(when(&format!("context.a in [{list}]")), Vec::<String>::new());
}

#[test]
fn a_file_is_bounded() {
    let rules = |count: usize| -> String {
        (0..count)
            .map(|n| format!("[[rule]]\nid='{n}'\nverdict='allow'\naction='a{n}'\n"))
            .collect()
    };
    assert!(errors(&rules(RULES_MAX)).is_empty());
    let found = errors(&rules(RULES_MAX + 1));
    assert!(
        found.iter().any(|problem| problem.message.contains("expected at most 10000")),
        "{found:?}"
    );
    let test = "[[test]]\nname='a'\nagent='a'\naction='a'\nexpect='deny'\n";
    assert!(!errors(&test.repeat(TESTS_MAX + 1)).is_empty());
    let globs = |count: usize| {
        let globs = vec!["'a'"; count].join(", ");
        errors(&format!("[[rule]]\nid='a'\nverdict='allow'\naction=[{globs}]\n"))
    };
    assert!(globs(GLOBS_MAX).is_empty() && !globs(GLOBS_MAX + 1).is_empty());
    let classes = |count: usize| -> String { (0..count).map(|n| format!("c{n} = 1\n")).collect() };
    assert!(errors(&format!("[ttl]\n{}", classes(TTL_CLASSES_MAX))).is_empty());
    assert!(!errors(&format!("[ttl]\n{}", classes(TTL_CLASSES_MAX + 1))).is_empty());
    let padded = |bytes: usize| {
        let text = "format = 1\nname = 'a'\n#";
        format!("{text}{}", "x".repeat(bytes - text.len()))
    };
    assert!(Policy::load(&padded(FILE_BYTES_MAX)).is_ok());
    assert!(Policy::load(&padded(FILE_BYTES_MAX + 1)).is_err());
    let deep = format!("format = 1\nname = 'a'\nrule = {}", "[".repeat(100_000));
    assert!(Policy::load(&deep).is_err());
    let groups: String = (0..17).map(|n| format!("g{n} = 1, ")).collect();
    assert!(
        !errors(&format!("[[rule]]\nid='a'\nverdict='require_approval'\ngroups={{ {groups} }}\n"))
            .is_empty()
    );
    for (bytes, fits) in [(4_096, true), (4_097, false)] {
        let reason = "x".repeat(bytes);
        assert_eq!(
            errors(&format!("[[rule]]\nid='a'\nverdict='allow'\nreason='{reason}'\n")).is_empty(),
            fits
        );
    }
    for (count, fits) in [(64, true), (65, false)] {
        let reason = "{agent}".repeat(count);
        assert_eq!(
            errors(&format!("[[rule]]\nid='a'\nverdict='allow'\nreason='{reason}'\n")).is_empty(),
            fits
        );
    }
    for (length, fits) in [(128, true), (129, false)] {
        let name = "x".repeat(length);
        for member in ["id", "agent", "action"] {
            let other = if member == "id" { "" } else { "id='a'\n" };
            let text = format!("[[rule]]\n{other}{member}='{name}'\nverdict='allow'\n");
            assert_eq!(errors(&text).is_empty(), fits, "{member}");
        }
    }
}
