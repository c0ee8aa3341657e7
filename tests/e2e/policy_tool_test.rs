//! `signoff policy test`: empty files, explanations of failures, JUnit XML.

use std::fs;

use crate::support::{Home, Ran};

const RULES: &str = r#"format = 1
name = "payments"

[[rule]]
id = "small"
action = "pay"
when = "context.amount < 100"
verdict = "allow"

[[rule]]
id = "any-payment"
action = "pay"
verdict = "require_approval"
ttl = "4h"
threshold = 2
groups = { finance = 1 }
reason = "a payment of {context.amount}"

[[rule]]
id = "late"
action = "pay"
when = "context.late"
verdict = "require_approval"
reason = "late"
"#;

fn with_test(test: &str) -> Home {
    let home = Home::new();
    let test = if test.is_empty() {
        String::new()
    } else {
        format!(
            "\n[[test]]\nname = \"t\"\nagent = \"a\"\naction = \"pay\"\ncontext = {{ amount = 5, late = false }}\n{test}\n"
        )
    };
    home.file("pay.toml", &format!("{RULES}{test}"));
    home
}

fn test(home: &Home, arguments: &[&str]) -> Ran {
    home.run(&[&["policy", "test", "pay.toml"], arguments].concat())
}

#[test]
fn without_tests_it_fails_unless_that_is_allowed() {
    let home = with_test("");
    let ran = test(&home, &[]).exits(1);
    assert_eq!(
        ran.err,
        "signoff: there are no tests: write [[test]] tables, or give --allow-empty\n"
    );
    assert!(ran.out.ends_with("0 tests passed\n"), "{ran:?}");
    assert_eq!(test(&home, &["--json"]).exits(1).json()["ok"], false);
    assert_eq!(test(&home, &["--allow-empty"]).exits(0).err, "");
    assert_eq!(test(&home, &["--allow-empty", "--json"]).exits(0).json()["ok"], true);
    // Tests of another file count.
    home.file(
        "more.toml",
        "[[test]]\nname = \"x\"\nagent = \"a\"\naction = \"read\"\nexpect = \"require_approval\"\n",
    );
    test(&home, &["--cases", "more.toml"]).ok();
}

#[test]
fn a_failure_says_why_the_expected_rule_did_not_decide() {
    let stricter = "`small` and `any-payment` both matched; the strictest verdict wins, whatever the order: narrow `any-payment`, so that it does not match here";
    for (expected, said) in [
        ("expect = \"allow\"", Some(stricter)),
        ("expect = \"allow\"\nrule = \"small\"", Some(stricter)),
        ("expect = \"deny\"", None),
    ] {
        let home = with_test(expected);
        let ran = test(&home, &[]).exits(1);
        assert_eq!(said.is_some(), ran.out.contains("both matched"), "{ran:?}");
        assert!(ran.out.contains(said.unwrap_or("expected `deny`")), "{ran:?}");
    }
    let home = with_test("context.late = true");
    home.file("pay.toml", &format!("{RULES}\n[[test]]\nname = \"t\"\nagent = \"a\"\naction = \"pay\"\ncontext = {{ amount = 500, late = true }}\nexpect = \"require_approval\"\nrule = \"late\"\n"));
    let ran = test(&home, &[]).exits(1);
    assert!(ran.out.contains("`late` and `any-payment` both matched with one verdict; `any-payment` is the first, so the verdict names it"), "{ran:?}");
    home.file("pay.toml", &format!("{RULES}\n[[test]]\nname = \"t\"\nagent = \"a\"\naction = \"read\"\nexpect = \"allow\"\n"));
    let ran = test(&home, &[]).exits(1);
    assert!(ran.out.contains("      no rule matched, so the default decided\n"), "{ran:?}");
    // An allow rule whose condition fails does not match, and that is said.
    let small = "format = 1\nname = \"x\"\n[[rule]]\nid = \"small\"\nwhen = \"context.amount < 100\"\nverdict = \"allow\"\n";
    home.file(
        "pay.toml",
        &format!(
            "{small}\n[[test]]\nname = \"t\"\nagent = \"a\"\naction = \"b\"\nexpect = \"allow\"\n"
        ),
    );
    let ran = test(&home, &[]).exits(1);
    assert!(
        ran.out.contains("      rule `small` failed (allow): its condition fails: "),
        "{ran:?}"
    );
}

