//! Schemas of contexts: what does not fit fails every rule of the action, and conditions are checked with
//! them.

use signoff_policy::attempt::Attempt;
use signoff_policy::policy::Policy;
use signoff_policy::problem::Severity;
use signoff_policy::verdict::Verdict;

use super::support::{FACTS, NOW, errors, load, problems};

const SCHEMA: &str = r#"default = "allow"
[context.transfer]
amount = "number"
currency = { type = "string", one_of = ["EUR", "USD"] }
note = "string?"
urgent = { type = "bool", required = false }
ticket = { type = "string", nullable = true }
tags = { type = "list", items = "string" }
to = { members = { iban = "string", name = "string?" }, closed = true }
lines = { items = { members = { price = "number", count = "int" } } }
extra = "any?"

[context."mail.*"]
closed = true
id = "string"
"#;
const FITS: &str = r#"{"amount": 1, "currency": "EUR", "ticket": null, "tags": ["a"], "to": {"iban": "DE1"}, "lines": [{"price": 1.5, "count": 2}], "other": 1}"#;

fn run(policy: &Policy, action: &str, context: &str) -> Verdict {
    policy.evaluate(&attempt(action, context))
}

fn attempt<'a>(action: &'a str, context: &'a str) -> Attempt<'a> {
    Attempt { agent: "inbox", action, context, plan: None, facts: FACTS, now: NOW }
}

fn rules(more: &str) -> String {
    format!("{SCHEMA}\n{more}")
}

#[test]
fn a_context_that_does_not_fit_fails_every_rule_of_the_action() {
    let policy = load(&rules(
        "[[rule]]\nid = 'small'\naction = 'transfer'\nverdict = 'allow'\nwhen = 'context.amount < 10'\n\
         [[rule]]\nid = 'plain'\naction = 'transfer'\nverdict = 'require_approval'\nreason = 'its own'\nthreshold = 2\n\
         [[rule]]\nid = 'large'\naction = '*'\nverdict = 'require_approval'\nreason = 'y'\nttl = 60\nwhen = 'context.amount > 10'\n\
         [[rule]]\nid = 'mail'\naction = 'mail.send'\nverdict = 'deny'\nreason = 'z'\nwhen = 'context.id == \"x\"'\n",
    ));
    let fits = run(&policy, "transfer", FITS);
    assert_eq!((fits.rule.as_deref(), fits.failed.len()), (Some("plain"), 0));
    for (change, to, why) in [
        ("\"amount\": 1", "\"amount\": \"1\"", "`context.amount` is a string, expected a number"),
        ("\"amount\": 1, ", "", "`context.amount` is missing"),
        ("\"amount\": 1", "\"amount\": null", "`context.amount` is null, expected a number"),
        (
            "\"amount\": 1",
            "\"amount\": 99999999999999999999",
            "`context.amount` is an integer beyond 64 bits",
        ),
        ("EUR", "CHF", "`context.currency` is none of \"EUR\", \"USD\""),
        ("\"other\": 1", "\"note\": 5", "`context.note` is an integer, expected a string"),
        ("\"other\": 1", "\"note\": null", "`context.note` is null"),
        (
            "\"other\": 1",
            "\"extra\": [99999999999999999999]",
            "`context.extra` is a list, expected any value within 64 bits",
        ),
        ("[\"a\"]", "[\"a\", 2]", "`context.tags[1]` is an integer, expected a string"),
        ("{\"iban\": \"DE1\"}", "{}", "`context.to.iban` is missing"),
        (
            "{\"iban\": \"DE1\"}",
            "{\"iban\": \"DE1\", \"nmae\": \"x\"}",
            "`context.to.nmae` is not declared (did you mean `name`?)",
        ),
        ("{\"iban\": \"DE1\"}", "[]", "`context.to` is a list, expected a table"),
        (
            "\"count\": 2",
            "\"count\": 2.5",
            "`context.lines[0].count` is a number with a fraction, expected an integer",
        ),
    ] {
        let context = FITS.replace(change, to);
        assert_ne!(context, FITS);
        let verdict = run(&policy, "transfer", &context);
        assert_eq!(verdict.decision.as_str(), "require_approval", "{context}");
        // The strictest requirement of all rules, and none of their own words.
        let requirement = verdict.requirement.unwrap();
        assert_eq!((requirement.ttl_seconds, requirement.threshold), (Some(60), Some(2)));
        assert_eq!(verdict.failed, ["small", "plain", "large"]);
        let reason = verdict.reason.unwrap();
        let head = "the condition of rule `plain` could not be evaluated: the context does not fit `[context.transfer]`: ";
        assert!(reason.starts_with(&format!("{head}{why}")), "{reason}\n{why}");
        let trace = policy.trace(&attempt("transfer", &context));
        let failed = |why: &str| trace.iter().all(|one| one.error.as_ref().unwrap().contains(why));
        assert!(failed(why) && trace.iter().all(|one| one.when == "error"), "{trace:?}");
        let matched: Vec<bool> = trace.iter().map(|one| one.matched).collect();
        assert_eq!(matched, [false, true, true]);
    }
    // The agent's own words are escaped.
    let hostile = run(&policy, "mail.send", "{\"id\": \"a\", \"\u{202e}x\\n\": 1}");
    let hostile = hostile.reason.unwrap();
    assert!(!hostile.contains('\u{202e}') && !hostile.contains('\n'), "{hostile}");
    assert!(hostile.contains("`[context.\"mail.*\"]`"), "{hostile}");
    // Every other action is as before, and so is one that no rule but `*` concerns.
    assert_eq!(run(&policy, "refund", "{\"amount\": 5}").decision.as_str(), "allow");
    assert_eq!(run(&policy, "mail.read", "{\"x\": 5}").decision.as_str(), "require_approval");
}

