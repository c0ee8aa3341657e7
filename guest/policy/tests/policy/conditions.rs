//! Results of conditions: the functions, the macros, time, and the mistakes found before
//! evaluation.

use signoff_policy::condition::{Function, Type, functions};

use super::support::{errors, outcome, problems};

fn sample(function: &Function, at: usize, takes: Type) -> &'static str {
    match (function.name, at, takes) {
        ("bool", _, Type::String) => "'true'",
        ("int" | "uint" | "double", _, Type::String) => "'12'",
        ("duration", _, Type::String) => "'90s'",
        ("timestamp", _, Type::String) => "'2025-10-17T10:30:00Z'",
        ("format", 0, _) => "'%s'",
        ("matches", 1, _) => "'a+'",
        (name, 1, Type::String) if name.starts_with("get") => "'Europe/Berlin'",
        ("join", 0, _) => "['a', 'b']",
        (_, _, Type::Dyn) => "dyn(1)",
        (_, _, Type::Bool) => "true",
        (_, _, Type::Int) => "1",
        (_, _, Type::Uint) => "1u",
        (_, _, Type::Double) => "1.5",
        (_, _, Type::String) => "'abca'",
        (_, _, Type::Bytes) => "b'abc'",
        (_, _, Type::List) => "[3, 1, 2]",
        (_, _, Type::Map) => "{'a': 1}",
        (_, _, Type::Null) => "null",
        (_, _, Type::Timestamp) => "now",
        (_, _, Type::Duration) => "duration('90s')",
        (_, _, Type::Type) => "int",
        (_, _, Type::Number) => "dyn(1)",
        (_, _, Type::Optional) => "optional.of(1)",
    }
}

fn called(function: &Function) -> String {
    let args: Vec<&str> =
        function.takes.iter().enumerate().map(|(at, takes)| sample(function, at, *takes)).collect();
    match args.split_first() {
        Some((target, rest)) if function.method => {
            format!("{target}.{}({})", function.name, rest.join(", "))
        }
        _ => format!("{}({})", function.name, args.join(", ")),
    }
}

#[test]
fn every_function_in_the_table_returns_its_declared_type() {
    for function in functions() {
        let call = called(function);
        assert_eq!(outcome(&format!("dyn({call}) == dyn({call})"), "{}"), "true", "{call}");
        let gives = match function.gives {
            Type::Dyn => continue,
            Type::Null => "null_type",
            Type::Optional => "optional_type",
            Type::Timestamp => "google.protobuf.Timestamp",
            Type::Duration => "google.protobuf.Duration",
            other => other.name(),
        };
        assert_eq!(outcome(&format!("type({call}) == {gives}"), "{}"), "true", "{call} {gives}");
    }
}

#[test]
fn an_extra_argument_is_refused() {
    for function in functions() {
        let call = called(function);
        let more = match call.strip_suffix(')') {
            Some(call) if call.ends_with('(') => format!("{call}1, 1, 1, 1)"),
            Some(call) => format!("{call}, 1, 1, 1, 1)"),
            None => panic!("{call}"),
        };
        let found =
            errors(&format!("[[rule]]\nid = 'r'\nverdict = 'deny'\nwhen = '''{more} == 1'''\n"));
        assert!(
            found.iter().any(|problem| problem.message.contains("does not take")),
            "{more} {found:?}"
        );
    }
}

