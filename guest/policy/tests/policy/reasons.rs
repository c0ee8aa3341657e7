//! Reasons, filled from an attempt.

use super::support::{attempt, load};

fn filled(reason: &str, context: &str, plan: Option<&str>) -> String {
    let policy = load(&format!("[[rule]]\nid = 'r'\nverdict = 'deny'\nreason = '''{reason}'''\n"));
    policy.evaluate(&attempt(context, plan)).reason.unwrap()
}

#[test]
fn placeholders_show_the_value_at_a_path() {
    let context = r#"{"big": 123456789012345678901234567890, "d": 1e+16, "e": "", "f": 1.50, "i": -7, "l": [1, "a", {"k": "v"}], "n": null, "s": "x", "t": true}"#;
    for (reason, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("{agent} wants {action}", "inbox wants quarantine"),
        ("{context.s}{context.i}{context.t}{context.n}", "x-7truenull"),
        ("{context.big}, {context.d}, {context.f}", "123456789012345678901234567890, 1e+16, 1.50"),
        ("{context.e}", ""),
        ("{context.absent} {context.s.a} {context.s[0]} {context.l[9]} {context.l.k}", "? ? ? ? ?"),
        (
            "{context.l} {context.l[0]} {context.l[1]} {context.l[2].k}",
            r#"[1, "a", {"k": "v"}] 1 a v"#,
        ),
        ("{{context.s}} {{{context.s}}} }}", "{context.s} {x} }"),
        ("{plan} {plan.a}", "? ?"),
    ] {
        assert_eq!(filled(reason, context, None), expected, "{reason}");
    }
    assert_eq!(
        filled("{plan.steps[1]} {plan}", "{}", Some(r#"{"steps": [1, "two"]}"#)),
        r#"two {"steps": [1, "two"]}"#
    );
    assert_eq!(filled("{context}", "not json", None), "?");
}

#[test]
fn deceptive_characters_are_escaped() {
    for (value, expected) in [
        ("a\\nb\\tc\\rd", "a\\nb\\tc\\rd"),
        ("\\u0000\\u001b[31m\\u007f", "\\u{0}\\u{1b}[31m\\u{7f}"),
        ("\\u202etxt.exe", "\\u{202e}txt.exe"),
        ("a\\u200bb\\ufeff", "a\\u{200b}b\\u{feff}"),
        ("\\u2028\\u2066\\u0085", "\\u{2028}\\u{2066}\\u{85}"),
        ("\\ud83d\\ude00 \\u00e9", "😀 é"),
        ("{agent}", "{agent}"),
    ] {
        assert_eq!(filled("{context.s}", &format!("{{\"s\": \"{value}\"}}"), None), expected);
    }
    assert_eq!(filled("{context.l}", r#"{"l": ["a\"b\u202e"]}"#, None), r#"["a\"b\u{202e}"]"#);
}

#[test]
fn a_reason_is_cut_at_a_character_boundary() {
    let long = "é".repeat(5_000);
    for (before, bytes) in [("", 4_096), ("x", 4_095)] {
        let reason =
            filled(&format!("{before}{{context.s}} tail"), &format!("{{\"s\": \"{long}\"}}"), None);
        assert_eq!(reason.len(), bytes);
    }
    let list = vec!["\"é\""; 100_000].join(", ");
    let reason = filled("{context.l}{context.l}", &format!("{{\"l\": [{list}]}}"), None);
    assert!((4_090..=4_096).contains(&reason.len()), "{}", reason.len());
}
