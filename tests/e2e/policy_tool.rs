//! `signoff policy` on rules files: the starter, problems with positions, tests, verdicts with reasons.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Home, Ran};

/// Each kind of rule, and a test of each except one.
const RULES: &str = r#"format = 1
name = "mail"
default = "allow"

[[rule]]
id = "risky"
action = "quarantine"
when = "context.risk_score >= 80"
verdict = "require_approval"
ttl = "urgent"
threshold = 2
groups = { security = 1 }
reason = "risk {context.risk_score}"

[[rule]]
id = "no-purge"
action = "purge*"
when = "plan == null || now < timestamp('2025-01-01T00:00:00Z')"
verdict = "deny"
reason = "no plan"

[[test]]
name = "risky waits"
agent = "inbox"
action = "quarantine"
context = { risk_score = 80 }
expect = "require_approval"
rule = "risky"

[[test]]
name = "others go"
agent = "inbox"
action = "read"
expect = "allow"
"#;

/// Returns a home with the rules.
fn with_rules() -> Home {
    let home = Home::new();
    home.file("rules.toml", RULES);
    home
}

fn policy(home: &Home, arguments: &[&str]) -> Ran {
    home.run(&[&["policy"], arguments].concat())
}

/// Runs `eval` on an action of the agent `inbox`, with more arguments.
fn eval(home: &Home, file: &str, action: &str, context: &str, more: &[&str]) -> Ran {
    let arguments = ["eval", file, "--agent", "inbox", "--action", action, "--context", context];
    policy(home, &[&arguments, more].concat())
}

#[test]
fn the_starter_has_no_problems_and_full_coverage_and_is_written_once() {
    let home = Home::new();
    policy(&home, &["init"]).ok();
    assert_eq!(
        policy(&home, &["check", "--deny-warnings", "policy.toml"]).ok(),
        "policy.toml: `starter` has 5 rules and 7 tests"
    );
    let tested = policy(&home, &["test", "policy.toml", "--require-coverage"]).ok();
    assert!(tested.ends_with("fired: 5 of 5 rules\n7 tests passed"), "{tested}");
    // An existing file is never overwritten, even if it is a dangling link.
    home.file("policy.toml", "mine");
    let again = policy(&home, &["init"]).exits(1);
    assert_eq!(again.err, "signoff: `policy.toml` already exists\n");
    assert_eq!(fs::read_to_string(home.path("policy.toml")).unwrap(), "mine");
    symlink("nowhere", home.path("link.toml")).unwrap();
    policy(&home, &["init", "link.toml"]).exits(1);
    assert!(!home.path("nowhere").exists());
    policy(&home, &["init", "missing/policy.toml"]).exits(1);
    assert_eq!(policy(&home, &["init", "b.toml", "--json"]).json(), json!({"file": "b.toml"}));
}

