//! Requests that are not UTF-8. A core host can pass any bytes to `wire.call`; no other function
//! gets raw bytes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use serde_json::Value;
use signoff_verifier::wire;

/// Returns a request for the digest of a context that contains `bytes`, and their offset.
fn request(bytes: &[u8]) -> (Vec<u8>, usize) {
    let (before, after) =
        (r#"{"op":"context.digest","args":{"context":"{\"a\":\""#.as_bytes(), br#"\"}"}}"#);
    ([before, bytes, after].concat(), before.len())
}

#[test]
fn a_request_that_is_not_utf8_is_invalid() {
    // A surrogate, a byte that UTF-8 never has, an overlong NUL, past U+10FFFF, and a truncated
    // character.
    let cases: [&[u8]; 5] =
        [b"\xed\xa0\x80", b"\xff", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"];
    for bytes in cases {
        let (request, at) = request(bytes);
        let answer: Value = serde_json::from_str(&wire::call_bytes(&request)).unwrap();
        assert_eq!(answer["error"]["code"], "request-invalid", "{bytes:x?}");
        assert_eq!(
            answer["error"]["message"],
            format!("request is not UTF-8 at byte {at}"),
            "{bytes:x?}"
        );
    }
}

#[test]
fn bytes_that_are_text_are_answered_as_the_text() {
    for text in ["", "é", "\u{10ffff}", "\u{d7ff}"] {
        let (request, _) = request(text.as_bytes());
        let answer = wire::call_bytes(&request);
        assert_eq!(answer, wire::call(str::from_utf8(&request).unwrap()));
        assert!(answer.starts_with(r#"{"ok""#), "{answer}");
    }
}