#[test]
fn another_spelling_of_the_action_has_the_same_schema() {
    let policy = load(&rules(
        "[[rule]]\nid = 'r'\naction = 'Transfer'\nignore_case = true\nverdict = 'deny'\nreason = 'x'\nwhen = 'context.amount > 10'\n",
    ));
    for action in ["transfer", "TRANSFER", "tRANSFER"] {
        assert_eq!(run(&policy, action, FITS).decision.as_str(), "allow", "{action}");
        assert_eq!(run(&policy, action, "{\"amount\": 1}").decision.as_str(), "deny", "{action}");
    }
}

/// Whatever the context is, the verdict is at least as strict as that of the same rules without a schema.
#[test]
fn a_schema_never_makes_a_verdict_milder() {
    let contexts = [
        "{}",
        "[]",
        "",
        "{\"a\": 1}",
        "{\"a\": \"x\"}",
        "{\"a\": null}",
        "{\"a\": 1, \"b\": true}",
    ];
    let whens = ["", "when = 'context.a == 1'", "when = 'context.b'", "when = '!has(context.a)'"];
    let schemas = [
        "a = 'any'",
        "a = 'int'\nb = 'any?'",
        "a = 'any?'\nb = 'bool'",
        "a = { one_of = [1, 2] }\nb = 'any'",
    ];
    let verdicts = ["allow", "require_approval", "deny"];
    let mut compared = 0;
    for default in verdicts {
        for (first, second) in verdicts.iter().flat_map(|one| verdicts.map(|two| (*one, two))) {
            for when in whens {
                let rules = format!(
                    "[[rule]]\nid = 'a'\naction = 'act'\nverdict = '{first}'\n{when}\n[[rule]]\nid = 'b'\naction = 'act'\nverdict = '{second}'\nwhen = 'context.a == 2'\n"
                );
                let plain = load(&format!("default = '{default}'\n{rules}"));
                for schema in schemas {
                    let text = format!("default = '{default}'\n[context.act]\n{schema}\n{rules}");
                    // A condition that reads what the schema lacks is refused.
                    if !errors(&text).is_empty() {
                        continue;
                    }
                    let strict = load(&text);
                    for context in contexts {
                        let before = run(&plain, "act", context).decision;
                        assert!(
                            run(&strict, "act", context).decision >= before,
                            "{text}\n{context}"
                        );
                        compared += 1;
                    }
                }
            }
        }
    }
    assert!(compared > 1_000, "{compared}");
}

fn checked(action: &str, when: &str) -> Vec<signoff_policy::problem::Problem> {
    problems(&rules(&format!(
        "[[rule]]\nid = 'r'\naction = {action}\nverdict = 'deny'\nreason = 'x'\nwhen = '''{when}'''\n[[rule]]\nid = 't'\naction = 'transfer'\nverdict = 'deny'\nreason = 'x'\nwhen = 'context.amount > 1'\n"
    )))
}

