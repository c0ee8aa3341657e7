//! Named values: `[const]`, included files, and what conditions and reasons read of them.

use signoff_policy::bundle::joined;
use signoff_policy::policy::Policy;
use signoff_policy::problem::{Problem, Severity};

use super::support::{attempt, errors, evaluate, load, problems};

const CONSTS: &str = r#"[const]
limit = 10000
rate = 1.5
currency = "EUR"
is_open = true
env = ["dev", "test"]
zone = "Europe/Berlin"
pattern = "^a+$"
span = "10m"
deep = { list = [1, { x = "y" }], "a b" = 3, empty = {} }
limits = { EUR = 10000, USD = 12000.5 }
"#;

fn with(when: &str) -> String {
    format!(
        "default = 'deny'\n{CONSTS}\n[[rule]]\nid = 'r'\nverdict = 'allow'\nwhen = '''{when}'''\n"
    )
}

#[test]
fn conditions_read_named_values() {
    let context = r#"{"amount": 20000, "const": 7, "currency": "EUR", "env": "test", "is_new": false, "other": "CHF", "text": "const.limit"}"#;
    for (when, expected) in [
        ("context.amount > const.limit", "true"),
        ("const.limit == 10000 && const.rate == 1.5 && const.is_open", "true"),
        ("const['limit'] + 1 == 10001", "true"),
        ("context.currency == const.currency", "true"),
        ("context.env in const.env", "true"),
        ("!(context.env in const.env)", "false"),
        ("const.env.size() == 2 && const.env[0] == 'dev'", "true"),
        ("const.env.exists(e, e == context.env)", "true"),
        ("context.amount > const.limits[context.currency]", "true"),
        ("context.amount > const.limits[context.other]", "error"),
        ("context.other in const.limits", "false"),
        ("const.limits.EUR == 10000 && const.limits.USD > 12000.0", "true"),
        ("has(const.limits.EUR) && !has(const.limits.GBP) && has(const.limit)", "true"),
        ("const.limits.?GBP.orValue(5) == 5", "true"),
        ("const.deep.list[1].x == 'y' && const.deep['a b'] == 3", "true"),
        ("const.deep.`a b` == 3 && const.deep.list == [1, {'x': 'y'}]", "true"),
        ("const.deep.empty.size() == 0", "true"),
        ("now.getHours(const.zone) == 12", "true"),
        ("'aaa'.matches(const.pattern)", "true"),
        ("duration(const.span) == duration('600s')", "true"),
        ("[const.limit, 2].exists(x, x == 10000)", "true"),
        ("context.const == 7 && context.?const.orValue(0) == 7", "true"),
        ("'const.limit' == context.text && r'const.' != \"\"", "true"),
        ("const . limit == 10000 // const.nothing", "true"),
        ("context.is_new ? const.limit == 1 : const.limit == 10000", "true"),
    ] {
        let trace = load(&with(when)).trace(&attempt(context, None));
        assert_eq!(trace[0].when, expected, "{when}");
    }
}

#[test]
fn mistakes_with_named_values_are_found_when_rules_are_loaded() {
    for (when, column, message) in [
        (
            "context.a > const.limti",
            13,
            "`const.limti` is not declared in `[const]` (did you mean `limit`?)",
        ),
        ("const.nothing_like_it == 1", 1, "`const.nothing_like_it` is not declared in `[const]`"),
        ("const.limits.EURO > 1", 1, "`const.limits` has no member `EURO` (did you mean `EUR`?)"),
        ("const.limit.x == 1", 1, "`const.limit` is an integer, which has no member `x`"),
        ("const.env[2] == 'x'", 1, "`const.env` has 2 items"),
        ("const.limit[0] == 1", 1, "`const.limit` is an integer, which has no item `[0]`"),
        ("const[0] == 1", 1, "read by its name, as `const.limit`"),
        ("const[context.x] == 1", 1, "read by its name, as `const.limit`"),
        ("const.?limit == 1", 1, "read by its name, as `const.limit`"),
        ("const == 1", 1, "`const` is reserved for named values"),
        ("[1].exists(const, const == 1)", 12, "`const` is reserved for named values"),
        ("limit > 3", 1, "`limit` is not declared (did you mean `const.limit`?)"),
        ("const.limit > 'a'", 13, "`>` does not take a value of type int and one of type string"),
        ("const.limit", 1, "the condition gives a value of type int"),
        ("has(const.limit.x)", 5, "`has` looks into a table, got an integer"),
        ("now.getHours(const.currency) == 1", 0, "is not a time zone"),
        ("context.a.matches(const.env)", 0, "`matches` does not take values of types dyn, list"),
    ] {
        let found = errors(&with(when));
        let at = |column_found: usize| column == 0 || column_found == column + 10;
        assert!(
            found.iter().any(|one| one.message.contains(message) && at(one.column)),
            "{when}\n{message}\n{found:#?}"
        );
    }
    let found = errors("[[rule]]\nid = 'r'\nverdict = 'allow'\nwhen = 'const.x == 1'\n");
    assert!(found[0].message.contains("the file has no `[const]`"), "{found:?}");
}