#[test]
fn a_value_is_converted_as_cel_go_converts_it() {
    for (when, expected) in [
        ("string(1307065.8 + context.z) == '1.3070658e+06'", "true"),
        ("string(100000.0 + context.z) == '100000'", "true"),
        ("string(1000000.0 + context.z) == '1e+06'", "true"),
        ("string(-0.00001 + context.z) == '-1e-05'", "true"),
        ("string(0.0001 + context.z) == '0.0001'", "true"),
        ("string(1e300 * 1e10 + context.z) == '+Inf'", "true"),
        ("string(-1.5 + context.z) == '-1.5'", "true"),
        ("string(context.n) == '12'", "true"),
        ("double('1e308') > 0.0 && double('-inf') < 0.0 && double('Infinity') > 1e308", "true"),
        ("double('1e309') > 0.0", "error"),
        ("double('-1e400') < 0.0", "error"),
        ("math.isNaN(double('nan'))", "true"),
        ("math.isNaN(double('-NaN'))", "error"),
        ("math.isNaN(double('+nan'))", "error"),
        ("double('x') > 0.0", "error"),
        ("dyn([]) + dyn({'a': 1}) == ['a']", "error"),
        ("context.l + context.m == [1, 'a']", "error"),
        ("context.l + dyn('a') == [1]", "error"),
        ("context.l + [2] == [1, 2] && 'a' + 'b' == 'ab' && context.n + 1 == 13", "true"),
        ("uint('12') == 12u", "true"),
        ("uint('+12') == 12u", "error"),
        ("uint('') == 0u", "error"),
        ("uint(context.n) == 12u", "true"),
    ] {
        assert_eq!(
            outcome(when, r#"{"n": 12, "z": 0.0, "l": [1], "m": {"a": 1}}"#),
            expected,
            "{when}"
        );
    }
}

#[test]
fn an_optional_comes_only_from_a_map_or_a_list_with_a_fitting_key() {
    for (when, expected) in [
        ("context.?m.?a.orValue(0) == 1", "true"),
        ("context.?m.?b.orValue(0) == 0", "true"),
        ("context.?x.?b.orValue(0) == 0", "true"),
        ("context.l[?0].orValue(0) == 7", "true"),
        ("context.l[?1].orValue(0) == 0", "true"),
        ("context.l[?'a'].orValue(0) == 0", "error"),
        ("context.l.?a.orValue(0) == 0", "error"),
        ("context.?l.?a.orValue(0) == 0", "error"),
        ("optional.of(context.l).a.orValue(0) == 0", "error"),
        ("optional.of(context.m).a.orValue(0) == 1", "true"),
        ("optional.of(context.m).b.orValue(0) == 0", "true"),
        ("context.?m.a.orValue(0) == 1", "true"),
        ("{'k': optional.none()}.k.a.orValue(0) == 0", "error"),
        ("{'k': optional.of(context.l)}.k[0].orValue(0) == 7", "error"),
        ("[optional.of(context.m)][0].a.orValue(0) == 1", "error"),
        ("{'k': context.m}.k.a == 1 && [context.m][0].a == 1 && [[7]][0][0] == 7", "true"),
        ("[context.m].all(m, [m][0].a == 1)", "true"),
        ("optional.of(context.l)[0].orValue(0) == 7", "true"),
        ("(context.n == 1 ? context.m : context.m).a == 1", "true"),
        ("[?optional.of(1), ?optional.none()] == [1]", "true"),
        ("[?context.n] == [1]", "error"),
        ("{?'a': optional.of(1), ?'b': optional.none()} == {'a': 1}", "true"),
        ("{?'a': context.n} == {'a': 1}", "error"),
    ] {
        assert_eq!(outcome(when, r#"{"m": {"a": 1}, "l": [7], "n": 1}"#), expected, "{when}");
    }
}

/// The interpreter keeps a map that a condition creates in a hash map, whose order changes.
#[test]
fn a_macro_visits_the_keys_of_a_map_in_order() {
    let map = "{'c': 1, 2: 1, true: 1, 'a': 1, 10u: 1, 'b': 1, false: 1, -1: 1, 'd': 1, 'e': 1}";
    let keys = "[false, true, -1, 2, 10u, 'a', 'b', 'c', 'd', 'e']";
    for when in [
        format!("{map}.map(k, k) == {keys}"),
        format!("{map}.filter(k, true) == {keys}"),
        format!("{map}.map(k, k == 2, k) == [2]"),
        format!("[{map}].map(m, m.map(k, k)) == [{keys}]"),
        format!("[{map}][size(context.l) - 1].map(k, k) == {keys}"),
        "context.m.map(k, k) == ['a', 'b']".to_owned(),
    ] {
        assert_eq!(outcome(&when, r#"{"m": {"b": 1, "a": 1}, "l": [7]}"#), "true", "{when}");
    }
}

#[test]
fn lists_and_maps_compare_from_contexts_and_conditions() {
    let context = r#"{"l": [1, "a", [2.0], {"k": null}], "m": {"a": [1], "b": {}}, "n": {"a": [1], "b": {}}, "s": ["x", "y"]}"#;
    for (when, expected) in [
        ("context.l == [1, 'a', [2], {'k': null}]", "true"),
        ("[1, 'a', [2], {'k': null}] == context.l", "true"),
        ("context.l == [1, 'a', [2], {'k': 1}]", "false"),
        ("context.l == [1, 'a', [2]]", "false"),
        ("context.l != [1]", "true"),
        ("context.m == context.n", "true"),
        ("context.m == {'a': [1], 'b': {}}", "true"),
        ("{'b': {}, 'a': [1.0]} == context.m", "true"),
        ("context.m == {'a': [1]}", "false"),
        ("context.m == {'a': [1], 'c': {}}", "false"),
        ("context.m != {'a': [2], 'b': {}}", "true"),
        ("context.l[3] in [context.l[3]]", "true"),
        ("[2] in context.l", "true"),
        ("{'k': null} in context.l", "true"),
        ("'x' in context.s && !('z' in context.s)", "true"),
        ("context.s + ['z'] == ['x', 'y', 'z']", "true"),
        ("['z'] + context.s == ['z', 'x', 'y']", "true"),
        ("context.s + context.m == []", "error"),
        ("context.s.map(i, i + '!') == ['x!', 'y!']", "true"),
        ("context.m.map(k, k) == ['a', 'b']", "true"),
        ("context.m.all(k, k in context.n)", "true"),
        ("context.s.join('-') == 'x-y' && context.s.size() == 2", "true"),
        ("context.s.exists_one(i, i == 'x')", "true"),
        ("context.m == null || context.m == 1 || context.m == []", "false"),
        ("context.l == context.m", "false"),
        ("'m' in context", "true"),
        ("context.s.reverse() == ['y', 'x']", "true"),
        ("context.s.distinct() == context.s", "true"),
        ("context.?m.?a[?0].orValue(0) == 1", "true"),
    ] {
        assert_eq!(outcome(when, context), expected, "{when}");
    }
}

#[test]
fn strings_are_code_points_and_patterns_are_literals() {
    let context = "{\"e\": \"\\u00e9\\ud83d\\ude00\", \"f\": \"e\u{301}\", \"mail\": \"a@example.org\", \"p\": \"(\"}";
    for (when, expected) in [
        ("size(context.e) == 2", "true"),
        ("context.e == 'é😀'", "true"),
        ("context.f == 'é'", "false"),
        ("context.mail.matches('^[a-z]+@example[.]org$')", "true"),
        ("matches(context.mail, 'example')", "true"),
        ("context.mail.matches('^example')", "false"),
        (
            "context.mail.endsWith('@example.org') && context.mail.lowerAscii() == context.mail",
            "true",
        ),
        ("context.absent.matches('a')", "error"),
    ] {
        assert_eq!(outcome(when, context), expected, "{when}");
    }
}

#[test]
fn certain_mistakes_are_reported_at_load() {
    // condition => a piece of the message
    let table = "
        risk >= 80                          => `risk` is not declared
        context.list.exists(x, y == 1)      => `y` is not declared
        context.list.exists(x, true) && x   => `x` is not declared
        context.a == 1 && contexts.b == 2   => `contexts` is not declared
        lower(agent) == 'a'                 => there is no function `lower`
        agent.lower() == 'a'                => there is no function `lower`
        context.a.exists(x, x.lower() == 1) => there is no function `lower`
        math.power(2, 3) == 8               => there is no function `math.power`
        size() == 1                         => `size` does not take no arguments
        size(agent, 1) == 1                 => `size` does not take 2 arguments
        agent.size(1) == 1                  => `size` does not take 1 argument
        startsWith(agent, 'a')              => called as `x.startsWith()`
        agent.timestamp() == now            => called as `timestamp(x)`
        size(1) == 1                        => `size` does not take values of types int
        agent.contains(1)                   => types string, int
        now.contains('a')                   => types timestamp, string
        'a' < 1                             => `<` does not take
        agent == 1                          => `==` does not take
        agent != null                       => `!=` does not take
        now > 1                             => `>` does not take
        now == '2025'                       => `==` does not take
        true < 1                            => `<` does not take
        [1] < [2]                           => `<` does not take
        agent in 'abc'                      => `in` does not take
        1 in agent                          => `in` does not take
        agent && true                       => `&&` takes a bool
        true || 1                           => `||` takes a bool
        !agent                              => `!` takes a bool
        -agent == 'x'                       => `-` takes an int or a double
        -1u == 1u                           => `-` takes an int or a double
        agent ? true : false                => `? :` takes a bool
        agent + 1 == 'a1'                   => `+` does not take
        1 + 1.5 == 2.5                      => `+` does not take
        agent - 'a' == ''                   => `-` does not take
        1.5 % 2.0 == 0.0                    => `%` does not take
        now + 1 == now                      => `+` does not take
        now + now == now                    => `+` does not take
        agent.name == 'a'                   => has no member `name`
        has(agent.name)                     => has no member `name`
        agent[0] == 'a'                     => cannot be indexed
        context[null] == 1                  => cannot be indexed
        [1]['a'] == 1                       => cannot be indexed
        {null: 1} == {}                     => cannot be a map key
        agent.exists(x, true)               => iterates over a list or a map
        1                                   => gives a value of type int, expected a bool
        'true'                              => gives a value of type string
        agent                               => gives a value of type string
        context                             => gives a value of type map
        now                                 => gives a value of type timestamp
        [true]                              => gives a value of type list
        context.a + 1 == 2 ? 1 : 2          => gives a value of type int
        size(agent)                         => gives a value of type int
        context.?a                          => gives a value of type optional
        context.list.map(x, x)              => gives a value of type list
        Foo{a: 1} == 1                      => not a type that a condition can create
        google.protobuf.Int64Value{} == 1   => not a type that a condition can create
        agent.matches('(')                  => not a regular expression
        agent.matches('a{9999999}')         => regular expression
        agent.matches(context.pattern)      => the pattern of `matches` is a string
        agent.matches(agent)                => the pattern of `matches` is a string
        now.getHours('Europe/Berlinn') < 8  => `Europe/Berlinn` is not a time zone
        now.getDate('24:00') == 1           => `24:00` is not a time zone
        now.getDate('Z') == 1               => `Z` is not a time zone
        context.t.getDate('+1:60') == 1     => `+1:60` is not a time zone
        now + duration('1 h') > now         => `1 h` is not a duration
        now < timestamp('2026-01-01')       => `2026-01-01` is not a timestamp
        .context.a == 1                     => `.context` begins with a dot
        context.a =                         => not a CEL expression
        context.a = 1                       => not a CEL expression
        context..a == 1                     => not a CEL expression
        context.a == 'x                     => not a CEL expression
        (context.a == 1                     => not a CEL expression
        context.a === 1                     => not a CEL expression
        context.a == 1 and true             => not a CEL expression
        @0 == 1                             => not a CEL expression
        context.a == 9223372036854775808    => not a CEL expression
        has(context)                        => not a CEL expression
        context.list.exists(1, true)        => not a CEL expression
        in == 1                             => not a CEL expression
    ";
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (when, message) = line.split_once("=>").unwrap();
        let (when, message) = (when.trim(), message.trim());
        let found = errors(&format!("[[rule]]\nid = 'r'\nverdict = 'deny'\nwhen = '''{when}'''\n"));
        assert!(found.iter().any(|problem| problem.message.contains(message)), "{when}: {found:?}");
    }
}

#[test]
fn an_empty_condition_is_a_mistake() {
    for when in ["", " ", "\\n", "// nothing"] {
        assert!(
            !errors(&format!("[[rule]]\nid = 'r'\nverdict = 'deny'\nwhen = \"{when}\"\n"))
                .is_empty(),
            "{when}"
        );
    }
}

#[test]
fn constant_conditions_are_warned_about() {
    for (when, verdict, message) in [
        ("true", "deny", "always true"),
        ("1 < 2", "deny", "always true"),
        ("false", "deny", "always false"),
        ("context.a == 1 && 1 > 2", "allow", "always false"),
        ("true || context.a == 1", "allow", "always true"),
        ("[1, 2].exists(x, x == 2)", "allow", "always true"),
        ("1 / 0 == 1", "allow", "the rule never matches"),
        ("1 / 0 == 1", "deny", "the rule always matches"),
    ] {
        let found = problems(&format!(
            "[[rule]]\nid = 'r'\nreason = 'x'\nverdict = '{verdict}'\nwhen = '''{when}'''\n"
        ));
        let [only] = found.as_slice() else { panic!("{when}: {found:?}") };
        assert!(only.message.contains(message), "{when}: {only:?}");
    }
}
