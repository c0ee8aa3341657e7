//! Comparisons whose result never changes, and what a check says about them.

use signoff_policy::problem::Severity;

use super::support::{errors, outcome, problems};

const CONSTS: &str = r#"[const]
late = 12
days = [6, 7]
odd = ["Ann@company.com"]
owners = { "Ann" = 1 }
staff = ["ann@company.com"]
"#;

fn rule(when: &str) -> String {
    format!("{CONSTS}[[rule]]\nid = 'r'\nverdict = 'deny'\nreason = 'x'\nwhen = '''{when}'''\n")
}

fn assert_refused(cases: &[(&str, &str)]) {
    for (when, message) in cases {
        let found = errors(&rule(when));
        let [only] = found.as_slice() else { panic!("{when}\n{found:#?}") };
        assert!(only.message.contains(message), "{when}\n{message}\n{only:?}");
    }
}

fn assert_taken(conditions: &[&str]) {
    for when in conditions {
        let found = errors(&rule(when));
        assert!(found.is_empty(), "{when}\n{found:#?}");
    }
}

#[test]
fn a_part_of_a_time_is_compared_with_values_that_it_has() {
    assert_refused(&[
        (
            "now.getMonth() == 12",
            "`getMonth` counts from 0 (January) to 11 (December), so it is never 12",
        ),
        ("now.getMonth('Europe/Berlin') != 12", "so it is never 12"),
        ("12 == now.getMonth()", "so it is never 12"),
        ("now.getMonth() == const.late", "so it is never 12"),
        ("now.getMonth() >= 12", "so it is never at least 12"),
        ("12 <= now.getMonth()", "so it is never at least 12"),
        ("now.getMonth() in [10, 11, 12]", "so it is never 12"),
        ("now.getMonth() < 12", "so it is always less than 12"),
        ("now.getMonth() == 1.5", "so it is never 1.5"),
        ("now.getMonth() == -1", "so it is never -1"),
        (
            "now.getDayOfWeek() == 7",
            "`getDayOfWeek` counts from 0 (Sunday) to 6 (Saturday), so it is never 7",
        ),
        ("now.getDayOfWeek() in [6, 7]", "so it is never 7"),
        ("now.getDayOfWeek() in const.days", "so it is never 7"),
        ("now.getDayOfWeek() <= 7", "so it is always at most 7"),
        ("now.getHours() >= 24", "`getHours` counts from 0 to 23, so it is never at least 24"),
        ("now.getHours('Europe/Berlin') < 25", "so it is always less than 25"),
        ("now.getHours() < 0", "so it is never less than 0"),
        ("now.getHours() > 23", "so it is never greater than 23"),
        ("now.getMinutes() == 60", "from 0 to 59"),
        ("now.getSeconds() > 59", "from 0 to 59"),
        ("now.getMilliseconds() == 1000", "from 0 to 999"),
        ("now.getDate() == 0", "`getDate` counts from 1 to 31, so it is never 0"),
        ("now.getDate() == 32", "so it is never 32"),
        ("now.getDayOfMonth() == 31", "so it is never 31; `getDate` is the day of the month"),
        ("now.getDayOfYear() == 366", "so it is never 366"),
        ("timestamp(context.at).getHours() == 24", "so it is never 24"),
        ("cel.bind(h, now.getHours('+02:00'), h >= 7 && h == 24)", "so it is never 24"),
    ]);
    assert_taken(&[
        "now.getMonth() == 11 || now.getMonth() in [0, 5] || now.getMonth() > 10",
        "now.getDayOfWeek() in [0, 6] && now.getDayOfWeek() != 0",
        "now.getHours() >= 0 && now.getHours() < 6 || now.getHours() > 21 && now.getHours() < 24",
        "now.getHours() >= 18 && now.getHours() <= 23 && now.getHours() < 8.5",
        "now.getDate() == 31 && now.getDayOfMonth() == 30 && now.getDayOfYear() == 365",
        "now.getFullYear() == 2026",
        "duration('48h').getHours() == 48 && (now - timestamp(0)).getMinutes() > 60",
        "context.getMonth == 12",
    ]);
    // The ranges are those of the evaluation: 2024 is a leap year.
    for when in [
        "timestamp('2024-12-31T23:59:59.999Z').getMonth() == 11",
        "timestamp('2024-12-31T23:59:59.999Z').getDayOfYear() == 365",
        "timestamp('2024-12-31T23:59:59.999Z').getDayOfMonth() == 30",
        "timestamp('2024-12-31T23:59:59.999Z').getDate() == 31",
        "timestamp('2024-12-31T23:59:59.999Z').getMilliseconds() == 999",
        "timestamp('2024-12-28T00:00:00Z').getDayOfWeek() == 6",
        "timestamp('2024-12-29T00:00:00Z').getDayOfWeek() == 0",
    ] {
        assert_eq!(outcome(when, "{}"), "true", "{when}");
    }
}

