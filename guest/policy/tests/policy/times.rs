//! Timestamps, durations and time zones.

use super::support::outcome;

#[test]
fn hours_are_those_of_the_given_time_zone() {
    // 10:30 UTC is 12:30 in Berlin and 06:30 in New York; a Friday.
    for when in [
        "now.getHours() == 10",
        "now.getHours('Europe/Berlin') == 12",
        "now.getHours('America/New_York') == 6",
        "now.getHours('+05:30') == 16",
        "now.getMinutes() == 30",
        "now.getDayOfWeek() == 5",
        "now.getDayOfWeek('Pacific/Auckland') == 5",
        "now.getFullYear() == 2025",
        "now.getMonth() == 9",
        "now.getDate() == 17",
        "now.getDayOfMonth() == 16",
        "now.getSeconds() == 0",
        "now == timestamp('2025-10-17T10:30:00Z')",
        "now == timestamp(1760697000)",
        "int(now) == 1760697000",
        "now - duration('30m') == timestamp('2025-10-17T10:00:00Z')",
        "now - timestamp('2025-10-17T10:00:00Z') == duration('30m')",
        "now > timestamp(context.since)",
        "now - timestamp(context.since) > duration('24h')",
        "string(now) == '2025-10-17T10:30:00Z'",
    ] {
        assert_eq!(outcome(when, r#"{"since": "2025-10-01T00:00:00Z"}"#), "true", "{when}");
    }
    for when in [
        "now.getHours(context.zone) == 1",
        "now.getHours(context.absent) == 1",
        "timestamp(context.zone) < now",
    ] {
        assert_eq!(outcome(when, r#"{"zone": "x"}"#), "error", "{when}");
    }
}

/// Returns a condition with a value that the check of literals does not see.
fn unseen(function: &str, text: &str) -> String {
    format!("{function}('{text}' + context.e)")
}

#[test]
fn durations_have_one_sign_and_decimals_with_units() {
    for (text, nanoseconds) in [
        ("0", 0_i64),
        ("-0", 0),
        ("+0", 0),
        ("1h", 3_600_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("-1.5h", -5_400_000_000_000),
        ("+1s", 1_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("1m1h", 3_660_000_000_000),
        ("1ms1us1ns", 1_001_001),
        ("1.5ns", 1),
        ("0.3s", 300_000_000),
        ("0.000000000000000000000000000001h", 0),
        ("9223372036854775807ns", i64::MAX),
        ("-9223372036854775807ns", -i64::MAX),
        ("2562047h47m16.854775807s", i64::MAX),
    ] {
        let made = unseen("duration", text);
        let expected = format!("{made} == duration('{nanoseconds}ns')");
        assert_eq!(outcome(&expected, r#"{"e": ""}"#), "true", "{text}");
    }
    for text in [
        "",
        "-",
        "+",
        "1",
        "01",
        "00",
        "h",
        ".",
        ".s",
        "-.s",
        "1 h",
        " 1h",
        "1h ",
        "--1s",
        "+-1s",
        "-+1s",
        "1h-30m",
        "1d",
        "1w",
        "1e3s",
        "1H",
        "1µs",
        "1μs",
        "1_0s",
        "0x1s",
        "inf",
        "nan",
        "NaNs",
        "infs",
        "1hm",
        "1h30",
        "1..5h",
        "1.5.5h",
        "9223372036854775808ns",
        "-9223372036854775808ns",
        "2562048h",
        "99999999999999999999h",
        "1s\\n",
    ] {
        let made = unseen("duration", text);
        assert_eq!(outcome(&format!("{made} == duration('0')"), r#"{"e": ""}"#), "error", "{text}");
    }
}

#[test]
fn timestamps_have_the_form_of_rfc_3339() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0_i64),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59-00:00", -1),
        ("2024-02-29T12:00:00.000000000Z", 1_709_208_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
        ("1970-01-01T23:59:00+23:59", 0),
    ] {
        let made = unseen("timestamp", text);
        let expected = format!("int({made}) == {seconds}");
        assert_eq!(outcome(&expected, r#"{"e": ""}"#), "true", "{text}");
    }
    let offset = "timestamp('2026-01-01T23:30:00-11:00' + context.e)";
    for when in [
        "{}.getHours() == 10",
        "{}.getDate() == 2",
        "({} + duration('1h')).getHours() == 11",
        "{}.getHours('-11:00') == 23",
        "string({}) == '2026-01-02T10:30:00Z'",
    ] {
        let when = when.replace("{}", offset);
        assert_eq!(outcome(&when, r#"{"e": ""}"#), "true", "{when}");
    }
    for text in [
        "",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-01-01t00:00:00Z",
        "2026-01-01T00:00:00z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2016-12-31T23:59:60Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.0000000000Z",
        "2026-01-01T00:00:00,5Z",
        "2026-01-01T00:00Z",
        "2026-01-01T0:00:00Z",
        "2026-1-1T00:00:00Z",
        "+2026-01-01T00:00:00Z",
        "12026-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+00:60",
        "2026-01-01T00:00:00+0000",
        "2026-01-01T00:00:00+00",
        "2026-01-01T00:00:00UTC",
        "2026-01-01T00:00:00Z ",
        " 2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00ZZ",
        "0",
        "éééééééééééééééééé",
    ] {
        let made = unseen("timestamp", text);
        assert_eq!(outcome(&format!("{made} == now"), r#"{"e": ""}"#), "error", "{text}");
    }
    for (seconds, expected) in [
        (-62_135_596_800_i64, "true"),
        (-62_135_596_801, "error"),
        (253_402_300_799, "true"),
        (253_402_300_800, "error"),
        (i64::MAX, "error"),
        (i64::MIN, "error"),
    ] {
        let context = format!("{{\"n\": {seconds}}}");
        assert_eq!(outcome("int(timestamp(context.n)) == context.n", &context), expected);
    }
    assert_eq!(outcome("timestamp(context.n) == now", r#"{"n": true}"#), "error");
    assert_eq!(outcome("duration(context.n) == duration('1s')", r#"{"n": 1}"#), "error");
}

#[test]
fn a_time_that_cel_cannot_represent_is_an_error() {
    let policy = super::support::load(
        "default = 'deny'\n[[rule]]\nid = 'r'\nverdict = 'allow'\nwhen = 'now > timestamp(0)'",
    );
    for (now, decision) in
        [(1, "allow"), (253_402_300_799, "allow"), (253_402_300_800, "deny"), (u64::MAX, "deny")]
    {
        let mut attempted = super::support::attempt("{}", None);
        attempted.now = now;
        assert_eq!(policy.evaluate(&attempted).decision.as_str(), decision, "{now}");
    }
}
