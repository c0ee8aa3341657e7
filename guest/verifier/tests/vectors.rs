//! The vectors of `tests/vectors` against the guest as an ordinary library.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use signoff_vectors::{ALL, LIFECYCLE, run};
use signoff_verifier::wire;

#[test]
fn every_vector_is_met() {
    let outcome = run(&ALL, wire::call).unwrap();
    println!("{}", outcome.summary);
    assert!(outcome.failures.is_empty(), "{}", outcome.failures.join("\n"));
}

#[test]
fn a_file_without_vectors_is_an_error() {
    for text in ["", "{}", r#"{"format":1,"vectors":[]}"#, r#"{"format":2,"vectors":[{}]}"#] {
        run(&[("empty", text)], wire::call).unwrap_err();
    }
}

#[test]
fn a_verifier_that_answers_otherwise_fails() {
    let forgetful = |request: &str| wire::call(request).replace("already-executed", "not-approved");
    assert!(!run(&[LIFECYCLE], forgetful).unwrap().failures.is_empty());
}
