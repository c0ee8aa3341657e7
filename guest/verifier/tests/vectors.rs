//! The vectors of `tests/vectors` against the guest as an ordinary library.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::path::Path;

use signoff_verifier::wire;

#[path = "../../../tests/vectors/runner.rs"]
mod runner;

#[test]
fn every_vector_is_met() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let outcome = runner::run(&directory, wire::call).unwrap();
    println!("{}", outcome.summary);
    assert!(outcome.failures.is_empty(), "{}", outcome.failures.join("\n"));
}

#[test]
fn a_missing_file_is_an_error() {
    runner::run(Path::new("no such directory"), wire::call).unwrap_err();
}

#[test]
fn a_verifier_that_answers_otherwise_fails() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let forgetful = |request: &str| wire::call(request).replace("already-executed", "not-approved");
    assert!(!runner::run(&directory, forgetful).unwrap().failures.is_empty());
}