#[test]
fn malformed_named_values_are_refused() {
    for (text, line, message) in [
        ("const = 1", 3, "`const` is a table of named values, got an integer"),
        ("[const]\n'a b' = 1", 4, "a named value is [A-Za-z_][A-Za-z0-9_]*"),
        ("[const]\n1a = 1", 4, "a named value is"),
        ("[const]\nday = 2026-12-25", 4, "JSON has no times: put it in quotes"),
        ("[const]\nx = [inf]", 4, "JSON has no such number"),
        ("[const]\na = 1\na = 2", 5, "not TOML"),
    ] {
        let found = errors(text);
        assert!(
            found.iter().any(|one| one.line == line && one.message.contains(message)),
            "{text}\n{found:#?}"
        );
    }
    let many: String = (0..1_001).map(|n| format!("c{n} = 1\n")).collect();
    let found = errors(&format!("[const]\n{many}"));
    assert!(found.iter().any(|one| one.message.contains("more than 1000 named values")));
    let found = errors(&format!("[const]\nx = '{}'\n", "a".repeat(300 << 10)));
    assert!(found.iter().any(|one| one.message.contains("262144 bytes as JSON")), "{found:?}");
}

#[test]
fn an_unread_named_value_is_warned_about() {
    let found = problems(
        "[const]\nread = 1\nunread = 2\nshown = 3\n[[rule]]\nid = 'r'\nverdict = 'deny'\nwhen = 'context.a > const.read'\nreason = 'over {const.shown}'\n",
    );
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((only.severity, only.line), (Severity::Warning, 5));
    assert!(only.message.contains("no condition and no reason reads `const.unread`"), "{only:?}");
}

#[test]
fn a_reason_shows_named_values() {
    let rules = |reason: &str| {
        format!("{CONSTS}\n[[rule]]\nid = 'r'\nverdict = 'deny'\nreason = '{reason}'\n")
    };
    let policy = load(&rules(
        "{const.limit} {const.rate} {const.currency} {const.deep.list[1].x} {const.env} {{const.limit}}",
    ));
    let shown = "10000 1.5 EUR y [\"dev\", \"test\"] {const.limit}";
    assert_eq!(evaluate(&policy, "{}").reason.as_deref(), Some(shown));
    for (reason, message) in [
        ("{const.limti}", "did you mean `limit`?"),
        ("{const}", "is not a placeholder"),
        ("{const.env[5]}", "has 2 items"),
        ("{const.limit:.2f}", "is not a placeholder"),
    ] {
        let found = errors(&rules(reason));
        assert!(found.iter().any(|one| one.message.contains(message)), "{reason} {found:?}");
    }
}

const HEAD: &str = "format = 1\nname = 't'\ninclude = ['holidays.toml', 'data/limits.json']\n";
const RULE: &str = "[[rule]]\nid = 'r'\nverdict = 'deny'\nreason = 'x'\nwhen = 'context.day in const.holidays || context.amount > const.limits.EUR'\n";
const HOLIDAYS: &str = "[const]\n# Germany\nholidays = ['2026-12-25', '2026-12-26']\n";
const LIMITS: &str = "{\"const\": {\"limits\": {\"EUR\": 100}, \"other\": null}}\n";

fn loaded(files: &[(&str, &str)]) -> Result<(Policy, Vec<Problem>), Vec<Problem>> {
    Policy::load(&joined(&format!("{HEAD}{RULE}"), files.iter().copied()))
}

