//! Compares the canonicalizer with CPython, on random contexts from
//! `tests/differential/context.py`.
//!
//! `SIGNOFF_CONTEXT_CASES` and `SIGNOFF_CONTEXT_SEED` set the number of cases and the seed;
//! `SIGNOFF_PYTHON` names another interpreter.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use signoff_core::context::{Expected, Invalid, Reason, canonicalize, digest};

const CASES: &str = "20000";
const SEED: &str = "1";

#[test]
fn answers_are_those_of_cpython() {
    let (mut python, cases) = spawn_oracle();
    let output = BufReader::new(python.stdout.take().unwrap());
    let mut count = 0;
    for line in output.lines() {
        let case: Value = serde_json::from_str(&line.unwrap()).unwrap();
        check(&case);
        count += 1;
    }
    assert!(python.wait().unwrap().success(), "the oracle failed after {count} cases");
    assert_eq!(count.to_string(), cases);
}

fn spawn_oracle() -> (Child, String) {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.into());
    let python = setting("SIGNOFF_PYTHON", "python3");
    let cases = setting("SIGNOFF_CONTEXT_CASES", CASES);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/differential/context.py");
    let child = Command::new(&python)
        .arg(script)
        .args(["--count", &cases, "--seed", &setting("SIGNOFF_CONTEXT_SEED", SEED)])
        .stdout(Stdio::piped())
        .spawn();
    let child = child.unwrap_or_else(|error| {
        panic!("this test needs CPython 3.9 or later as `{python}` (or in SIGNOFF_PYTHON): {error}")
    });
    (child, cases)
}

fn check(case: &Value) {
    let input = case["input"].as_str().unwrap();
    match canonicalize(input) {
        Ok(canonical) => {
            assert_eq!(case["canonical"], *canonical, "{input}");
            assert_eq!(case["digest"], *digest(input).unwrap(), "{input}");
        }
        Err(invalid) => {
            assert_eq!(case["kind"], kind(&invalid), "{invalid}: {input}");
            assert_eq!(case["offset"], invalid.offset, "{invalid}: {input}");
        }
    }
}

/// The name that the oracle has for a refusal.
fn kind(invalid: &Invalid) -> &'static str {
    match &invalid.reason {
        Reason::InputTooLong | Reason::CanonicalTooLong => "too-long",
        Reason::Unexpected { expected: Expected::Object, .. } => "not-object",
        Reason::Unexpected { .. } => "unexpected",
        Reason::TooDeep => "too-deep",
        Reason::ControlCharacter => "control",
        Reason::EscapeInvalid => "escape",
        Reason::LoneSurrogate => "lone-surrogate",
        Reason::NotFinite => "not-finite",
        Reason::FloatTooLarge => "float-too-large",
        Reason::LeadingZero => "leading-zero",
        Reason::IntegerTooLong => "integer-too-long",
        Reason::DuplicateKey(_) => "duplicate-key",
    }
}