#[test]
fn conditions_are_checked_with_the_schemas_of_their_actions() {
    for (when, message) in [
        (
            "context.amuont > 5",
            "no schema of these actions declares `context.amuont` (did you mean `amount`?)",
        ),
        ("context['amuont'] > 5", "declares `context.amuont`"),
        ("has(context.curency)", "declares `context.curency` (did you mean `currency`?)"),
        ("context.?nte.orValue('') == ''", "declares `context.nte`"),
        ("context.to.ibn == 'x'", "declares `context.to.ibn` (did you mean `iban`?)"),
        ("context.lines.exists(l, l.prize > 5)", "declares `l.prize` (did you mean `price`?)"),
        ("context.lines[0].prize > 5", "declares `context.lines[0].prize`"),
        ("cel.bind(t, context.to, t.ibn == 'x')", "declares `t.ibn`"),
        ("context.amount > '5'", "`>` does not take a value of type number and one of type string"),
        (
            "context.amount == '5'",
            "`==` does not take a value of type number and one of type string",
        ),
        ("context.currency > 5", "`>` does not take a value of type string and one of type int"),
        ("context.currency + 1 == 'x'", "`+` does not take"),
        ("context.amount + 'x' == 'x'", "`+` does not take a value of type number"),
        ("context.amount.startsWith('1')", "`startsWith` does not take"),
        ("context.tags == 'a'", "`==` does not take a value of type list"),
        ("context.tags.exists(t, t > 5)", "`>` does not take a value of type string"),
        ("context.amount", "the condition gives a value of type number, expected a bool"),
        ("context.amount.x == 1", "a value of type number has no member `x`"),
        (
            "context.currency == 'CHF'",
            "`context.currency` is one of \"EUR\", \"USD\", so it never equals this value",
        ),
        ("'eur' != context.currency", "so it never equals this value"),
        ("context.currency in ['CHF']", "so it never equals this value"),
        ("context.currency in ['EUR', 'CHF']", "so it never equals this value"),
        ("'CHF' in [context.currency]", "so it never equals this value"),
        ("context.lines.exists(i, l, l.prize > 5)", "declares `l.prize` (did you mean `price`?)"),
        (
            "context.lines.exists(l, i, l.price > 5)",
            "a value of type int has no member `price`; the first variable is the index, the second the item",
        ),
        ("context.lines.exists(i, l, i > 'a')", "`>` does not take a value of type int"),
        ("context.lines.exists(i, l, l > 1)", "`>` does not take a value of type map"),
        ("context.tags.all(i, t, t > 1)", "`>` does not take a value of type string"),
        ("context.to.exists(k, v, v > 1)", "`>` does not take a value of type string"),
        ("context.to.exists(k, v, k > 1)", "`>` does not take a value of type string"),
        ("context.to.exists(k, k > 1)", "`>` does not take a value of type string"),
        (
            "context.to.exists(v, k, v.name == 'x')",
            "a value of type string has no member `name`; the first variable is the key, the second the value",
        ),
        (
            "context.lines.transformList(i, l, l.prize)[0] == 1",
            "declares `l.prize` (did you mean `price`?)",
        ),
        ("context.tags.length > 1", "a value of type list has no member `length`: write `size(x)`"),
        ("context.currency.size > 1", "has no member `size`: write `size(x)`"),
        (
            "context.requester == 'a'",
            "declares `context.requester`; the requester is `facts.requester`",
        ),
        ("context.facts.requester == 'a'", "declares `context.facts`; facts are read without"),
        ("amount > 5", "`amount` is not declared (did you mean `context.amount`?)"),
    ] {
        let found = checked("'transfer'", when);
        assert!(
            found
                .iter()
                .any(|one| one.severity == Severity::Error && one.message.contains(message)),
            "{when}\n{message}\n{found:#?}"
        );
    }
    for when in [
        "context.amount > 5 && context.amount > 5.5 && context.amount * 2 > 7",
        "double(context.amount) * 1.5 > 10.0",
        "-context.amount < 0",
        "context.currency == 'EUR' && context.currency in ['EUR', 'USD']",
        "has(context.note) && context.note == 'x'",
        "context.?note.orValue('') == 'x'",
        "context.ticket == null || context.ticket == 'x'",
        "context.lines.all(l, l.price * double(l.count) < 100.0)",
        "context.lines.exists(i, l, i > 0 && l.count > 5)",
        "context.lines.exists(i, l, context.tags.exists(j, t, i == j && t == 'a' && l.price > 1))",
        "context.to.exists(k, v, k == 'iban' && v.startsWith('DE'))",
        "context.currency in ['USD', 'EUR']",
        "context.tags.exists(t, t.startsWith('a'))",
        "has(context.to.name) || context.to.iban.startsWith('DE')",
        "context.tags[0] == 'a' && context.lines[context.lines.size() - 1].count > 1",
        "has(context.extra) && context.extra.anything > 5",
        "has(context.urgent) ? context.urgent : false",
    ] {
        let found = checked("'transfer'", when);
        assert!(
            found.iter().all(|one| !one.message.contains("schema")
                && one.severity == Severity::Warning
                && !one.message.contains("missing")),
            "{when}\n{found:#?}"
        );
    }
}