#[test]
fn included_files_give_named_values() {
    let both = [("holidays.toml", HOLIDAYS), ("data/limits.json", LIMITS)];
    let Ok((policy, problems)) = loaded(&both) else { panic!() };
    assert!(problems.is_empty(), "a shared file may have values that are not read: {problems:?}");
    for (context, decision) in [
        (r#"{"amount": 1, "day": "2026-12-25"}"#, "deny"),
        (r#"{"amount": 101, "day": "2026-12-24"}"#, "deny"),
        (r#"{"amount": 1, "day": "2026-12-24"}"#, "require_approval"),
    ] {
        assert_eq!(evaluate(&policy, context).decision.as_str(), decision, "{context}");
    }
    let text = joined(&format!("{HEAD}{RULE}"), both);
    let description: serde_json::Value = serde_json::from_str(&policy.describe()).unwrap();
    assert_eq!(description["rules"], text, "a module contains what it was built from");
    assert_eq!(description["includes"], serde_json::json!(["holidays.toml", "data/limits.json"]));
    assert_eq!(description["consts"], serde_json::json!(["holidays", "limits", "other"]));
}

#[test]
fn mistakes_in_included_files_are_reported_in_their_file() {
    let toml = |text: &str, line: usize, column: usize, message: &str| {
        check(
            "holidays.toml",
            &[("holidays.toml", text), ("data/limits.json", LIMITS)],
            line,
            column,
            message,
        );
    };
    toml("[const]\nholidays = [\n", 0, 0, "not TOML");
    toml("[const]\nholidays = [2026-12-25]\n", 2, 13, "JSON has no times");
    toml("[const]\nholidays = []\n[[rule]]\nid = 'x'\n", 3, 0, "only `[const]`, got `rule`");
    toml("x = 1\n", 1, 1, "has a table `[const]`");
    toml("include = ['a.toml']\n", 1, 1, "name that file in the `include` of the rules file");
    let json = |text: &str, line: usize, column: usize, message: &str| {
        check(
            "data/limits.json",
            &[("holidays.toml", HOLIDAYS), ("data/limits.json", text)],
            line,
            column,
            message,
        );
    };
    json("{\"const\": {\"limits\": {}},\n \"more\": 1}", 2, 10, "only `const`, got `more`");
    json("{\"const\":\n {\"limits\": }}", 2, 13, "not JSON");
    json("{\"const\": {\"limits\": {},\n \"limits\": {}}}", 2, 2, "not JSON");
    json("{\"const\": 5}", 1, 11, "`const` is an object");
    json("{}", 1, 1, "has an object `const`");
    json("{\"const\": {\"limits\": {\"EUR\": 99999999999999999999}}}", 1, 22, "beyond 64 bits");
    json(
        "{\"const\": {\"limits\": {\"EUR\": 1},\n \"holidays\": []}}",
        2,
        14,
        "`holidays` is already declared in line 3 of holidays.toml",
    );
}

fn check(file: &str, files: &[(&str, &str)], line: usize, column: usize, message: &str) {
    let Err(found) = loaded(files) else { panic!("{files:?}") };
    let is_it = |one: &&Problem| {
        one.file.as_deref() == Some(file)
            && (line == 0 || one.line == line)
            && (column == 0 || one.column == column)
            && one.message.contains(message)
    };
    let one = found.iter().find(is_it);
    assert!(one.is_some(), "{files:?}\n{line}:{column} {message}\n{found:#?}");
    assert!(!one.unwrap().source.contains('\u{1e}'));
    assert!(
        found.iter().all(|one| !one.message.contains("is not declared in `[const]`")),
        "what could not be read is not reported again: {found:#?}"
    );
}

#[test]
fn an_included_json_file_may_have_a_byte_order_mark() {
    let marked = format!("\u{feff}{LIMITS}");
    let files = [("holidays.toml", HOLIDAYS), ("data/limits.json", marked.as_str())];
    assert!(loaded(&files).is_ok());
    let odd = "\u{feff}{\"const\": 1}";
    check(
        "data/limits.json",
        &[("holidays.toml", HOLIDAYS), ("data/limits.json", odd)],
        1,
        0,
        "`const` is an object",
    );
}

#[test]
fn too_many_named_values_are_reported_once() {
    let values: String = (0..1_200).map(|at| format!("n{at} = {at}\n")).collect();
    let found = errors(&format!("[const]\n{values}"));
    let [only] = found.as_slice() else { panic!("{found:#?}") };
    assert!(only.message.contains("more than 1000 named values"), "{only:?}");
}

#[test]
fn includes_and_files_must_agree() {
    let Err(found) = loaded(&[("holidays.toml", HOLIDAYS)]) else { panic!() };
    let first = &found[0];
    assert_eq!((first.line, first.column, &first.file), (3, 29, &None), "{found:?}");
    assert!(first.message.contains("`data/limits.json` was not given"), "{found:?}");
    let all =
        [("holidays.toml", HOLIDAYS), ("data/limits.json", LIMITS), ("more.toml", "[const]\n")];
    let Err(found) = loaded(&all) else { panic!() };
    assert_eq!(found[0].file.as_deref(), Some("more.toml"));
    assert!(found[0].message.contains("does not include this file"), "{found:?}");
    for (include, message) in [
        ("include = 'a.toml'", "`include` is a list of files"),
        ("include = [1]", "`include` is a list of files"),
        ("include = ['../a.toml']", "leaves the folder"),
        ("include = ['/a.toml']", "is not relative"),
        ("include = ['a.yaml']", "neither a .toml nor a .json file"),
        ("include = ['a.toml', 'a.toml']", "`a.toml` is included twice"),
    ] {
        let found = errors(include);
        assert!(found.iter().any(|one| one.message.contains(message)), "{include} {found:?}");
    }
    let many: Vec<String> = (0..17).map(|n| format!("'f{n}.toml'")).collect();
    let found = errors(&format!("include = [{}]", many.join(", ")));
    assert!(found[0].message.contains("17 included files, expected at most 16"), "{found:?}");
    let head = "format = 1\nname = 't'\ninclude = ['holidays.toml']\n";
    let Ok((_, found)) = Policy::load(&joined(head, [("holidays.toml", HOLIDAYS)])) else {
        panic!()
    };
    assert!(found[0].message.contains("reads a value of `holidays.toml`"), "{found:?}");
}
