//! `signoff policy diff`: changed verdicts over test cases and over recorded approvals.

use serde_json::{Value, json};

use crate::support::{Home, Ran, home_and_server};

const BEFORE: &str = r#"format = 1
name = "mail"
default = "allow"
[ttl]
weekend = "72h"

[[rule]]
id = "risky"
action = "quarantine"
when = "context.risk_score >= 70"
verdict = "require_approval"
ttl = "urgent"
reason = "risk"

[[rule]]
id = "purge"
action = "purge"
verdict = "deny"
reason = "never"

[[test]]
name = "seventy"
agent = "a"
action = "quarantine"
context = { risk_score = 70 }
expect = "require_approval"

[[test]]
name = "sixty"
agent = "a"
action = "quarantine"
context = { risk_score = 60 }
expect = "allow"
"#;

/// Rules that are stricter from 60, have other times from 90, and are milder where the old ones denied.
fn after() -> String {
    let more = "[[rule]]\nid = \"very-risky\"\naction = \"quarantine\"\nwhen = \"context.risk_score >= 90\"\nverdict = \"require_approval\"\nttl = \"emergency\"\nthreshold = 2\nreason = \"risk\"\n\n[[test]]";
    BEFORE
        .replace(">= 70", ">= 60")
        .replace("weekend = \"72h\"\n", "")
        .replace("verdict = \"deny\"", "verdict = \"require_approval\"")
        .replacen("[[test]]", more, 1)
}

fn both() -> Home {
    let home = Home::new();
    home.file("a.toml", BEFORE);
    home.file("b.toml", &after());
    home
}

fn diff(home: &Home, arguments: &[&str]) -> Ran {
    home.run(&[&["policy", "diff"], arguments].concat())
}

#[test]
fn the_tests_of_both_files_are_evaluated_with_both() {
    let home = both();
    let ran = diff(&home, &["a.toml", "b.toml"]).exits(1);
    assert_eq!(
        ran.out,
        "~ ttl.weekend: `72h` -> not set\n\
         + rule `very-risky`\n\
         \x20 + action: `quarantine`\n\
         \x20 + when: `context.risk_score >= 90`\n\
         \x20 + verdict: `require_approval`\n\
         \x20 + ttl: `emergency`\n\
         \x20 + threshold: `2`\n\
         \x20 + reason: `risk`\n\
         ~ rule `risky`\n\
         \x20   when: `context.risk_score >= 70` -> `context.risk_score >= 60`\n\
         ~ rule `purge`\n\
         \x20   verdict: `deny` -> `require_approval`\n\
         stricter: sixty (a, quarantine): allow by default -> require_approval by rule `risky`\n\
         compared 2 cases, 1 stricter\n"
    );
    diff(&home, &["a.toml", "b.toml", "--exit-code"]).exits(1);
    let back = diff(&home, &["b.toml", "a.toml"]).exits(1);
    assert!(
        back.out.contains("- rule `very-risky`\n") && back.out.contains("weaker: sixty"),
        "{back:?}"
    );
    let same = diff(&home, &["a.toml", "a.toml", "--exit-code"]).exits(0);
    assert_eq!(same.out, "compared 2 cases, nothing flips\n");
    // With more cases; a case in both files is evaluated once.
    home.file("more.toml", "[[test]]\nname = \"p\"\nagent = \"a\"\naction = \"purge\"\nexpect = \"allow\"\n[[test]]\nname = \"again\"\nagent = \"a\"\naction = \"quarantine\"\ncontext = { risk_score = 70 }\nexpect = \"deny\"\n");
    let more = diff(&home, &["a.toml", "b.toml", "--cases", "more.toml"]).exits(1);
    assert!(
        more.out.contains(
            "weaker: p (a, purge): deny by rule `purge` -> require_approval by rule `purge`\n"
        ),
        "{more:?}"
    );
    assert!(more.out.ends_with("compared 3 cases, 1 weaker, 1 stricter\n"), "{more:?}");
}

#[test]
fn reordered_rules_are_reported() {
    let home = both();
    let mut blocks: Vec<&str> = BEFORE.split("[[rule]]").collect();
    let (last, tests) = blocks.pop().unwrap().split_once("[[test]]").unwrap();
    let moved = format!("{}[[rule]]{last}[[rule]]{}[[test]]{tests}", blocks[0], blocks[1]);
    home.file("moved.toml", &moved);
    let ran = diff(&home, &["a.toml", "moved.toml", "--exit-code"]).exits(0);
    assert_eq!(ran.out, "~ the rules are in another order\ncompared 2 cases, nothing flips\n");
}

