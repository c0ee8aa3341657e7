//! Rules files with the files that they include, and the example policies of the cookbook, through the
//! real binary.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Home, Ran};

const RULES: &str = r#"format = 1
name = "shared"
default = "deny"
include = ["data/days.toml", "limits.json"]

[context.pay]
amount = "number"
day = "string"

[[rule]]
id = "ordinary"
action = "pay"
when = "context.amount <= const.limit && !(context.day in const.days)"
verdict = "allow"

[[test]]
name = "an ordinary day"
agent = "a"
action = "pay"
context = { amount = 5, day = "12-24" }
expect = "allow"
"#;
const DAYS: &str = "[const]\ndays = [\"12-25\"]\n";
const LIMITS: &str = "{\"const\": {\"limit\": 10}}";

fn policy(home: &Home, arguments: &[&str]) -> Ran {
    home.run(&[&["policy"], arguments].concat())
}

/// Returns a home with the rules and what they include, in a folder of their own.
fn with_rules() -> Home {
    let home = Home::new();
    fs::create_dir_all(home.path("team/data")).unwrap();
    home.file("team/rules.toml", RULES);
    home.file("team/data/days.toml", DAYS);
    home.file("team/limits.json", LIMITS);
    home
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies")
}

#[test]
fn the_example_policies_have_no_warnings_and_their_tests_fire_every_rule() {
    let home = Home::new();
    let mut found = 0;
    for file in fs::read_dir(examples()).unwrap() {
        let file = file.unwrap().path();
        if !fs::read_to_string(&file).unwrap().contains("[[rule]]") {
            continue;
        }
        let file = file.display().to_string();
        policy(&home, &["check", "--deny-warnings", &file]).ok();
        policy(&home, &["test", "--require-coverage", &file]).ok();
        policy(&home, &["fmt", "--check", &file]).ok();
        found += 1;
    }
    assert_eq!(found, 5);
    let cookbook = fs::read_to_string(examples().join("../policy-cookbook.md")).unwrap();
    for name in ["transfers", "sql", "mail", "deploys", "four-eyes"] {
        assert!(cookbook.contains(&format!("(policies/{name}.toml)")), "{name}");
    }
}

#[test]
fn a_module_contains_what_its_rules_include_and_is_built_again_without_the_files() {
    let home = with_rules();
    policy(&home, &["build", "team/rules.toml", "-o", "one.wasm"]).ok();
    let text = policy(&home, &["inspect", "--rules", "one.wasm"]).ok();
    home.file("copy.toml", &text);
    // From another folder, without the included files: the text has them.
    policy(&home, &["test", "copy.toml"]).ok();
    policy(&home, &["build", "copy.toml", "-o", "two.wasm"]).ok();
    let bytes = |file: &str| fs::read(home.path(file)).unwrap();
    assert_eq!(bytes("one.wasm"), bytes("two.wasm"));
    let shown = policy(&home, &["inspect", "one.wasm", "--json"]).ok();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["rebuilt"], true);
    assert_eq!(shown["describe"]["includes"], json!(["data/days.toml", "limits.json"]));
    assert_eq!(shown["describe"]["contexts"], json!(["[context.pay]"]));
    // Another included file is another module.
    home.file("team/limits.json", "{\"const\": {\"limit\": 9}}");
    policy(&home, &["build", "team/rules.toml", "-o", "three.wasm"]).ok();
    assert_ne!(bytes("one.wasm"), bytes("three.wasm"));
    for (file, limit) in [("one.wasm", 10), ("three.wasm", 9), ("team/rules.toml", 9)] {
        let eval = |amount: i64, day: &str| {
            let context = json!({ "amount": amount, "day": day }).to_string();
            let attempt = ["eval", file, "--agent", "a", "--action", "pay", "--context", &context];
            policy(&home, &attempt)
        };
        eval(limit, "12-24").ok();
        eval(limit + 1, "12-24").exits(3);
        eval(limit, "12-25").exits(3);
    }
}

#[test]
fn a_context_that_does_not_fit_is_explained_by_eval() {
    let home = with_rules();
    let context = "{\"amount\": \"5\", \"day\": \"12-24\"}";
    let attempt =
        ["eval", "team/rules.toml", "--agent", "a", "--action", "pay", "--context", context];
    let said = policy(&home, &attempt).exits(3).out;
    assert!(
        said.contains("the context does not fit `[context.pay]`: `context.amount` is a string"),
        "{said}"
    );
}

#[test]
fn mistakes_in_included_files_are_shown_where_they_are() {
    let home = with_rules();
    home.file("team/data/days.toml", "[const]\ndays = [2026-12-25]\n");
    let said = policy(&home, &["check", "team/rules.toml"]).exits(1).out;
    assert!(said.starts_with("team/data/days.toml:2:9: error: JSON has no times"), "{said}");
    assert!(said.contains("\n 2 | days = [2026-12-25]\n   |         ^\n"), "{said}");
    let said = policy(&home, &["check", "team/rules.toml", "--json"]).exits(1).out;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["items"][0]["problems"][0]["file"], "data/days.toml");
}

#[test]
fn only_regular_files_below_the_folder_are_included() {
    let home = with_rules();
    home.file("outside.toml", DAYS);
    let check = |why: &str| {
        let said = policy(&home, &["check", "team/rules.toml"]).exits(1).out;
        assert!(
            said.starts_with("team/rules.toml:4:12: error: `data/days.toml` cannot be included"),
            "{said}"
        );
        assert!(said.contains(why), "{why}\n{said}");
        for command in ["test", "build"] {
            let said = policy(&home, &[command, "team/rules.toml"]).exits(1).err;
            assert!(said.contains(why), "{command}: {said}");
        }
    };
    let days = home.path("team/data/days.toml");
    fs::remove_file(&days).unwrap();
    check("No such file");
    symlink(home.path("outside.toml"), &days).unwrap();
    check("it is a symbolic link out of the folder");
    fs::remove_file(&days).unwrap();
    fs::create_dir(&days).unwrap();
    check("it is not a regular file");
    fs::remove_dir(&days).unwrap();
    fs::write(&days, b"[const]\nx = '\xff'\n").unwrap();
    check("not UTF-8 at byte 13");
    fs::write(&days, "[const]\nx = 1 # \u{1e}\n").unwrap();
    check("the control character U+001E");
    fs::write(&days, vec![b'#'; (1 << 20) + 1]).unwrap();
    check("larger than 1048576 bytes");
    // A link inside the folder is followed.
    fs::remove_file(&days).unwrap();
    home.file("team/real.toml", DAYS);
    symlink("../real.toml", &days).unwrap();
    policy(&home, &["check", "--deny-warnings", "team/rules.toml"]).ok();
    assert!(!home.path("team/rules.wasm").exists());
}
