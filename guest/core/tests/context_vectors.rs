//! Checks the canonicalizer against `tests/vectors/context.json`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use serde_json::{Value, json};
use signoff_core::context::{canonicalize, canonicalize_and_digest, digest};

#[test]
fn every_vector_is_met() {
    let vectors = vectors();
    assert!(!vectors.is_empty());
    for vector in &vectors {
        let input = expanded(vector);
        let answer = match canonicalize_and_digest(&input) {
            Ok((canonical, digest)) => json!({"canonical": canonical, "digest": digest}),
            Err(invalid) => {
                json!({"error": {"code": "context-invalid", "offset": invalid.offset}})
            }
        };
        for field in ["canonical", "digest", "error"] {
            // A long canonical form is not in the file; its digest is.
            if field != "canonical" || !vector[field].is_null() || answer[field].is_null() {
                assert_eq!(answer[field], vector[field], "{}: {field}", vector["name"]);
            }
        }
    }
}

#[test]
fn the_three_functions_agree() {
    for vector in vectors() {
        let input = expanded(&vector);
        let both = canonicalize(&input).and_then(|canonical| Ok((canonical, digest(&input)?)));
        assert_eq!(both, canonicalize_and_digest(&input), "{}", vector["name"]);
    }
}

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(signoff_vectors::CONTEXT.1).unwrap();
    assert_eq!(file["format"], 1);
    file["vectors"].as_array().unwrap().clone()
}

/// A vector's input, written out if it is given in parts.
fn expanded(vector: &Value) -> String {
    if let Some(input) = vector["input"].as_str() {
        return input.to_owned();
    }
    let parts = vector["input_parts"].as_array().unwrap().iter();
    parts
        .map(|part| {
            let times = part[1].as_u64().unwrap();
            part[0].as_str().unwrap().repeat(times.try_into().unwrap())
        })
        .collect()
}
