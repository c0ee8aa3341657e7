//! What an author reads about a text that is not CEL, and what conditions have beyond the `cel` crate's
//! defaults: names in backticks, macros with two variables, `cel.bind`.

use super::support::{attempt, errors, load, outcome};

fn rule(when: &str) -> String {
    format!("[[rule]]\nid = 'r'\nverdict = 'allow'\nwhen = '''{when}'''\n")
}

#[test]
fn a_text_that_is_not_cel_is_explained_in_plain_words() {
    for (when, column, message) in [
        ("context.a == 1 and context.b == 2", 16, "write `&&` for `and`"),
        ("context.a == 1 OR context.b == 2", 16, "write `||` for `OR`"),
        ("not context.a", 1, "write `!` for `not`"),
        ("context.a == 1 && not context.b", 19, "write `!` for `not`"),
        ("not(context.a)", 4, "there is no function `not`: write `!` for `not`"),
        ("context.a = 1", 11, "write `==` to compare"),
        ("context.a === 1", 13, "write `==` for `===`"),
        ("context.a <> 1", 12, "write `!=` for `<>`"),
        ("context.a & context.b", 11, "write `&&` for `&`"),
        ("context.a | context.b", 11, "write `||` for `|`"),
        ("context.a == 'x", 14, "no closing quote"),
        ("context.a == \u{201c}x\u{201d}", 14, "a typographic quote"),
        ("context.a == 1;", 15, "`;` has no meaning outside a string"),
        ("context.a == #", 14, "`#` has no meaning"),
        ("(context.a == 1", 1, "`(` is never closed"),
        ("context.a == 1)", 15, "`)` closes nothing"),
        ("(context.a == 1]", 16, "`]` where `(` is open: expected `)`"),
        ("context.a == ", 14, "ends where a value is expected"),
        ("context.a &&", 13, "ends where a value is expected"),
        ("", 1, "the condition is empty"),
        ("context.a > 10k", 13, "`10k` is not a number"),
        ("context.a > 10_000", 13, "`10_000` is not a number: write `10000`"),
        ("context.a > 10m", 13, "a time span is written `duration(\"10m\")`"),
        ("context.a context.b", 11, "`context` is unexpected here, expected an operator"),
        ("== 1", 1, "`==` is unexpected here, expected a value"),
        ("context.a ? 1", 14, "incomplete"),
        ("context.if == 1 && if == 2", 20, "`if` is a reserved word of CEL"),
        ("has(1)", 5, "`has` takes a member, as in `has(context.ticket)`"),
        ("[1].exists(1, true)", 12, "the variable of a macro is a plain name"),
        ("context.a == 99999999999999999999", 14, "`99999999999999999999` is beyond the 64 bits"),
        (
            r#"context.iban.matches("^DE\d+$")"#,
            26,
            r#"`\d` is not an escape of a CEL string: write `r"^DE\d+$"`, or name the pattern in `[const]`"#,
        ),
        (r#"context.a == "\x4""#, 15, r"`\x` is not an escape of a CEL string"),
        (r#"context.a == "a\.b" and x"#, 16, r#"write `r"a\.b"`"#),
        ("context.a not in [1]", 11, "write `!(x in y)` for `x not in y`"),
        ("context.a NOT IN [1]", 11, "write `!(x in y)` for `x not in y`"),
        ("context.a =~ \"p\"", 11, "write `x.matches(\"…\")` for `x =~ \"…\"`"),
        ("context.a !~ \"p\"", 11, "write `!x.matches(\"…\")`"),
        ("context.l.all(s => s > 1)", 17, "a macro is written `x.all(v, …)`, with a comma"),
        ("context.l.all(s -> s > 1)", 17, "a macro is written `x.all(v, …)`, with a comma"),
        ("context.a => 1", 11, "write `>=` for `=>`"),
        ("context.a =< 1", 11, "write `<=` for `=<`"),
        ("context.a is not null", 11, "write `x != null`, or `has(x)`"),
        ("context.a IS NULL", 11, "write `x == null`, or `!has(x)`"),
        ("context.a is 1", 11, "write `==` for `is`"),
        ("context.a between 1 and 5", 11, "write `x >= 1 && x <= 5` for `x between 1 and 5`"),
        ("context.a like \"x%\"", 11, "write `x.startsWith(y)`"),
        ("context.a contains \"x\"", 11, "write `x.contains(y)` for `x contains y`"),
        ("if context.a then true else false", 1, "a choice is written `condition ? one : other`"),
        ("context.a?.b == 1", 10, "write `.?` for `?.`, as in `context.a.?b`"),
        ("context.x ?? 1 == 1", 11, "write `context.?x.orValue(1)`"),
        ("context.a > 10,000", 13, "write `10000` for `10,000`"),
        ("context.a > 1,000,000 && true", 13, "write `1000000` for `1,000,000`"),
        ("context.a # amount", 11, "a comment in a condition begins with `//`"),
        ("has(context[\"x\"])", 12, "a key is tested by `\"ticket\" in context`"),
        ("context.`` == 1", 9, "the name in backticks that begins here"),
        ("context.`a\u{e9}` == 1", 9, "the name in backticks that begins here"),
    ] {
        let found = errors(&rule(when));
        let [only] = found.as_slice() else { panic!("{when}\n{found:#?}") };
        assert!(only.message.contains(message), "{when}\n{message}\n{only:?}");
        assert_eq!(only.column, column + 10, "{when}\n{only:?}");
        for word in ["mismatched", "extraneous", "EOF", "recognition", "Context", "usize", "viable"]
        {
            assert!(!only.message.contains(word), "{when}\n{only:?}");
        }
    }
}

#[test]
fn unknown_names_and_functions_come_with_what_was_meant() {
    for (when, message) in [
        ("requester != 'a'", "the requester is `facts.requester`"),
        ("requested_by != approver", "the requester is `facts.requester`"),
        ("user == 'a'", "the requester is `facts.requester`"),
        ("approver != agent", "a second pair of eyes is `threshold = 2`"),
        ("limit > 1", "a named value is `const.NAME`"),
        ("contxt.a == 1", "(did you mean `context`?)"),
        ("Agent == 'a'", "(did you mean `agent`?)"),
        ("context.a == True", "write `true`"),
        ("context.a == None", "an absent member is tested by `has(context.x)`"),
        ("[1].exists(item, itm == 1)", "(did you mean `item`?)"),
        ("cel.foo(1)", "cel.bind(name, value, expression)"),
        ("context.a.contain('x')", "there is no function `contain` (did you mean `contains`?)"),
        ("context.a.starts_with('x')", "(did you mean `startsWith`?)"),
        ("context.a.lower() == 'x'", "write `x.lowerAscii()`"),
        ("len(context.a) > 1", "write `size(x)`"),
        ("context.a.length() > 1", "write `size(x)`"),
        ("context.a.any(x, x == 1)", "write `x.exists(v, …)`"),
        (
            "context.l.exists(x)",
            "`exists` is written `x.exists(v, …)` or `x.exists(k, v, …)`, got 1 argument",
        ),
        ("context.l.transformMapEntry(k, v, {k: v}) == {}", "write `transformMap`"),
        ("context.l.length > 1 && now.hours == 1", "write `x.getHours()`"),
        ("now.hour() == 1", "there is no function `hour`: write `x.getHours()`"),
        ("now.weekday() == 1", "write `x.getDayOfWeek()`"),
        ("abs(context.a) == 1", "write `math.abs(x)`"),
        ("math.max(1, context.a) == 1", "write `math.greatest(a, b)`"),
        ("min(1, context.a) == 1", "write `math.least(a, b)`"),
        ("now() > timestamp(0)", "there is no function `now`: write `now`, without `()`"),
        ("'text'.length == 1", "a value of type string has no member `length`: write `size(x)`"),
        ("context.l.exists(i, i, i == 1)", "`i` is the name of both variables"),
        ("context.l.exists(1, v, v == 1)", "the variable of a macro is a plain name"),
        (
            "agent.exists(i, v, v == 'a')",
            "iterates over a list or a map, got a value of type string",
        ),
    ] {
        let found = errors(&rule(when));
        assert!(
            found.iter().any(|one| one.message.contains(message)),
            "{when}\n{message}\n{found:#?}"
        );
        for other in
            ["context.requester", "context.approver", "context.requested_by", "context.user"]
        {
            assert!(found.iter().all(|one| !one.message.contains(other)), "{when}\n{found:#?}");
        }
    }
}

#[test]
fn the_arguments_of_an_unknown_function_are_not_reported_as_well() {
    for when in [
        "context.steps.any(s, s.sql == 'x')",
        "context.steps.exists(s)",
        "context.steps.some(s, s.sql == 'x' && s.a.b > contxt)",
        "math.max(s, t) == 1",
        "unknown(s)",
    ] {
        let found = errors(&rule(when));
        let [only] = found.as_slice() else { panic!("{when}\n{found:#?}") };
        assert!(!only.message.contains("not declared"), "{when} {only:?}");
    }
}

/// What other languages write is a name here where the grammar has a name.
#[test]
fn words_of_other_languages_are_names_in_a_condition() {
    for when in [
        "[1].exists(is, is == 1) && ['a'].exists(like, like.contains('a'))",
        "{'between': 1}.between == 1 && {'then': true}.then",
        "'a' == '\\x61' && '\\u0061\\141' == 'aa' && r'\\d' != '' && size([10,000]) == 2",
        "true ? 1.0 == 1.0 : .5 == 0.5",
    ] {
        assert_eq!(outcome(when, "{}"), "true", "{when}");
    }
    let found = super::support::problems(&rule(r#"agent.matches("\bx")"#));
    assert!(found.iter().any(|one| one.message.contains("is a backspace")), "{found:?}");
}

#[test]
fn names_in_backticks_read_members_that_are_not_identifiers() {
    let context = r#"{"content-type": "a", "a b": {"c/d.e": 1}, "in": 2}"#;
    for (when, expected) in [
        ("context.`content-type` == 'a'", "true"),
        ("has(context.`content-type`) && !has(context.`content-typ`)", "true"),
        ("context.`a b`.`c/d.e` == 1", "true"),
        ("context.`in` == 2", "true"),
        ("context.?`a b`.?`c/d.e`.orValue(0) == 1", "true"),
        ("context.`missing-one` == 1", "error"),
        ("'`' == \"`\" && r'`x' != '' && context.`in` == 2 // `", "true"),
        ("context.`a//b` == 1 || true", "true"),
    ] {
        assert_eq!(outcome(when, context), expected, "{when}");
    }
}

#[test]
fn macros_take_two_variables() {
    let context =
        r#"{"l": [5, 6, 7], "m": {"a": 1, "b": 2}, "n": [[1, 2], [3]], "s": "text", "e": []}"#;
    for (when, expected) in [
        ("context.l.exists(i, v, i == 1 && v == 6)", "true"),
        ("context.l.exists(i, v, i == 1 && v == 5)", "false"),
        ("context.l.all(i, v, v == i + 5)", "true"),
        ("context.l.existsOne(i, v, v > 6) && context.l.exists_one(i, v, i == 0)", "true"),
        ("context.l.existsOne(i, v, v > 5)", "false"),
        ("context.m.exists(k, v, k == 'b' && v == 2)", "true"),
        ("context.m.all(k, v, k == 'a' || v == 2)", "true"),
        ("{'x': 1, 2: 3}.exists(k, v, k == 2 && v == 3)", "true"),
        ("context.l.transformList(i, v, i * v) == [0, 6, 14]", "true"),
        ("context.l.transformList(i, v, i > 0, v) == [6, 7]", "true"),
        ("context.m.transformList(k, v, k) == ['a', 'b']", "true"),
        ("{'b': 1, 'a': 2}.transformList(k, v, k) == ['a', 'b']", "true"),
        ("context.m.transformMap(k, v, v * 2) == {'a': 2, 'b': 4}", "true"),
        ("context.m.transformMap(k, v, v > 1, v) == {'b': 2}", "true"),
        ("context.l.transformMap(i, v, v)[2] == 7", "true"),
        ("context.n.exists(i, row, row.exists(j, v, i == 0 && j == 1 && v == 2))", "true"),
        ("context.n.exists(i, v, v.exists(v, i == 1 && v == 3))", "true"),
        ("context.n.exists(i, v, v.exists(i, i == 3))", "true"),
        ("context.n.all(i, v, v.exists(i, v, i == 0))", "true"),
        ("context.e.all(i, v, v.missing) && !context.e.exists(i, v, true)", "true"),
        ("context.l.exists(i, v, v.missing == 1 || v == 7)", "true"),
        ("context.l.all(i, v, v.missing == 1)", "error"),
        ("context.s.exists(i, v, true)", "error"),
        ("context.missing.exists(i, v, true)", "error"),
        ("context.l.exists(agent, context, context == 7)", "true"),
        ("cel.bind(x, context.l[0] + 1, x == 6 && x * x == 36)", "true"),
        ("cel.bind(x, [1], cel.bind(y, x + [2], y.size() == 2 && x.size() == 1))", "true"),
        ("cel.bind(x, context.l, x.exists(i, v, i == 2 && v == 7))", "true"),
        ("cel.bind(context, {'l': [9]}, context.l[0] == 9)", "true"),
        ("cel.bind(x, context.missing, true)", "error"),
    ] {
        assert_eq!(outcome(when, context), expected, "{when}");
    }
}

#[test]
fn failures_of_an_evaluation_name_their_cause() {
    let why = |when: &str| {
        let trace = load(&rule(when)).trace(&attempt("{\"a\": \"NaN\"}", None));
        trace[0].error.clone().unwrap_or_default()
    };
    assert_eq!(why("double(context.a) > 10000.0"), "NaN is neither less nor greater than a number");
    assert_eq!(why("context.a > 1"), "a value of type string and one of type int have no order");
    assert_eq!(
        why("context.a.exists(i, v, true)"),
        "a macro iterates over a list or a map, got a value of type string"
    );
}