/// The runbook's "Expiration Times", and its example of an agent that requests approval.
#[test]
fn the_starter_has_the_runbooks_numbers() {
    let home = Home::new();
    policy(&home, &["init"]).ok();
    let table = "
        Urgent (quarantine)      | 30 min   | inbox_triage     | quarantine         | {\"risk_score\": 92}
        Standard (config change) | 1 hour   | knowledge_update | apply              | {\"changes_count\": 1500}
        Non-urgent (reports)     | 24 hours | reporter         | weekly_report      | {}
        Emergency override       | 5 min    | oncall           | emergency_override | {}";
    for row in table.trim().lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (number, unit) = cells[1].split_once(' ').unwrap();
        let unit = if unit == "min" { 60 } else { 3_600 };
        let seconds = number.parse::<u64>().unwrap() * unit;
        let arguments =
            ["--agent", cells[2], "--action", cells[3], "--context", cells[4], "--json"];
        let ran = policy(&home, &[&["eval", "policy.toml"], &arguments[..]].concat()).exits(4);
        assert_eq!(ran.json()["requirement"], json!({ "ttl_seconds": seconds }), "{row}");
    }
    // `if risk_score >= 70`
    for (score, exit) in
        [("69", 0), ("69.99", 0), ("70", 4), ("70.0", 4), ("\"69\"", 4), ("null", 4)]
    {
        let context = format!("{{\"risk_score\": {score}}}");
        let arguments =
            ["--agent", "inbox_triage", "--action", "quarantine", "--context", &context];
        policy(&home, &[&["eval", "policy.toml"], &arguments[..]].concat()).exits(exit);
    }
}

#[test]
fn problems_are_reported_with_their_position() {
    let home = with_rules();
    home.file("bad.toml", &RULES.replace("context.risk_score >= 80", "contxt.risk_score >= 80"));
    let ran = policy(&home, &["check", "bad.toml"]).exits(1);
    let lines: Vec<&str> = ran.out.lines().collect();
    // All problems, in the order of the file.
    assert!(lines[0].starts_with("bad.toml:3:11: warning: the default is `allow`"), "{ran:?}");
    assert!(lines[3].starts_with("bad.toml:8:9: error: rule `risky`: "), "{ran:?}");
    assert!(lines[3].contains("`contxt`"), "{ran:?}");
    assert_eq!(lines[4], " 8 | when = \"contxt.risk_score >= 80\"");
    assert_eq!(lines[5], "   |         ^");
    assert_eq!(lines[6..], ["bad.toml: 1 error, 1 warning"]);
    assert_eq!(ran.err, "");
    // Other commands print them on standard error.
    for command in
        [&["test", "bad.toml"][..], &["build", "bad.toml"], &["diff", "rules.toml", "bad.toml"]]
    {
        let output = policy(&home, command).exits(1);
        assert_eq!(output.out, "", "{output:?}");
        assert!(output.err.starts_with(lines[0]), "{output:?}");
    }
    assert!(!home.path("bad.wasm").exists());
    let output = policy(&home, &["test", "bad.toml", "--json"]).exits(1).json();
    assert_eq!(output["ok"], false);
    assert_eq!(output["problems"][1]["line"], 8);
    assert_eq!(output["problems"][1]["column"], 9);
}

#[test]
fn a_warning_fails_only_with_deny_warnings() {
    let home = with_rules();
    let warned = policy(&home, &["check", "rules.toml"]).exits(0);
    assert!(warned.out.starts_with("rules.toml:3:"), "{warned:?}");
    assert!(warned.out.ends_with("`mail` has 2 rules and 2 tests, 2 warnings\n"), "{warned:?}");
    policy(&home, &["check", "rules.toml", "--deny-warnings"]).exits(1);
    let json = policy(&home, &["check", "rules.toml", "--json"]).exits(0).json();
    let item = &json["items"][0];
    assert_eq!((&item["ok"], &item["rules"], &item["tests"]), (&json!(true), &json!(2), &json!(2)));
    assert_eq!(item["problems"][0]["severity"], "warning");
    let denied = policy(&home, &["check", "rules.toml", "--json", "--deny-warnings"]).exits(1);
    assert_eq!(denied.json()["items"][0]["ok"], false);
}

#[test]
fn the_check_knows_what_nobody_in_a_keyring_can_meet() {
    let home = with_rules();
    home.bystander("ann", &["sre"]);
    let check = |more: &[&str]| policy(&home, &[&["check", "rules.toml"], more].concat());
    assert!(!check(&[]).ok().contains("have a key"), "without a keyring nothing is known");
    let keyring = ["--keyring", "signoff.keys.json"];
    let warned = check(&keyring).ok();
    assert!(warned.contains("rules.toml:5:1: warning: rule `risky`: requires 2 approvers, but 1 has a key; 1 approver of `security`, but 0 have a key"), "{warned}");
    check(&[&keyring[..], &["--deny-warnings"]].concat()).exits(1);
    home.bystander("ben", &["security"]);
    assert!(!check(&keyring).ok().contains("a key"));
    assert!(check(&["--keyring", "absent.json"]).exits(1).err.contains("absent.json"));
}

#[test]
fn a_failing_file_does_not_stop_the_check_of_others() {
    let home = with_rules();
    home.file("empty.toml", "");
    let ran = policy(&home, &["check", "missing.toml", "empty.toml", "rules.toml"]).exits(1);
    assert_eq!(
        ran.err,
        "signoff: cannot read `missing.toml`: No such file or directory (os error 2)\n"
    );
    assert!(ran.out.contains("empty.toml:1:1: error: "), "{ran:?}");
    assert!(ran.out.contains("rules.toml: `mail` has 2 rules"), "{ran:?}");
    policy(&home, &["check"]).exits(2);
}

#[test]
fn a_file_that_is_not_a_rules_file_is_refused_with_its_kind() {
    let home = with_rules();
    fs::write(home.path("latin1"), b"name = \"caf\xe9\"").unwrap();
    fs::write(home.path("huge"), vec![b'#'; (1 << 20) + 1]).unwrap();
    fs::write(home.path("binary"), [0_u8; 64]).unwrap();
    fs::write(home.path("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::create_dir(home.path("dir")).unwrap();
    symlink("loop-b", home.path("loop-a")).unwrap();
    symlink("loop-a", home.path("loop-b")).unwrap();
    for (file, said) in [
        ("latin1", "`latin1` is neither a rules file nor a module: not UTF-8 at byte 11"),
        ("huge", "`huge` is 1048577 bytes, the limit of a rules file is 1048576"),
        ("core.wasm", "`core.wasm` is a module, expected a rules file"),
        ("dir", "cannot read `dir`: Is a directory"),
        ("loop-a", "cannot read `loop-a`: Too many levels of symbolic links"),
    ] {
        for command in ["check", "test", "build"] {
            let ran = policy(&home, &[command, file]).exits(1);
            assert!(ran.err.starts_with(&format!("signoff: {said}")), "{command}: {ran:?}");
        }
    }
    assert!(policy(&home, &["check", "binary"]).exits(1).out.starts_with("binary:1:1: error: "));
    // An endless file is refused at the limit.
    let ran = policy(&home, &["check", "/dev/zero"]).exits(1);
    assert!(ran.err.contains("is larger than the limit of a module, 67108864 bytes"), "{ran:?}");
}

#[test]
fn tests_report_differences_and_rules_that_never_fire() {
    let home = with_rules();
    let passed = policy(&home, &["test", "rules.toml"]).exits(0);
    assert_eq!(
        passed.out,
        "ok    risky waits\nok    others go\nfired: 1 of 2 rules, not `no-purge`\n2 tests passed\n"
    );
    policy(&home, &["test", "rules.toml", "--require-coverage"]).exits(1);
    let more = "[[test]]\nname = \"purge runs\"\nagent = \"inbox\"\naction = \"purge_all\"\nexpect = \"allow\"\nreason = \"x\"\n";
    home.file("more.toml", more);
    let failed =
        policy(&home, &["test", "rules.toml", "--cases", "more.toml", "--require-coverage"]);
    let failed = failed.exits(1);
    assert_eq!(
        failed.out,
        "ok    risky waits\nok    others go\n\
         FAIL  purge runs (more.toml:1)\n\
         \x20     decision: expected `allow`, got `deny`\n\
         \x20     reason: expected `x`, got `no plan`\n\
         \x20     rule `no-purge` matched (deny)\n\
         fired: 2 of 2 rules\n2 tests passed, 1 failed\n"
    );
    let json =
        policy(&home, &["test", "rules.toml", "--cases", "more.toml", "--json"]).exits(1).json();
    assert_eq!(
        (&json["ok"], &json["passed"], &json["failed"]),
        (&json!(false), &json!(2), &json!(1))
    );
    assert_eq!(json["cases"][2]["file"], "more.toml");
    assert_eq!(json["cases"][2]["differs"][0], "decision: expected `allow`, got `deny`");
    assert_eq!(json["unfired"], json!([]));
    // A file of tests has only tests, and its problems are reported with their position.
    home.file("wrong.toml", "[[test]]\nname = 3\n");
    let wrong = policy(&home, &["test", "rules.toml", "--cases", "wrong.toml"]).exits(1);
    assert!(wrong.err.contains("wrong.toml:2:8: error: "), "{wrong:?}");
    policy(&home, &["test", "rules.toml", "--cases", "rules.toml"]).exits(1);
}

#[test]
fn eval_prints_the_verdict_and_its_reason() {
    let home = with_rules();
    let asks = eval(&home, "rules.toml", "quarantine", r#"{"risk_score":92}"#, &[]).exits(4);
    assert_eq!(
        asks.out,
        "require_approval by rule `risky`: risk 92 (2 approvers, 1 of security, within 30 min)\n\
         line 5\trisky\trequire_approval\tmatched\t`context.risk_score >= 80` is true\n"
    );
    let failing = eval(&home, "rules.toml", "quarantine", "{}", &[]).exits(4);
    assert!(failing.out.contains("\tfails\t`context.risk_score >= 80` fails: "), "{failing:?}");
    let upper = eval(&home, "rules.toml", "read", "{}", &["--fact", "requester=Ann"]).exits(0);
    assert!(upper.err.contains("lower case, expected `ann`"), "{upper:?}");
    let allows = eval(&home, "rules.toml", "read", "{}", &[]).exits(0);
    assert_eq!(allows.out, "allow by default\nno rule applies to this agent and action\n");
    eval(&home, "rules.toml", "purge", "{}", &[]).exits(3);
    // With a plan and a time.
    let planned =
        |now: &str| eval(&home, "rules.toml", "purge", "{}", &["--plan", "{}", "--now", now]);
    planned("2025-01-01T00:00:00Z").exits(0);
    planned("2024-12-31T23:59:59Z").exits(3);
    planned("2025-01-01T00:59:59+01:00").exits(3);
    for now in ["yesterday", "2025-01-01T00:00:00", "1969-12-31T23:59:59Z", ""] {
        assert!(planned(now).exits(2).err.contains("expected a time with its offset"), "{now}");
    }
    // A condition of several lines is printed as one of several lines.
    let lines =
        "when = \"\"\"\n    has(context.risk_score)\n      && context.risk_score >= 80\n\"\"\"";
    home.file("lines.toml", &RULES.replace("when = \"context.risk_score >= 80\"", lines));
    let ran = eval(&home, "lines.toml", "quarantine", r#"{"risk_score":92}"#, &[]).exits(4);
    assert!(
        ran.out.ends_with(
            "\tmatched\tits condition is true\n\
             condition of rule `risky`, line 5:\n\
             \x20   has(context.risk_score)\n\
             \x20     && context.risk_score >= 80\n"
        ),
        "{ran:?}"
    );
    let json = eval(&home, "rules.toml", "quarantine", r#"{"risk_score":92}"#, &["--json"])
        .exits(4)
        .json();
    assert_eq!(json["decision"], "require_approval");
    assert_eq!(json["rule"], "risky");
    assert_eq!(json["policy"], Value::Null);
    assert_eq!(json["trace"][0]["condition"], "context.risk_score >= 80");
    assert_eq!(json["requirement"]["groups"], json!({ "security": 1 }));
}

#[test]
fn eval_reads_its_context_with_the_verifier() {
    let home = with_rules();
    let read = |context: &str| eval(&home, "rules.toml", "quarantine", context, &["--json"]);
    for context in [r#"{"risk_score":1,"risk_score":99}"#, "[]", "{", "NaN", ""] {
        assert_eq!(read(context).exits(3).json()["code"], "context-invalid", "{context}");
    }
    let plan = eval(&home, "rules.toml", "purge", "{}", &["--plan", "[1]", "--json"]).exits(3);
    assert_eq!(plan.json()["code"], "context-invalid");
    // Escapes are decoded before a rule reads the context.
    read(r#"{"risk\u005fscore": 92}"#).exits(4);
    home.file("context.json", r#"{"risk_score": 12}"#);
    read("@context.json").exits(0);
    let mut piped = home.signoff(&[
        "policy",
        "eval",
        "-",
        "--agent",
        "inbox",
        "--action",
        "quarantine",
        "--context",
        "@context.json",
    ]);
    piped.stdin(Stdio::from(fs::File::open(home.path("rules.toml")).unwrap()));
    Ran::of(&mut piped).exits(0);
    let twice = eval(&home, "-", "quarantine", "-", &[]).exits(2);
    assert!(twice.err.contains("standard input can be read only once"), "{twice:?}");
    eval(&home, "rules.toml", "two words", "{}", &[]).exits(2);
    eval(&home, "rules.toml", "", "{}", &[]).exits(2);
}

#[test]
fn texts_of_a_rules_file_are_escaped_on_a_terminal() {
    let home = Home::new();
    let rules = "format = 1\nname = \"x\"\n[[rule]]\nid = \"a\"\naction = \"b\"\nverdict = \"deny\"\nreason = \"{context.a}\"\nwhen = \"true || '\\u001b[2J' == ''\"\n";
    home.file("rules.toml", rules);
    let ran = eval(&home, "rules.toml", "b", "{\"a\":\"\\u001b[2J\"}", &[]).exits(3);
    assert!(!ran.out.contains('\u{1b}'), "{ran:?}");
    let ran = policy(&home, &["check", "rules.toml"]).exits(0);
    assert!(!ran.out.contains('\u{1b}'), "{ran:?}");
    // The rule's own text may not have one.
    home.file("rules.toml", &rules.replace("{context.a}", "\\u001b[2J"));
    let ran = policy(&home, &["check", "rules.toml"]).exits(1);
    assert!(ran.out.contains("a reason has no control character"), "{ran:?}");
    assert!(!ran.out.contains('\u{1b}'), "{ran:?}");
}
