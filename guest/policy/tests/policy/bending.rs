//! Contexts with which an agent tries to get a milder verdict. None succeeds.

use super::support::{attempt, evaluate, load, outcome, outcome_with_plan};

/// A risk of 92 needs an approval, and so does anything that is not clearly below 80.
#[test]
fn a_score_that_is_not_clearly_low_needs_an_approval() {
    let guarded = load(
        "
        default = 'allow'
        [[rule]]
        id = 'risky'
        verdict = 'require_approval'
        when = 'context.risk_score >= 80'
        ",
    );
    let permissive = load(
        "
        [[rule]]
        id = 'harmless'
        verdict = 'allow'
        when = 'context.risk_score < 80'
        ",
    );
    let bent = [
        r#"{"risk_score": 92}"#,
        r#"{"risk_score": 80}"#,
        r#"{"risk_score": 80.0}"#,
        r#"{"risk_score": 8e+01}"#,
        "{}",
        r#"{"risk_score": null}"#,
        r#"{"risk_score": "12"}"#,
        r#"{"risk_score": ""}"#,
        r#"{"risk_score": true}"#,
        r#"{"risk_score": false}"#,
        r#"{"risk_score": []}"#,
        r#"{"risk_score": [12]}"#,
        r#"{"risk_score": {}}"#,
        r#"{"risk_score": {"value": 12}}"#,
        r#"{"risk_score": -99999999999999999999}"#,
        r#"{"risk_score": 99999999999999999999}"#,
        r#"{"risk_Score": 12}"#,
        r#"{"risk_score ": 12}"#,
        r#"{" risk_score": 12}"#,
        r#"{"RISK_SCORE": 12}"#,
        "{\"risk_sc\u{43e}re\": 12}",
        r#"{"risk_sc\u043ere": 12}"#,
        r#"{"risk\u005fscore": 92}"#,
        r#"{"risk_score\u0000": 12}"#,
        r#"{"risk_score\u200b": 12}"#,
        r#"{"context": {"risk_score": 12}}"#,
        r#"{"context.risk_score": 12}"#,
        r#"{"": {"risk_score": 12}}"#,
        r#"{"@0": 12}"#,
        r#"{"r0": 12}"#,
        // None of these is canonical, and all are refused.
        r#"{"risk_score": 12, "risk_score": 92}"#,
        r#"{"risk_score": 92, "risk_score": 12}"#,
        r#"{"risk_score": 12, "risk\u005fscore": 92}"#,
        r#"{"risk_score": 012}"#,
        r#"{"risk_score": +12}"#,
        r#"{"risk_score": 12.}"#,
        r#"{"risk_score": .5}"#,
        r#"{"risk_score": 1e}"#,
        r#"{"risk_score": 0x12}"#,
        r#"{"risk_score": 1e999}"#,
        r#"{"risk_score": NaN}"#,
        r#"{"risk_score": -Infinity}"#,
        r#"{"risk_score": 12"#,
        r#"{"risk_score": 12}}"#,
        r#"{"risk_score": 12} "x""#,
        r#"{risk_score: 12}"#,
        r#"[{"risk_score": 12}]"#,
        "12",
        "null",
        "",
        " ",
        "\u{feff}{\"risk_score\": 12}",
        r#"{"risk_score": 12,}"#,
        r#"{,"risk_score": 12}"#,
        r#"{"a": "\ud800", "risk_score": 12}"#,
        r#"{"a": "\udc00\ud800", "risk_score": 12}"#,
        r#"{"a": "\x", "risk_score": 12}"#,
        "{\"a\": \"\n\", \"risk_score\": 12}",
        r#"{"a": "\u12", "risk_score": 12}"#,
        r#"{"a": tru, "risk_score": 12}"#,
        r#"{"a": 'x', "risk_score": 12}"#,
        r#"{"a" 1, "risk_score": 12}"#,
    ];
    for context in bent {
        for policy in [&guarded, &permissive] {
            assert_eq!(
                evaluate(policy, context).decision.as_str(),
                "require_approval",
                "{context}"
            );
        }
    }
    let deep = format!(r#"{{"a": {}{}, "risk_score": 12}}"#, "[".repeat(64), "]".repeat(64));
    let deepest = format!(r#"{{"a": {}{}, "risk_score": 12}}"#, "[".repeat(63), "]".repeat(63));
    let abyss = format!(r#"{{"risk_score": 12, "a": {}"#, "[".repeat(1 << 20));
    let long = format!(r#"{{"a": "{}", "risk_score": 12}}"#, "x".repeat(1 << 20));
    for (context, expected) in [
        (&deep, "require_approval"),
        (&deepest, "allow"),
        (&abyss, "require_approval"),
        (&long, "require_approval"),
    ] {
        for policy in [&guarded, &permissive] {
            assert_eq!(evaluate(policy, context).decision.as_str(), expected);
        }
    }
    for context in [
        r#"{"risk_score": 12}"#,
        r#"{"risk_score": 79}"#,
        r#"{"risk_score": 79.99}"#,
        r#"{"risk_score": -1}"#,
        r#"{"risk\u005fscore": 12}"#,
        r#"  {"risk_score" :12 } "#,
    ] {
        for policy in [&guarded, &permissive] {
            assert_eq!(evaluate(policy, context).decision.as_str(), "allow", "{context}");
        }
    }
}

#[test]
fn a_missing_member_is_an_error_and_never_false() {
    let context = r#"{"list": [1], "nil": null, "o": {}}"#;
    for when in [
        "context.absent",
        "!context.absent",
        "context.absent == null",
        "context.absent != 1",
        "context.o.a.b == 1",
        "context.nil.a == 1",
        "context.list[1] == 1",
        "context.list[-1] == 1",
        "context.list['0'] == 1",
        "context.o['a'] == 1",
        "context['absent'] == 1",
        "context.list.a == 1",
        "context.list[0.5] == 1",
        "has(context.absent.a)",
        "has(context.nil.a)",
        "has(context.list.a)",
        "context.absent in [1]",
        "context.absent || context.absent",
        "context.o[0] == 1",
        "context.nil + 1 == 1",
        "context[context.absent] == 1",
        "context.list[context.list[0]] == 1",
        "context.absent.exists(x, true)",
        "context.nil.exists(x, true)",
        "context.nil > 0",
        "context.nil < 0",
        "context.list > 0",
        "context.o < 1",
        "!context.nil",
        "!context.list",
        "context.nil ? true : true",
        "context.list && true",
    ] {
        assert_eq!(outcome(when, context), "error", "{when}");
    }
    for when in [
        "!has(context.absent)",
        "!('absent' in context)",
        "context.nil == null",
        "context.?absent.orValue(7) == 7",
        "!context.?absent.hasValue()",
        "!context.?o.?a.?b.hasValue()",
        "context.o == {}",
        "context.list == [1]",
        "context[?'absent'].orValue(true)",
        "has(context.nil)",
        "context.list[0] == 1",
        "context.list[0.0] == 1",
        "context['list'][0] == 1",
        "context.list[0u] == 1",
        "!(0 in context.o)",
        "!(1.5 in context.o)",
    ] {
        assert_eq!(outcome(when, context), "true", "{when}");
    }
}

#[test]
fn either_side_of_a_logical_operator_can_decide() {
    for (when, expected) in [
        ("context.absent == 1 || true", "true"),
        ("true || context.absent == 1", "true"),
        ("context.absent == 1 || false", "error"),
        ("false || context.absent == 1", "error"),
        ("context.absent == 1 && false", "false"),
        ("false && context.absent == 1", "false"),
        ("context.absent == 1 && true", "error"),
        ("true && context.absent == 1", "error"),
        ("[1, 2].exists(x, context.absent == x || x == 2)", "true"),
        ("[1, 2].exists(x, context.absent == x)", "error"),
        ("[1, 2].all(x, context.absent == x && x == 1)", "false"),
        ("[1, 2].all(x, context.absent == x)", "error"),
        ("(context.absent == 1 ? 1 : 2) == 2", "error"),
        ("(true ? 1 : context.absent) == 1", "true"),
    ] {
        assert_eq!(outcome(when, "{}"), expected, "{when}");
    }
}

#[test]
fn a_condition_that_returns_no_bool_fails() {
    for when in
        ["context.n", "context.s", "context.list", "context.o", "context.nil", "dyn(context.n)"]
    {
        let context = r#"{"list": [true], "n": 1, "nil": null, "o": {}, "s": "true", "yes": true}"#;
        assert_eq!(outcome(when, context), "error", "{when}");
    }
    assert_eq!(outcome("context.yes", r#"{"yes": true}"#), "true");
}

#[test]
fn a_missing_plan_is_null() {
    assert_eq!(outcome("plan == null", "{}"), "true");
    assert_eq!(outcome("plan != null && plan.steps.size() > 1", "{}"), "false");
    assert_eq!(outcome("plan.steps.size() > 1", "{}"), "error");
    assert_eq!(outcome("has(plan.steps)", "{}"), "error");
    let plan = Some(r#"{"steps": ["a", "b"]}"#);
    assert_eq!(outcome_with_plan("plan == null", "{}", plan), "false");
    assert_eq!(
        outcome_with_plan("plan.steps.size() > 1 && plan.steps[1] == 'b'", "{}", plan),
        "true"
    );
    for bad in ["", "null", "[]", "{", r#"{"steps": 1, "steps": 2}"#] {
        assert_eq!(outcome_with_plan("plan == null", "{}", Some(bad)), "error", "{bad}");
        assert_eq!(outcome_with_plan("plan.steps == 1", "{}", Some(bad)), "error", "{bad}");
    }
}

#[test]
fn macro_variables_shadow_the_attempts_variables() {
    let context = r#"{"items": [{"risk": 1}, {"risk": 9}], "risk": 100}"#;
    for (when, expected) in [
        ("context.items.exists(context, context.risk == 9)", "true"),
        ("context.items.exists(context, context.risk == 100)", "false"),
        ("context.items.all(plan, plan.risk < 10)", "true"),
        ("context.items.exists(agent, agent.risk == 9) && agent == 'inbox'", "true"),
        ("context.items.exists(math, math.risk == 9)", "true"),
        ("context.items.map(i, i.risk).exists(r, r == context.risk)", "false"),
        ("context.items.exists(i, i.risk * 100 == context.items[0].risk * context.risk)", "true"),
    ] {
        assert_eq!(outcome(when, context), expected, "{when}");
    }
}

#[test]
fn a_long_list_only_takes_time() {
    let list = vec!["1"; 20_000].join(", ");
    let context = format!(r#"{{"list": [{list}, 2]}}"#);
    for (when, expected) in [
        ("context.list.exists(x, x == 2)", "true"),
        ("2 in context.list", "true"),
        ("3 in context.list", "false"),
        ("context.list.size() == 20001", "true"),
        ("context.list.all(x, x < 2)", "false"),
        ("context.list.filter(x, x == 2).size() == 1", "true"),
    ] {
        assert_eq!(outcome(when, &context), expected, "{when}");
    }
}

#[test]
fn invalid_agent_and_action_names_are_refused() {
    for (agent, action) in [("", "a"), ("a", ""), ("a b", "a"), ("é", "a"), ("a", "a\n")] {
        let mut attempted = attempt("{}", None);
        (attempted.agent, attempted.action) = (agent, action);
        assert!(signoff_policy::authoring::verdict(&attempted).is_none());
    }
}
