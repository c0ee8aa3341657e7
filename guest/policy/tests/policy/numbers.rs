//! Any use of a number that CEL cannot represent exactly is an error; all other numbers are exact.

use super::support::outcome;

const BIG: [&str; 4] = [
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "100000000000000000000000000000000000000000000000000",
];

#[test]
fn any_use_of_an_integer_beyond_64_bits_fails() {
    let uses = [
        "context.n > 5",
        "context.n >= 5",
        "context.n < 5",
        "context.n <= 5",
        "5 > context.n",
        "5 >= context.n",
        "5 < context.n",
        "5 <= context.n",
        "context.n > 5.0",
        "5.0 > context.n",
        "context.n > 5u",
        "5u < context.n",
        "context.n == 5",
        "context.n != 5",
        "5 == context.n",
        "5 != context.n",
        "context.n == 5.5",
        "5.5 != context.n",
        "context.n == 5u",
        "5u != context.n",
        "context.n == 'x'",
        "'x' != context.n",
        "context.n == null",
        "null != context.n",
        "context.n == true",
        "false != context.n",
        "context.n == b'x'",
        "b'x' != context.n",
        "context.n == [1]",
        "[1] != context.n",
        "context.n == {'a': 1}",
        "{'a': 1} != context.n",
        "context.n == now",
        "now != context.n",
        "context.n == duration('1s')",
        "context.n == context.n",
        "context.n != context.n",
        "context.n == context.m",
        "type(context.n) == int",
        "type(context.n) != int",
        "context.n == int",
        "int != context.n",
        "context.n in [1, 2]",
        "!(context.n in [1, 2])",
        "1 in [context.n]",
        "!(1 in [context.n])",
        "1 in [1, context.n]",
        "context.n in [context.n]",
        "context.n in {'a': 1}",
        "'a' in context.n",
        "context.n in context.list",
        "7 in context.list",
        "!(7 in context.list)",
        "1 in context.list",
        "context.list == [1, 2]",
        "[1, 2] != context.list",
        "context.list != [1, 2, 3]",
        "context.list == context.list",
        "context.o == {'n': 1}",
        "{'n': 1} != context.o",
        "context.o != {'x': 1}",
        "context.o == context.o",
        "[context.o] == [context.o]",
        "[context.n] == [1]",
        "[1] != [context.n]",
        "{'a': context.n} == {'a': 1}",
        "{'a': 1} != {'a': context.n}",
        "{'b': 1} != {'a': context.n}",
        "context == context",
        "optional.of(context.n) == optional.of(1)",
        "optional.of(1) != optional.of(context.n)",
        "context.?n == optional.of(1)",
        "context.?n.orValue(1) == 1",
        "context.?n.value() != 1",
        "optional.ofNonZeroValue(context.n).hasValue()",
        "context.n + 1 > 0",
        "1 + context.n > 0",
        "context.n - 1 > 0",
        "1 - context.n > 0",
        "context.n * 1 > 0",
        "1 * context.n > 0",
        "context.n / 2 > 0",
        "2 / context.n > 0",
        "context.n % 2 == 0",
        "2 % context.n == 0",
        "-context.n < 0",
        "context.n + 1.5 > 0.0",
        "'x' + context.n == 'x'",
        "[1] + context.n == [1]",
        "[1] + [context.n] == [1]",
        "now + context.n > now",
        "now - context.n > now",
        "duration('1s') + context.n > now",
        "!context.n",
        "context.n && true",
        "true && context.n",
        "context.n || false",
        "false || context.n",
        "context.n ? true : false",
        "context.n",
        "int(context.n) > 0",
        "uint(context.n) > 0u",
        "double(context.n) > 0.0",
        "string(context.n) != ''",
        "bool(context.n)",
        "timestamp(context.n) > now",
        "duration(context.n) > duration('1s')",
        "bytes(context.n) == b''",
        "dyn(context.n) != 5",
        "size(context.n) > 0",
        "context.n.size() > 0",
        "context.n.x == 1",
        "has(context.n.x)",
        "!has(context.n.x)",
        "context.n['x'] == 1",
        "context.n[0] == 1",
        "[1][context.n] == 1",
        "{'a': 1}[context.n] == 1",
        "context.list[context.n] == 1",
        "context.o[context.n] == 1",
        "context.n.contains('x')",
        "'x'.contains(context.n)",
        "context.n.startsWith('9')",
        "context.n.endsWith('0')",
        "context.n.matches('9')",
        "'%d'.format([context.n]) != ''",
        "'%s'.format([context.n]) != ''",
        "[context.n].join() != ''",
        "'abc'.charAt(context.n) == ''",
        "'abc'.substring(context.n) == ''",
        "context.n.exists(x, true)",
        "context.n.all(x, false)",
        "context.n.map(x, x) == []",
        "context.list.exists(x, x > 5)",
        "context.list.all(x, x > 0)",
        "context.list.exists(x, x == 7)",
        "!context.list.exists(x, x == 7)",
        "context.list.exists_one(x, x > 5)",
        "context.list.filter(x, x > 5).size() > 0",
        "context.list.map(x, x + 1).size() > 0",
        "context.list.map(x, x) == [1, 2]",
        "context.o.all(k, context.o[k] > 0)",
        "context.list.distinct().size() > 0",
        "context.list.sort()[0] == 1",
        "math.greatest(context.n, 1) == 1",
        "math.least(1, context.n) == 1",
        "math.greatest(context.list) == 1",
        "math.abs(context.n) > 0",
        "math.sign(context.n) > 0",
        "math.sqrt(context.n) > 1.0",
        "math.bitAnd(context.n, 1) == 0",
        "math.ceil(context.n) > 0.0",
        "math.isNaN(context.n)",
        "lists.range(context.n).size() > 0",
        "context.list.slice(0, context.n).size() > 0",
        "context.list.flatten(context.n) == []",
        "context.list.sortBy(x, x)[0] == 1",
        "now.getHours(context.n) > 0",
        "context.n > 5 || true",
        "true && context.n > 5",
        "context.n > 5 && false",
        "[context.n][0] > 5",
        "{'a': context.n}.a > 5",
        "(true ? context.n : 1) > 5",
        "context.?n.optMap(x, x > 5).orValue(false)",
        "dyn(context.n) > 5",
    ];
    for big in BIG {
        let context = format!(r#"{{"list": [1, {big}], "m": 1, "n": {big}, "o": {{"n": {big}}}}}"#);
        for when in uses {
            assert_eq!(outcome(when, &context), "error", "{when} with {big}");
        }
    }
}

#[test]
fn an_integer_beyond_64_bits_can_be_tested_for_and_passed_on() {
    let context = r#"{"list": [1, 9223372036854775808], "n": 9223372036854775808}"#;
    for when in [
        "has(context.n)",
        "!has(context.absent)",
        "'n' in context",
        "context.size() == 2",
        "context.list.size() == 2",
        "size(context.list) == 2",
        "context.list[0] == 1",
        "context.?n.hasValue()",
        "context.exists(key, key == 'n')",
        "[context.n].size() == 1",
        "false || context.list[0] == 1",
        "true || context.n > 5",
        "!(false && context.n > 5)",
        "(true ? 1 : context.n) == 1",
        "context.list.exists(x, true)",
    ] {
        assert_eq!(outcome(when, context), "true", "{when}");
    }
}

#[test]
fn the_largest_and_smallest_64_bit_integers_are_exact() {
    let context = r#"{"max": 9223372036854775807, "min": -9223372036854775808}"#;
    for when in [
        "context.max == 9223372036854775807",
        "context.max > 9223372036854775806",
        "context.min == -9223372036854775808",
        "context.min < -9223372036854775807",
        "context.max != context.min",
        "string(context.max) == '9223372036854775807'",
        "context.max < 9223372036854775808u",
    ] {
        assert_eq!(outcome(when, context), "true", "{when}");
    }
    for when in
        ["context.max + 1 > 0", "context.min - 1 < 0", "-context.min > 0", "context.max * 2 > 0"]
    {
        assert_eq!(outcome(when, context), "error", "{when}");
    }
}

#[test]
fn integers_and_doubles_compare_on_the_number_line() {
    let context = r#"{"d": 9007199254740992.0, "half": 79.5, "i": 9007199254740993, "top": 9.223372036854775807e+18, "whole": 92.0}"#;
    for when in [
        "context.i > context.d",
        "context.d < context.i",
        "context.i != context.d",
        "context.i > 9007199254740992.0",
        "!(context.i == 9007199254740992.0)",
        "9223372036854775807 < context.top",
        "context.top > 9223372036854775807",
        "context.top == 9223372036854775808u",
        "context.top != 9223372036854775807",
        "context.whole == 92",
        "92 == context.whole",
        "context.whole >= 92",
        "context.whole <= 92",
        "context.half < 80",
        "context.half > 79",
        "79 < context.half",
        "-79 > -context.half",
        "92 in [context.whole]",
        "context.whole in [92]",
        "[92] == [context.whole]",
        "context.half != 79",
        "context.half >= 79u",
        "1u < context.half",
    ] {
        assert_eq!(outcome(when, context), "true", "{when}");
    }
}

#[test]
fn nan_cannot_be_ordered() {
    for when in ["0.0 / context.z > 1.0", "1 < 0.0 / context.z", "!(0.0 / context.z <= 1.0)"] {
        assert_eq!(outcome(when, r#"{"z": 0.0}"#), "error", "{when}");
    }
    assert_eq!(outcome("0.0 / context.z == 0.0 / context.z", r#"{"z": 0.0}"#), "false");
    assert_eq!(outcome("1.0 / context.z > 9223372036854775807", r#"{"z": 0.0}"#), "true");
    assert_eq!(outcome("-1.0 / context.z < -9223372036854775807", r#"{"z": 0.0}"#), "true");
}

#[test]
fn a_fraction_or_an_exponent_makes_a_double() {
    let context = r#"{"d": 1.0, "e": 1e+16, "i": 1, "m": -0.0, "z": 0}"#;
    for (when, expected) in [
        ("type(context.i) == int", "true"),
        ("type(context.d) == double", "true"),
        ("type(context.e) == double", "true"),
        ("context.i + 1 == 2", "true"),
        ("context.d + 1.0 == 2.0", "true"),
        ("context.i + 1.0 == 2.0", "error"),
        ("context.d + 1 == 2", "error"),
        ("context.i / context.z > 0", "error"),
        ("context.i % context.z > 0", "error"),
        ("context.m == 0.0", "true"),
        ("context.m == context.z", "true"),
    ] {
        assert_eq!(outcome(when, context), expected, "{when}");
    }
}
