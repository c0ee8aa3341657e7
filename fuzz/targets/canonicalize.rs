//! The canonicalizer: what it accepts is JSON, and its canonical form is a fixed point.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signoff_core::context::{canonicalize, canonicalize_and_digest, digest};

fuzz_target!(|text: &str| {
    let Ok(canonical) = canonicalize(text) else { return };
    assert!(canonical.is_ascii());
    assert_eq!(canonicalize(&canonical).as_deref(), Ok(canonical.as_str()));
    let digest = digest(text).expect("what is canonicalized has a digest");
    assert_eq!(canonicalize_and_digest(text), Ok((canonical, digest)));
    serde_json::from_str::<&serde_json::value::RawValue>(text).expect("JSON");
});
