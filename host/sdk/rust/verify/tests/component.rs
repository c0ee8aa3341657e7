//! The component returns the same results as ordinary Rust, for every vector.
//!
//! `SIGNOFF_VERIFIER_WASM` is the path of a file written by `signoff module export verifier`.

#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use std::cell::Cell;
use std::{env, fs, thread};

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use signoff_verify::{Kind, Verifier};

fn bytes() -> Vec<u8> {
    let path = env::var("SIGNOFF_VERIFIER_WASM").unwrap_or_else(|_| {
        panic!("set SIGNOFF_VERIFIER_WASM to a file of `signoff module export verifier -o FILE`")
    });
    fs::read(path).unwrap()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    op: String,
    #[serde(borrow)]
    args: &'a RawValue,
}

#[test]
fn the_component_answers_what_ordinary_rust_answers() {
    let (native, component) = (Verifier::new(), Verifier::from_component(&bytes()).unwrap());
    let compared = Cell::new(0);
    let outcome = signoff_vectors::run(&signoff_vectors::ALL, |request| {
        if let Ok(Request { op, args }) = serde_json::from_str(request) {
            let answers = [&native, &component].map(|verifier| verifier.call(&op, args.get()));
            let [native, component] = answers;
            assert_eq!(native, component, "{op}");
            compared.set(compared.get() + 1);
        }
        signoff_verifier::wire::call(request)
    });
    let outcome = outcome.unwrap();
    assert!(outcome.failures.is_empty(), "{}", outcome.failures.join("\n"));
    assert!(compared.get() > 3_000, "{} requests compared", compared.get());
}

#[test]
fn the_digest_is_that_of_the_bytes_and_other_bytes_are_refused() {
    let bytes = bytes();
    let component = Verifier::from_component(&bytes).unwrap();
    assert_eq!(component.digest_of_module(), Some(hex::encode(Sha256::digest(&bytes)).as_str()));
    assert_eq!(Verifier::new().digest_of_module(), None);
    for refused in [&b""[..], b"\0asm\x01\0\0\0", b"(component)", bytes.get(..1_000).unwrap()] {
        assert_eq!(Verifier::from_component(refused).unwrap_err().kind(), Kind::Failed);
    }
}

/// An instance that has needed much memory is not reused, and a trap is no answer.
#[test]
fn a_large_request_leaves_nothing_behind() {
    let component = Verifier::from_component(&bytes()).unwrap();
    let context = format!(r#"{{"a": "{}"}}"#, "x".repeat((1 << 20) - 16));
    assert_eq!(component.canonicalize(&context).unwrap().canonical, context);
    let request = format!(r#"{{"op": "describe", "args": {{"x": "{}"}}}}"#, "x".repeat(16 << 20));
    assert_eq!(component.call_text(&request), Verifier::new().call_text(&request));
    assert!(component.call_text(&request).unwrap().contains("limit-exceeded"));
    assert_eq!(component.canonicalize("{}").unwrap().canonical, "{}");
}

#[test]
fn one_verifier_is_shared_by_many_threads() {
    let component = Verifier::from_component(&bytes()).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..50 {
                    let context = format!(r#"{{"n": {n}}}"#);
                    let canonical = component.canonicalize(&context).unwrap().canonical;
                    assert_eq!(canonical, context);
                }
            });
        }
    });
}
