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
    let ran = diff(&home, &["a.toml", "b.toml"]).exits(0);
    assert_eq!(
        ran.out,
        "~ ttl.weekend: `72h` -> not set\n\
         + rule `very-risky`\n\
         ~ rule `risky`: when\n\
         ~ rule `purge`: verdict\n\
         stricter: sixty (a, quarantine): allow by default -> require_approval by rule `risky`\n\
         compared 2 cases, 1 stricter\n"
    );
    diff(&home, &["a.toml", "b.toml", "--exit-code"]).exits(1);
    let back = diff(&home, &["b.toml", "a.toml"]).exits(0);
    assert!(
        back.out.contains("- rule `very-risky`\n") && back.out.contains("weaker: sixty"),
        "{back:?}"
    );
    let same = diff(&home, &["a.toml", "a.toml", "--exit-code"]).exits(0);
    assert_eq!(same.out, "compared 2 cases, nothing flips\n");
    // With more cases; a case in both files is evaluated once.
    home.file("more.toml", "[[test]]\nname = \"p\"\nagent = \"a\"\naction = \"purge\"\nexpect = \"allow\"\n[[test]]\nname = \"again\"\nagent = \"a\"\naction = \"quarantine\"\ncontext = { risk_score = 70 }\nexpect = \"deny\"\n");
    let more = diff(&home, &["a.toml", "b.toml", "--cases", "more.toml"]).exits(0);
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
    let ran = diff(&home, &["a.toml", "b.toml", "--history"]).exits(0);
    let flips: Vec<&str> = ran.out.lines().skip(4).collect();
    assert_eq!(
        flips,
        [
            format!(
                "weaker: {purge} (inbox, purge): deny by rule `purge` -> require_approval by rule `purge`"
            ),
            format!(
                "requirement: {high} (inbox, quarantine): require_approval by rule `risky` (within 1800 s) -> require_approval by rule `risky` (2 approvers, within 300 s)"
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
    let remote = diff(&home, &["a.toml", "b.toml", "--history", "--server", &server.url]).exits(0);
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
    let one = diff(&home, &["a.toml", "b.toml", "--history", "--limit", "1"]).exits(0);
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
        diff(&home, &["then.toml", "later.toml", "--history", "--server", &server.url]).exits(0);
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