#[test]
fn only_rules_whose_actions_all_have_a_schema_are_checked() {
    let count = |action: &str, when: &str| {
        let found = checked(action, when);
        found.iter().filter(|one| one.message.contains("no schema of these actions")).count()
    };
    for (action, when, expected) in [
        ("'*'", "context.amuont > 5", 0),
        ("['transfer', 'other']", "context.amuont > 5", 0),
        ("['transfer', 'mail.send']", "has(context.id) && context.id == 'a'", 0),
        ("['transfer', 'mail.send']", "context.ix == 'a'", 1),
        ("'TRANSFER'", "context.amuont == 'a'", 1),
        ("'mail.x*'", "context.amount == 'a'", 1),
    ] {
        assert_eq!(count(action, when), expected, "{action} {when}");
    }
    let found = checked("'transfer'", "context.note == 'x'");
    let missing = found.iter().filter(|one| one.message.contains("`context.note` may be missing"));
    assert_eq!(missing.count(), 1, "{found:?}");
}

#[test]
fn malformed_schemas_are_refused() {
    for (schema, line, column, message) in [
        ("context = 1", 3, 11, "`context` is tables by action"),
        ("[context]\nx = 1", 4, 5, "`[context.x]` is a table of members"),
        (
            "[context.'a b']\nx = 'int'",
            3,
            10,
            "the action of a schema: a glob may contain only visible ASCII",
        ),
        (
            "[context.a]\nx = 'integer'",
            4,
            5,
            "`integer` is no type, expected any, bool, int, list, number, string, table (did you mean `int`?)",
        ),
        ("[context.a]\nx = 'strng'", 4, 5, "(did you mean `string`?)"),
        ("[context.a]\nx = 1", 4, 5, "`x` is a type such as \"string\""),
        ("[context.a]\nx = true", 4, 5, "`x` is a type such as \"string\""),
        ("[context.a]\nx = ['int']", 4, 5, "`x` is a type such as \"string\""),
        ("[context.a]\nx = { typ = 'int', required = true }", 4, 7, "unknown member `typ`"),
        ("[context.a]\nx = { y = 'int' }", 4, 5, "`x` has no `type`"),
        ("[context.a]\nx = { type = 1 }", 4, 14, "`type` is a string, got an integer"),
        ("[context.a]\nx = { type = 'int', one_of = 1 }", 4, 30, "`one_of` is a list"),
        ("[context.a]\nx = { type = 'int', one_of = [] }", 4, 30, "`one_of` has no value"),
        (
            "[context.a]\nx = { type = 'int', one_of = [1, 'EUR'] }",
            4,
            34,
            "`one_of[1]` is a string, expected an integer",
        ),
        (
            "[context.a]\nx = { items = 'int', one_of = [[1], ['a']] }",
            4,
            37,
            "`one_of[1][0]` is a string, expected an integer",
        ),
        ("[context.a]\nx = { type = 'int', items = 'int' }", 4, 5, "`items` is for a list"),
        ("[context.a]\nx = { type = 'int', closed = true }", 4, 5, "`closed` goes with `members`"),
        ("[context.a]\nx = { type = 'list', items = 'int?' }", 4, 30, "an item cannot be missing"),
        ("[context.a]\nx = { members = 1 }", 4, 17, "`members` is a table"),
    ] {
        let found = errors(schema);
        let is_it = |at: (usize, usize), text: &str| at == (line, column) && text.contains(message);
        assert!(
            found.iter().any(|one| is_it((one.line, one.column), &one.message)),
            "{schema}\n{line}:{column} {message}\n{found:#?}"
        );
    }
    let deep = format!("[context.a]\nx = {}'int'{}", "{ items = ".repeat(17), " }".repeat(17));
    assert!(errors(&deep).iter().any(|one| one.message.contains("at most 16 levels")));
    let many: String = (0..257).map(|n| format!("[context.a{n}]\n")).collect();
    assert!(
        errors(&many).iter().any(|one| one.message.contains("257 schemas, expected at most 256"))
    );
    let found = problems(
        "[context.tranfer]\namount = 'int'\n[[rule]]\nid = 'r'\naction = 'transfer'\nverdict = 'deny'\nreason = 'x'\n",
    );
    assert!(
        found[0].message.contains("no rule concerns the action of `[context.tranfer]`"),
        "{found:?}"
    );
}

#[test]
fn a_context_that_does_not_fit_covers_no_rule_in_tests() {
    let policy = load(&rules(
        "[[rule]]\nid = 'r'\naction = 'transfer'\nverdict = 'deny'\nreason = 'x'\n[[test]]\nname = 'misfit'\nagent = 'a'\naction = 'transfer'\nexpect = 'deny'\n",
    ));
    let tested = policy.test(&[]);
    assert_eq!((tested.failed(), tested.fired.len(), tested.unfired.len()), (0, 0, 1));
}