#[test]
fn an_item_that_is_never_found_is_reported_at_its_position() {
    let found = errors(&rule("now.getMonth() in [10, 11, 12]"));
    assert_eq!(found.first().map(|one| one.column), Some(38), "{found:?}");
}

#[test]
fn a_fact_is_compared_with_texts_in_lower_case() {
    let expected = "a host gives facts in lower case, expected `ann@company.com`";
    assert_refused(&[
        ("facts.requester == 'Ann@company.com'", expected),
        ("'Ann@company.com' != facts.requester", expected),
        ("facts['requester'] == 'Ann@company.com'", expected),
        ("facts.requester in ['ann', 'Ann@company.com']", expected),
        ("facts.requester in const.odd", expected),
        ("facts.requester in const.owners", "expected `ann`"),
        ("facts.requester in {'Ann': 1}", "expected `ann`"),
        ("'Ann' in [facts.requester]", "expected `ann`"),
        ("facts.requester == const.odd[0]", expected),
        ("facts.requester.startsWith('Ann')", "expected `ann`"),
        ("facts.requester.endsWith('@Company.com')", "expected `@company.com`"),
        ("facts.requester.contains('Ann')", "expected `ann`"),
        ("facts.?claimed_by.orValue('') == 'Ann'", "expected `ann`"),
        ("facts.requester.split('@')[1] == 'Company.com'", "expected `company.com`"),
        ("facts.requester.split('@').exists(p, p == 'Ann')", "expected `ann`"),
        ("cel.bind(r, facts.requester, r == 'Ann')", "expected `ann`"),
        ("context.a.lowerAscii() == 'Ann'", "`lowerAscii` gives lower case, expected `ann`"),
        (
            "context.a.upperAscii() in ['EUR', 'usd']",
            "`upperAscii` gives upper case, expected `USD`",
        ),
    ]);
    assert_taken(&[
        "facts.requester == 'ann@company.com' || facts.requester in const.staff",
        "facts.requester.upperAscii() == 'ANN'",
        "facts.?claimed_by.orValue('NONE') == 'NONE'",
        "context.requester == 'Ann' || agent == 'Ann'",
        "facts.requester.replace('a', 'A') == 'Ann'",
        "['x'].exists(facts, facts == 'X')",
    ]);
}

#[test]
fn a_value_is_not_looked_up_among_values_of_other_types() {
    assert_refused(&[
        (
            "!context.iban in ['a']",
            "`in` never finds a value of type bool among values of type string; `!` negates only what follows it: write `!(x in y)`",
        ),
        ("!context.iban in const.staff", "write `!(x in y)`"),
        ("agent in [1, 2]", "a value of type string among values of type int"),
        ("size(context.a) in ['1']", "a value of type int among values of type string"),
        ("!context.a == 'x'", "write `x != y`"),
        ("!context.a > 5", "write `!(…)`"),
        ("8 < now.getHours() < 18", "a range is written `a < x && x < b`"),
    ]);
    assert_taken(&[
        "!(context.iban in ['a'])",
        "!context.a in [true, false]",
        "agent in ['a', 1] || 1 in ['a'] || size(context.a) in [1.5, 2u]",
        "agent in [] || agent in [context.a]",
    ]);
    let found = problems(&rule("!context.iban in context.list"));
    assert!(found.iter().any(|one| one.severity == Severity::Warning
        && one.message.contains("`in` gets a bool here; `!` negates only what follows it")));
}

#[test]
fn what_only_the_host_knows_is_not_read_from_the_context() {
    for (when, message) in [
        (
            "context.requester == 'a'",
            Some("`context.requester` is what the agent wrote; the requester is `facts.requester`"),
        ),
        ("context['requested_by'] == 'a'", Some("the requester is `facts.requester`")),
        ("context.facts.requester == 'a'", Some("facts are read without `context`")),
        ("context.claimed_by == 'a'", Some("the executor is `facts.claimed_by`")),
        ("facts.claimed_by == 'a'", Some("`facts.claimed_by` exists only at a claim")),
        ("facts['claimed_by'] == 'a'", Some("test `has(facts.claimed_by)` first")),
        ("has(facts.claimed_by) && facts.claimed_by == 'a'", None),
        ("facts.?claimed_by.orValue('') == 'a'", None),
        ("context.user == 'a' && context.a.requester == 'b'", None),
        ("[context].exists(context, context.requester == 'x')", None),
    ] {
        let text = rule(when);
        let found = problems(&text.replace(CONSTS, ""));
        assert!(found.iter().all(|one| one.severity == Severity::Warning), "{when} {found:?}");
        let told = found.iter().map(|one| one.message.as_str()).collect::<Vec<_>>();
        match message {
            Some(message) => {
                assert!(told.iter().any(|one| one.contains(message)), "{when} {told:?}");
            }
            None => assert!(told.is_empty(), "{when} {told:?}"),
        }
    }
}
