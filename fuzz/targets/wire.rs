//! The wire: any bytes are answered with one JSON object that has `ok` or `error`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: &[u8]| {
    let answer = signoff_verifier::wire::call_bytes(request);
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    let members = answer.as_object().expect("an object");
    assert_eq!(members.len(), 1);
    assert!(members.contains_key("ok") || members["error"]["code"].is_string());
});