#[test]
fn only_the_members_of_a_requirement_that_a_test_names_are_compared() {
    for (requirement, failing) in [
        ("{ threshold = 2 }", None),
        ("{ ttl_seconds = 14400 }", None),
        ("{ groups = { finance = 1 } }", None),
        ("{ ttl_seconds = 14400, threshold = 2, groups = { finance = 1 } }", None),
        ("{ threshold = 3 }", Some("requirement.threshold: expected `3`, got `2`")),
        (
            "{ ttl_seconds = 60, threshold = 2 }",
            Some("requirement.ttl_seconds: expected `60`, got `14400`"),
        ),
        (
            "{ groups = { legal = 1 } }",
            Some("requirement.groups: expected `{\"legal\":1}`, got `{\"finance\":1}`"),
        ),
        (
            "{}",
            Some(
                "requirement: expected `{}`, got `{\"ttl_seconds\":14400,\"threshold\":2,\"groups\":{\"finance\":1}}`",
            ),
        ),
    ] {
        let home =
            with_test(&format!("expect = \"require_approval\"\nrequirement = {requirement}"));
        let ran = test(&home, &[]);
        let Some(said) = failing else {
            ran.ok();
            continue;
        };
        let ran = ran.exits(1);
        assert!(ran.out.contains(&format!("      {said}\n")), "{requirement}: {ran:?}");
    }
}

#[test]
fn results_are_written_as_junit_xml() {
    let home = with_test("expect = \"allow\"");
    home.file("more.toml", "[[test]]\nname = \"a <b> & \\\"c\\\" \\u001b[2J\\u202e\\n\"\nagent = \"a\"\naction = \"read\"\nexpect = \"require_approval\"\n");
    let arguments = ["--cases", "more.toml", "--require-coverage", "--junit", "report.xml"];
    test(&home, &arguments).exits(1);
    let xml = fs::read_to_string(home.path("report.xml")).unwrap();
    for part in [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"signoff policy test\" tests=\"3\" failures=\"2\" errors=\"0\">",
        "<testcase classname=\"payments\" name=\"t\" file=\"pay.toml\" line=\"26\">",
        "<failure type=\"verdict\" message=\"decision: expected `allow`, got `require_approval`\">",
        "<testcase classname=\"payments\" name=\"a &lt;b&gt; &amp; &quot;c&quot; \\u{1b}[2J\\u{202e}\\u{a}\" file=\"more.toml\" line=\"1\"/>",
        "<testcase classname=\"coverage\" name=\"late\">",
    ] {
        assert!(xml.contains(part), "{part}\n{xml}");
    }
    // Without the test that fails and without coverage nothing fails.
    home.file("pay.toml", RULES);
    test(&home, &["--cases", "more.toml", "--junit", "report.xml"]).exits(0);
    let xml = fs::read_to_string(home.path("report.xml")).unwrap();
    assert!(xml.contains("tests=\"1\" failures=\"0\" errors=\"0\""), "{xml}");
    // Standard output has only the XML.
    let piped = test(&home, &["--cases", "more.toml", "--junit", "-"]).exits(0);
    assert_eq!(piped.out, xml);
    test(&home, &["--junit", "-", "--json"]).exits(2);
}

#[test]
fn a_run_that_cannot_test_leaves_no_older_junit_report() {
    let home = with_test("expect = \"require_approval\"");
    test(&home, &["--junit", "report.xml"]).ok();
    home.file("pay.toml", &RULES.replace("context.late", "contxt.late"));
    let ran = test(&home, &["--junit", "report.xml"]).exits(1);
    assert!(ran.err.contains("`contxt`"), "{ran:?}");
    let xml = fs::read_to_string(home.path("report.xml")).unwrap();
    assert!(
        xml.contains("tests=\"1\" failures=\"0\" errors=\"1\"") && xml.contains("contxt"),
        "{xml}"
    );
    home.file("pay.toml", RULES);
    test(&home, &["--junit", "report.xml"]).exits(1);
    let xml = fs::read_to_string(home.path("report.xml")).unwrap();
    assert!(xml.contains("name=\"there are tests\""), "{xml}");
    test(&home, &["--allow-empty", "--junit", "report.xml"]).ok();
    let xml = fs::read_to_string(home.path("report.xml")).unwrap();
    assert!(xml.contains("tests=\"0\" failures=\"0\" errors=\"0\""), "{xml}");
    test(&home, &["--allow-empty", "--junit", "missing/report.xml"]).exits(1);
    fs::remove_file(home.path("pay.toml")).unwrap();
    test(&home, &["--junit", "report.xml"]).exits(1);
    let xml = fs::read_to_string(home.path("report.xml")).unwrap();
    assert!(xml.contains("errors=\"1\"") && xml.contains("cannot read"), "{xml}");
}
