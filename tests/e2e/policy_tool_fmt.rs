//! `signoff policy fmt`: one layout, the same policy.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use serde_json::json;

use crate::support::{Home, Ran};

const MESSY: &str = r#"name="mail"
format = 1
[[rule]]
verdict = "require_approval"
id = "risky"  # reviewed
when = "context.risk_score >= 80"
threshold=2
action = ["quarantine",
   "delete*"]
reason = "risk {context.risk_score}"
[[test]]
expect = "require_approval"
name = "a risky mail waits"
context = {risk_score=80}
agent = "inbox"
action = "quarantine"
rule = "risky"
"#;

const TIDY: &str = r#"format = 1
name = "mail"

[[rule]]
id = "risky" # reviewed
action = ["quarantine", "delete*"]
when = "context.risk_score >= 80"
verdict = "require_approval"
threshold = 2
reason = "risk {context.risk_score}"

[[test]]
name = "a risky mail waits"
agent = "inbox"
action = "quarantine"
context = { risk_score = 80 }
expect = "require_approval"
rule = "risky"
"#;

fn fmt(home: &Home, arguments: &[&str]) -> Ran {
    home.run(&[&["policy", "fmt"], arguments].concat())
}

#[test]
fn files_are_written_in_place_with_their_mode_and_keep_their_policy() {
    let home = Home::new();
    let path = home.file("mail.toml", MESSY);
    home.file("before.toml", MESSY);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(fmt(&home, &["mail.toml"]).ok(), "formatted mail.toml");
    assert_eq!(fs::read_to_string(&path).unwrap(), TIDY);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    // Nothing is left of the draft, and a file in its layout is not written again.
    assert_eq!(
        fs::read_dir(home.path("."))
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"))
            .count(),
        0
    );
    let inode = fs::metadata(&path).unwrap().ino();
    assert_eq!(fmt(&home, &["mail.toml"]).ok(), "");
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    // The engine sees the same policy.
    let diff = home.run(&["policy", "diff", "before.toml", "mail.toml"]).ok();
    assert_eq!(diff, "compared 1 case, nothing flips");
    // A link stays, and its target is written.
    home.file("target.toml", MESSY);
    symlink("target.toml", home.path("link.toml")).unwrap();
    fmt(&home, &["link.toml"]).ok();
    assert!(fs::symlink_metadata(home.path("link.toml")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(home.path("target.toml")).unwrap(), TIDY);
}

#[test]
fn with_check_the_files_that_differ_are_listed_and_nothing_is_written() {
    let home = Home::new();
    for (file, text) in [("messy.toml", MESSY), ("tidy.toml", TIDY), ("other.toml", MESSY)] {
        home.file(file, text);
    }
    let all = ["messy.toml", "tidy.toml", "other.toml"];
    let ran = fmt(&home, &[&all[..], &["--check"]].concat()).exits(1);
    assert_eq!(ran.out, "messy.toml\nother.toml\n");
    assert_eq!(fs::read_to_string(home.path("messy.toml")).unwrap(), MESSY);
    assert_eq!(fmt(&home, &["--check", "tidy.toml"]).ok(), "");
    let diff = fmt(&home, &["--diff", "messy.toml"]).exits(1);
    for line in
        ["--- messy.toml", "+++ messy.toml (formatted)", "-name=\"mail\"", "+name = \"mail\""]
    {
        assert!(diff.out.lines().any(|of| of == line), "{line}: {diff:?}");
    }
    assert_eq!(fmt(&home, &["--diff", "tidy.toml"]).ok(), "");
    let json = fmt(&home, &["--check", "--json", "messy.toml", "tidy.toml"]).exits(1).json();
    assert_eq!(
        json["items"],
        json!([
            { "file": "messy.toml", "ok": true, "differs": true },
            { "file": "tidy.toml", "ok": true, "differs": false },
        ])
    );
}

#[test]
fn a_file_that_is_no_rules_file_is_left_alone_and_the_others_are_written() {
    let home = Home::new();
    home.file("bad.toml", "format = 1\nname = \n");
    home.file("cargo.toml", "[package]\nname = \"x\"\n");
    home.file("mail.toml", MESSY);
    let files = ["bad.toml", "missing.toml", "cargo.toml", "mail.toml"];
    let ran = fmt(&home, &files).exits(1);
    assert_eq!(ran.out, "formatted mail.toml\n");
    for said in [
        "bad.toml:2:",
        "signoff: cannot read `missing.toml`",
        "cargo.toml:1:2: error: a rules file has no member `package`",
    ] {
        assert!(ran.err.contains(said), "{said}: {ran:?}");
    }
    assert_eq!(fs::read_to_string(home.path("cargo.toml")).unwrap(), "[package]\nname = \"x\"\n");
    let json = fmt(&home, &["--json", "bad.toml"]).exits(1).json();
    assert_eq!(
        (&json["items"][0]["ok"], &json["items"][0]["problems"][0]["line"]),
        (&json!(false), &json!(2))
    );
    fmt(&home, &[]).exits(2);
    fmt(&home, &["-", "-"]).exits(2);
    // A file of tests is one that the tools read.
    home.file("cases.toml", "[[test]]\nexpect='deny'\nname='x'\n");
    fmt(&home, &["cases.toml"]).ok();
    assert_eq!(
        fs::read_to_string(home.path("cases.toml")).unwrap(),
        "[[test]]\nname = 'x'\nexpect = 'deny'\n"
    );
}

#[test]
fn a_member_in_quotes_has_the_place_of_its_name() {
    let home = Home::new();
    let quoted =
        "format = 1\nname = \"mail\"\nconst.a = 1\n\"default\" = \"deny\"\n'include' = []\n";
    let ran = home.run_with_input(&["policy", "fmt", "-"], quoted).exits(0);
    assert_eq!(
        ran.out,
        "format = 1\nname = \"mail\"\n\"default\" = \"deny\"\n'include' = []\nconst.a = 1\n"
    );
    // What `fmt` does to the bytes of a file is in its help.
    let help = home.run(&["policy", "fmt", "--help"]).ok();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("byte order mark") && help.contains("CRLF"), "{help}");
}

#[test]
fn standard_input_goes_to_standard_output() {
    let home = Home::new();
    let ran = home.run_with_input(&["policy", "fmt", "-"], MESSY).exits(0);
    assert_eq!(ran.out, TIDY);
    home.run_with_input(&["policy", "fmt", "-", "--check"], TIDY).exits(0);
    home.run_with_input(&["policy", "fmt", "-", "--check"], MESSY).exits(1);
    let bad = home.run_with_input(&["policy", "fmt", "-"], "format = ").exits(1);
    assert_eq!(bad.out, "");
    assert!(bad.err.starts_with("-:1:"), "{bad:?}");
    let json = home.run_with_input(&["policy", "fmt", "-", "--json"], MESSY).exits(0).json();
    assert_eq!(json["items"][0]["text"], TIDY);
}
