//! `signoff policy` on modules: build, inspect, evaluate, compare, and refusals.

use std::fs;
use std::process::Stdio;

use serde_json::json;
use sha2::{Digest, Sha256};
use signoff::engine::{VERIFIER, verifier_core};

use crate::support::{Home, Ran, loops_for};

/// Rules with unusual bytes: a comment, no line feed at the end, CRLF, non-ASCII text.
const RULES: &str = "format = 1\r\nname = \"odd\"   # a comment, ümläut, \u{202e} \r\n\
default = \"allow\"\n[[rule]]\nid = \"risky\"\naction = \"quarantine\"\n\
when = \"context.risk_score >= 70\"\nverdict = \"require_approval\"\nreason = \"a\\tb \\\"c\\\"\"\n\n\
[[test]]\nname = \"it waits\"\nagent = \"a\"\naction = \"quarantine\"\nexpect = \"require_approval\"";

const ASKED: [&str; 6] =
    ["--agent", "a", "--action", "quarantine", "--context", "{\"risk_score\":70}"];

fn policy(home: &Home, arguments: &[&str]) -> Ran {
    home.run(&[&["policy"], arguments].concat())
}

fn built() -> Home {
    let home = Home::new();
    home.file("rules.toml", RULES);
    policy(&home, &["build", "rules.toml"]).ok();
    home
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[test]
fn a_build_is_reproducible_and_the_module_contains_its_rules() {
    let home = built();
    let wasm = fs::read(home.path("rules.wasm")).unwrap();
    // In another directory, under another name, in another process, and through a pipe.
    let other = Home::new();
    other.file("b.toml", RULES);
    let output = policy(&other, &["build", "b.toml", "-o", "x.bin", "--json"]).exits(0).json();
    assert_eq!(output["digest"], sha256(&wasm));
    assert_eq!(output["bytes"], wasm.len());
    assert_eq!(
        (&output["rules"], &output["tests"], &output["tested"]),
        (&json!(1), &json!(1), &json!(true))
    );
    assert_eq!(fs::read(other.path("x.bin")).unwrap(), wasm);
    let piped = home.signoff(&["policy", "build", "rules.toml", "-o", "-"]).output().unwrap();
    assert!(piped.status.success());
    assert_eq!(piped.stdout, wasm);
    assert!(String::from_utf8(piped.stderr).unwrap().contains(&sha256(&wasm)));
    // Exactly the source text.
    let rules = home.signoff(&["policy", "inspect", "rules.wasm", "--rules"]).output().unwrap();
    assert_eq!(rules.stdout, RULES.as_bytes());
    let json = policy(&home, &["inspect", "rules.wasm", "--rules", "--json"]).json();
    assert_eq!(json["rules"], RULES);
    let facts = policy(&home, &["inspect", "rules.wasm", "--json"]).exits(0).json();
    assert_eq!(facts["digest"], sha256(&wasm));
    assert_eq!(facts["imports"], json!([]));
    assert_eq!(facts["exports"], json!(["describe", "signoff:approval/guardrails@0.1.0"]));
    assert_eq!(facts["describe"]["name"], "odd");
    assert_eq!(facts["rebuilt"], true);
    let shown = policy(&home, &["inspect", "rules.wasm"]).ok();
    assert!(shown.starts_with(&format!(
        "digest   {}\nbytes    {}\nimports  nothing\n",
        sha256(&wasm),
        wasm.len()
    )));
    assert!(shown.ends_with("\nrebuilt  the embedded rules build exactly these bytes"), "{shown}");
    assert!(!shown.contains("comment"), "{shown}");
}

#[test]
fn a_module_answers_as_its_rules_do() {
    let home = built();
    let eval = |file: &str| {
        policy(&home, &[&["eval", file, "--json"], &ASKED[..]].concat()).exits(4).json()
    };
    let (mut of_module, of_rules) = (eval("rules.wasm"), eval("rules.toml"));
    assert_eq!(of_module["policy"], sha256(&fs::read(home.path("rules.wasm")).unwrap()));
    of_module["policy"] = json!(null);
    of_module["now"] = of_rules["now"].clone();
    assert_eq!(of_module, of_rules);
}

#[test]
fn mismatched_embedded_rules_are_rejected() {
    let home = built();
    // Only the embedded source is changed, not the parsed condition.
    let wasm = fs::read(home.path("rules.wasm")).unwrap();
    let forged = replaced(&wasm, b"risk_score >= 70", b"risk_score >= 71");
    assert_ne!(forged, wasm);
    fs::write(home.path("forged.wasm"), forged).unwrap();
    let ran = policy(&home, &[&["eval", "forged.wasm"], &ASKED[..]].concat()).exits(1);
    assert!(
        ran.err.contains("returns require_approval by rule `risky`")
            && ran.err.contains("return allow by default"),
        "{ran:?}"
    );
    assert_eq!(ran.out, "");
    let facts = policy(&home, &["inspect", "forged.wasm", "--json"]).exits(0).json();
    assert_eq!(facts["rebuilt"], false);
    assert_ne!(facts["rebuilt_digest"], facts["digest"]);
}

#[test]
fn a_policy_that_was_not_built_from_rules_answers_without_a_trace() {
    let home = Home::new();
    fs::write(home.path("other.wasm"), loops_for("loop")).unwrap();
    let ran = policy(&home, &[&["eval", "other.wasm"], &ASKED[..]].concat()).exits(0);
    assert_eq!(ran.out, "allow by default\n");
    assert_eq!(ran.err, "signoff: the module does not contain rules that explain the verdict\n");
    let facts = policy(&home, &["inspect", "other.wasm", "--json"]).exits(0).json();
    assert_eq!(
        (&facts["describe"], &facts["rebuilt"]),
        (&json!({ "name": "loops" }), &json!(null))
    );
    policy(&home, &["inspect", "other.wasm", "--rules"]).exits(1);
    let arguments = ["--agent", "loop", "--action", "b", "--context", "{}"];
    let ran = policy(&home, &[&["eval", "other.wasm"], &arguments[..]].concat()).exits(1);
    assert!(ran.err.starts_with("signoff: `other.wasm`: policy failed: it "), "{ran:?}");
    // The module has no test cases, so they must be given.
    home.file("rules.toml", "format = 1\nname = \"x\"\ndefault = \"deny\"\n");
    let none = policy(&home, &["diff", "other.wasm", "rules.toml"]).exits(1);
    assert!(none.err.contains("neither rules nor test cases"), "{none:?}");
    home.file("cases.toml", "[[test]]\nname = \"x\"\nagent = \"loop\"\naction = \"b\"\nexpect = \"deny\"\n[[test]]\nname = \"y\"\nagent = \"a\"\naction = \"b\"\nexpect = \"deny\"\n");
    let flips = policy(
        &home,
        &["diff", "other.wasm", "rules.toml", "--cases", "cases.toml", "--exit-code"],
    )
    .exits(1);
    let lines: Vec<&str> = flips.out.lines().collect();
    assert!(lines[0].starts_with("failure: x (loop, b): policy failed: "), "{flips:?}");
    assert_eq!(lines[1], "stricter: y (a, b): allow by default -> deny by default");
    assert_eq!(lines[2], "compared 2 cases, 1 stricter, 1 without a verdict");
}

#[test]
fn a_module_that_is_not_a_policy_is_refused() {
    let home = Home::new();
    fs::write(home.path("core.wasm"), verifier_core()).unwrap();
    fs::write(home.path("verifier.wasm"), VERIFIER).unwrap();
    fs::write(home.path("cut.wasm"), VERIFIER.get(..1_000).unwrap()).unwrap();
    fs::write(home.path("head.wasm"), b"\0asm").unwrap();
    for (file, said) in [
        ("core.wasm", "this is a core module"),
        ("verifier.wasm", "it is one of world `verifier`"),
        ("cut.wasm", "not valid"),
        ("head.wasm", "not a WebAssembly component"),
    ] {
        for command in
            [&["inspect", file][..], &[&["eval", file], &ASKED[..]].concat(), &["diff", file, file]]
        {
            let ran = policy(&home, command).exits(3);
            assert!(ran.err.contains(&format!("`{file}`")) && ran.err.contains(said), "{ran:?}");
            assert!(ran.err.ends_with("(module-invalid)\n"), "{ran:?}");
        }
        let json = policy(&home, &["inspect", file, "--json"]).exits(3).json();
        assert_eq!(json["code"], "module-invalid");
    }
    home.file("rules.toml", RULES);
    let text = policy(&home, &["inspect", "rules.toml"]).exits(1);
    assert!(text.err.contains("is a text, expected a module"), "{text:?}");
    policy(&home, &["inspect", "missing.wasm"]).exits(1);
    policy(&home, &["inspect", "."]).exits(1);
}

#[test]
fn rules_with_failing_tests_are_not_built() {
    let home = Home::new();
    home.file("rules.toml", &RULES.replace("expect = \"require_approval\"", "expect = \"deny\""));
    home.file("rules.wasm", "older");
    let ran = policy(&home, &["build", "rules.toml"]).exits(1);
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("FAIL  it waits (rules.toml:11)"), "{ran:?}");
    assert!(ran.err.ends_with("signoff: 1 test failed, so nothing was built\n"), "{ran:?}");
    assert_eq!(fs::read(home.path("rules.wasm")).unwrap(), b"older");
    let json = policy(&home, &["build", "rules.toml", "--json"]).exits(1).json();
    assert_eq!(json["failed"], 1);
    let output = policy(&home, &["build", "rules.toml", "--no-test", "--json"]).exits(0).json();
    assert_eq!(output["tested"], false);
    assert_eq!(output["digest"], sha256(&fs::read(home.path("rules.wasm")).unwrap()));
    // No partial file is left.
    policy(&home, &["build", "rules.toml", "--no-test", "-o", "missing/x.wasm"]).exits(1);
    let left: Vec<String> = fs::read_dir(home.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".part"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    // The output never overwrites the rules, whatever their name.
    home.file("rules.wasm", RULES);
    std::os::unix::fs::symlink("rules.wasm", home.path("link")).unwrap();
    for to in [&[][..], &["-o", "./rules.wasm"], &["-o", "link"]] {
        let ran = policy(&home, &[&["build", "rules.wasm"], to].concat()).exits(2);
        assert!(ran.err.contains("would overwrite `rules.wasm`"), "{ran:?}");
    }
    assert_eq!(fs::read_to_string(home.path("rules.wasm")).unwrap(), RULES);
    // Rules from a pipe give no name for the output.
    let mut piped = home.signoff(&["policy", "build", "-"]);
    piped.stdin(Stdio::from(fs::File::open(home.path("rules.toml")).unwrap()));
    Ran::of(&mut piped).exits(2);
}

/// Returns the bytes with each occurrence of `from` replaced.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while at + from.len() <= bytes.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        at += 1;
    }
    bytes
}