#[test]
fn recorded_approvals_are_evaluated_again() {
    let home = both();
    let request = |action: &str, context: &str| {
        let arguments = ["--agent", "inbox", "--action", action, "--context", context, "--json"];
        let made = home.run(&[&["request"], &arguments[..]].concat()).exits(0).json();
        made["id"].as_str().unwrap().to_owned()
    };
    let low = request("quarantine", r#"{"risk_score":12}"#);
    let sixty = request("quarantine", r#"{"risk_score":65}"#);
    let high = request("quarantine", r#"{"risk_score":95}"#);
    let purge = request("purge", "{}");
    let ran = diff(&home, &["a.toml", "b.toml", "--history"]).exits(1);
    let flips: Vec<&str> = ran.out.lines().skip(12).collect();
    assert_eq!(
        flips,
        [
            format!(
                "weaker: {purge} (inbox, purge): deny by rule `purge` -> require_approval by rule `purge`"
            ),
            format!(
                "requirement: {high} (inbox, quarantine): require_approval by rule `risky` (within 30 min) -> require_approval by rule `risky` (2 approvers, within 5 min)"
            ),
            format!(
                "stricter: {sixty} (inbox, quarantine): allow by default -> require_approval by rule `risky`"
            ),
            "compared 4 approvals, 1 weaker, 1 stricter, 1 with another requirement".to_owned(),
        ]
    );
    assert!(!ran.out.contains(&low));
    assert_eq!(ran.err, "");
    // The same over a server.
    let server = home.serve();
    let remote = diff(&home, &["a.toml", "b.toml", "--history", "--server", &server.url]).exits(1);
    assert_eq!(remote.out, ran.out);
    // JSON for programs, one line for each.
    let json = diff(&home, &["a.toml", "b.toml", "--history", "--json", "--exit-code"]).exits(1);
    let lines: Vec<Value> =
        json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["flip"]["kind"], "weaker");
    assert_eq!(lines[0]["flip"]["name"], purge);
    assert_eq!(lines[0]["flip"]["after"]["decision"], "require_approval");
    let summary = &lines[3]["summary"];
    assert_eq!(
        (&summary["compared"], &summary["flips"], &summary["more"]),
        (&json!(4), &json!(3), &json!(false))
    );
    assert_eq!(summary["rules"]["added"], json!(["very-risky"]));
    // Newest first, up to the limit.
    let one = diff(&home, &["a.toml", "b.toml", "--history", "--limit", "1"]).exits(1);
    assert!(one.out.ends_with("compared 1 approval, 1 weaker\n"), "{one:?}");
    assert_eq!(one.err, "signoff: there are older approvals; include more with --limit 10\n");
    diff(&home, &["a.toml", "b.toml", "--history", "--limit", "0"]).exits(2);
    diff(&home, &["a.toml", "b.toml", "--limit", "5"]).exits(2);
    diff(&home, &["-", "-"]).exits(2);
}

#[test]
fn an_approval_is_evaluated_at_its_request_time() {
    let (home, server) = home_and_server();
    let approval = server.request();
    let at = approval["requested_at"].as_str().unwrap();
    let rules = |sign: &str| {
        format!(
            "format = 1\nname = \"t\"\ndefault = \"deny\"\n[[rule]]\nid = \"now\"\nwhen = \"now {sign} timestamp('{at}')\"\nverdict = \"allow\"\n"
        )
    };
    home.file("then.toml", &rules("=="));
    home.file("later.toml", &rules(">"));
    let ran =
        diff(&home, &["then.toml", "later.toml", "--history", "--server", &server.url]).exits(1);
    assert!(ran.out.contains("allow by rule `now` -> deny by default"), "{ran:?}");
}

#[test]
fn an_empty_history_is_not_a_failure() {
    let (home, server) = home_and_server();
    home.file("a.toml", BEFORE);
    let ran = diff(&home, &["a.toml", "a.toml", "--history", "--server", &server.url]).exits(0);
    assert_eq!(ran.out, "compared 0 approvals, nothing flips\n");
    diff(&home, &["a.toml", "a.toml", "--history", "--store", "missing.redb"]).exits(1);
}

#[test]
fn a_condition_of_several_lines_is_compared_line_by_line() {
    let home = Home::new();
    let rules = |when: &str| {
        format!(
            "format = 1\nname = \"x\"\n[[rule]]\nid = \"r\"\nverdict = \"deny\"\nreason = \"x\"\n{when}"
        )
    };
    let long = |third: &str| {
        rules(&format!(
            "when = \"\"\"\nagent == 'a'\n  && action == 'b'\n  && {third}\n  && now > timestamp('2026-01-31T12:30:00Z')\n\"\"\"\n"
        ))
    };
    home.file("a.toml", &long("context.a == 1"));
    home.file("b.toml", &long("context.a == 2"));
    home.file("none.toml", &rules(""));
    let ran = diff(&home, &["a.toml", "b.toml"]).exits(0);
    assert_eq!(
        ran.out,
        "~ rule `r`\n\
         \x20   when:\n\
         \x20       agent == 'a'\n\
         \x20         && action == 'b'\n\
         \x20     -   && context.a == 1\n\
         \x20     +   && context.a == 2\n\
         \x20         && now > timestamp('2026-01-31T12:30:00Z')\n\
         the rules differ; there are no test cases, so no verdict was compared\n"
    );
    assert_eq!(
        ran.err,
        "signoff: write [[test]] tables, give --cases, or --history with a store or a server\n"
    );
    let gone = diff(&home, &["b.toml", "none.toml"]).exits(0);
    assert_eq!(gone.out.lines().filter(|line| line.starts_with("      - ")).count(), 4, "{gone:?}");
    let same = diff(&home, &["a.toml", "a.toml"]).exits(0);
    assert_eq!(
        same.out,
        "the rules are the same; there are no test cases, so no verdict was compared\n"
    );
    let json = diff(&home, &["a.toml", "b.toml", "--json"]).exits(0).json();
    let changed = &json["summary"]["rules"]["changed"][0];
    assert_eq!((&changed["rule"], &changed["members"]), (&json!("r"), &json!(["when"])));
    assert!(changed["changes"][0]["after"].as_str().unwrap().contains("context.a == 2"));
    assert_eq!(json["summary"]["compared"], 0);
}

#[test]
fn the_active_policy_and_its_shadow_are_compared_by_name() {
    let home = Home::new();
    home.run(&["key", "generate", "--use", "module", "--slot", "policy", "--id", "team"]).ok();
    home.file("mail.toml", BEFORE);
    home.file("new.toml", &after());
    let server = home.serve();
    let on_server =
        |arguments: &[&str]| home.run(&[arguments, &["--server", &server.url]].concat());
    let none = on_server(&["policy", "diff", "active", "new.toml"]).exits(3);
    assert!(none.err.contains("no policy is active"), "{none:?}");
    let ship = |name: &str, version: &str, how: &str| {
        home.run(&["policy", "build", "--no-test", &format!("{name}.toml")]).ok();
        let wasm = format!("{name}.wasm");
        home.run(&[
            "module",
            "sign",
            &wasm,
            "--slot",
            "policy",
            "--name",
            "mail",
            "--version",
            version,
            "--key",
            "team",
        ])
        .ok();
        let pushed = on_server(&["module", "push", &wasm, "--json"]).exits(0).json();
        on_server(&["module", how, pushed["digest"].as_str().unwrap()]).ok();
    };
    ship("mail", "1", "activate");
    let local = diff(&home, &["mail.toml", "new.toml"]).exits(1);
    let active = on_server(&["policy", "diff", "active", "new.toml"]).exits(1);
    assert_eq!(active.out, local.out);
    let none = on_server(&["policy", "diff", "active", "shadow"]).exits(3);
    assert!(none.err.contains("no policy is the shadow"), "{none:?}");
    ship("new", "2", "shadow");
    assert_eq!(on_server(&["policy", "diff", "active", "shadow"]).exits(1).out, local.out);
    assert_eq!(
        on_server(&["policy", "diff", "active", "mail.toml"]).exits(0).out,
        "compared 2 cases, nothing flips\n"
    );
    // A file of that name is given with its folder.
    home.file("active", BEFORE);
    assert_eq!(
        diff(&home, &["./active", "mail.toml"]).exits(0).out,
        "compared 2 cases, nothing flips\n"
    );
}

#[test]
fn the_role_policy_suffices_for_the_history() {
    let (home, server) = home_and_server();
    home.file("a.toml", BEFORE);
    home.file("b.toml", &after());
    server.request();
    let token = |subject: &str, role: &str, with: Option<&str>| {
        let mut create = home.signoff(&[
            "token",
            "create",
            "--server",
            &server.url,
            "--subject",
            subject,
            "--role",
            role,
        ]);
        create.envs(with.map(|token| ("SIGNOFF_TOKEN", token)));
        Ran::of(&mut create).ok()
    };
    let admin = token("root", "admin", None);
    let policy = token("team@company.com", "policy", Some(&admin));
    let mut diff =
        home.signoff(&["policy", "diff", "a.toml", "b.toml", "--history", "--server", &server.url]);
    let ran = Ran::of(diff.env("SIGNOFF_TOKEN", policy)).exits(0);
    assert!(ran.out.ends_with("compared 1 approval, nothing flips\n"), "{ran:?}");
}

#[test]
fn named_values_of_included_files_are_compared() {
    let home = Home::new();
    let rules = |file: &str| {
        format!(
            "format = 1\nname = \"x\"\ninclude = [\"{file}\"]\n[const]\na = 1\n[[rule]]\nid = \"r\"\nwhen = \"context.a == const.a && context.b == const.b\"\nverdict = \"deny\"\nreason = \"x\"\n"
        )
    };
    home.file("old.toml", "[const]\nb = [1, 2]\n");
    home.file("new.json", "{\"const\": {\"b\": [1, 3]}}");
    home.file("a.toml", &rules("old.toml"));
    home.file("b.toml", &rules("new.json"));
    let ran = diff(&home, &["a.toml", "b.toml"]).exits(0);
    assert_eq!(
        ran.out,
        "~ include: `[\"old.toml\"]` -> `[\"new.json\"]`\n\
         ~ const.b: `[1, 2]` -> `[1, 3]`\n\
         the rules differ; there are no test cases, so no verdict was compared\n"
    );
}
