//! Accepted and refused manifests, envelopes and modules.

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

use super::*;
use crate::code::Code;
use crate::keys::{Group, KeyId, Keyring, Keys, NewKey, Status, Usage};
use crate::policy::Limits;
use crate::refusal::Refusal;

/// Module keys: `policy` and `verifier` sign for their slots, `none` for no slot.
fn keys() -> Keys {
    let mut keyring = Keyring::default();
    for (id, groups) in [("policy", &["policy"][..]), ("verifier", &["verifier"]), ("none", &[])] {
        let groups = groups.iter().map(|group| Group::parse(group).unwrap()).collect();
        let id = KeyId::new(id).ok();
        keyring
            .generate(NewKey { id, usage: Some(Usage::Module), groups, ..NewKey::default() })
            .unwrap();
    }
    keyring
        .generate(NewKey {
            id: KeyId::new("log").ok(),
            usage: Some(Usage::Log),
            ..NewKey::default()
        })
        .unwrap();
    keys_of(&keyring)
}

fn keys_of(keyring: &Keyring) -> Keys {
    Keys::of_entries(keyring.entries().to_vec()).unwrap()
}

fn manifest() -> Manifest {
    let (name, version) = (ModuleName::parse("rules").unwrap(), Version::new(3).unwrap());
    Manifest::new(
        ModuleDigest::of(b"x"),
        Slot::Policy,
        name,
        version,
        Limits::default(),
        1_700_000_000,
    )
}

fn signed(keys: &Keys, id: &str) -> Envelope {
    sign(&manifest(), &keys.module_key(id).unwrap())
}

fn verified(envelope: &Envelope, keys: &Keys) -> Result<Signed, Refusal> {
    Signed::verified(envelope.clone(), keys)
}

fn code<T: std::fmt::Debug, E: Into<Refusal> + std::fmt::Debug>(answer: Result<T, E>) -> Code {
    answer.unwrap_err().into().code
}

/// A manifest with a member changed or removed.
fn with(name: &str, value: Option<Value>) -> String {
    let mut text = manifest().to_json();
    match value {
        Some(value) => text[name] = value,
        None => {
            text.as_object_mut().unwrap().remove(name);
        }
    }
    text.to_string()
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    let text = manifest().to_json().to_string();
    assert_eq!(Manifest::parse(&text).unwrap(), manifest());
    let without = Manifest::parse(&with("limits", None)).unwrap();
    assert_eq!(without.limits, Limits::default());
    let half = Manifest::parse(&with("limits", Some(json!({ "fuel": 7 })))).unwrap();
    assert_eq!((half.limits.fuel, half.limits.memory_bytes), (7, Limits::default().memory_bytes));
}

#[test]
fn a_malformed_manifest_is_refused() {
    let digest = manifest().digest.to_string();
    for (name, value) in [
        ("format", json!(2)),
        ("format", json!("1")),
        ("digest", json!(digest.to_uppercase())),
        ("digest", json!(digest[1..])),
        ("slot", json!("Policy")),
        ("slot", json!("log")),
        ("name", json!("")),
        ("name", json!("a b")),
        ("version", json!(0)),
        ("version", json!(-1)),
        ("version", json!(1.0)),
        ("version", json!("1")),
        ("version", json!(18_446_744_073_709_551_616_f64)),
        ("created", json!("2026-01-31")),
        ("created", json!("2026-01-31T12:00:00+00:00")),
        ("created", json!("2026-01-31T12:00:00.5Z")),
        ("created", json!("2026-01-31t12:00:00z")),
        ("limits", json!([1, 65536])),
        ("limits", json!({ "fuel": 0 })),
        ("limits", json!({ "memory_bytes": 65535 })),
        ("limits", json!({ "time": 1 })),
        ("facts", json!("requester")),
        ("facts", json!({ "requester": true })),
        ("facts", json!([1])),
        ("facts", json!(["Requester"])),
        ("facts", json!([""])),
        ("facts", json!(["requester", "requester"])),
        ("audience", json!("prod")),
        ("audience", json!([1])),
        ("audience", json!([""])),
        ("audience", json!(["a b"])),
        ("audience", json!(["prod", "prod"])),
        ("more", json!(1)),
    ] {
        let text = with(name, Some(value));
        assert_eq!(code(Manifest::parse(&text)), Code::MANIFEST_INVALID, "{text}");
    }
    for name in ["format", "digest", "slot", "name", "version", "created"] {
        assert_eq!(code(Manifest::parse(&with(name, None))), Code::MANIFEST_INVALID, "{name}");
    }
    let many: Vec<String> = (0..17).map(|at| format!("f{at}")).collect();
    let text = with("facts", Some(json!(many)));
    assert_eq!(code(Manifest::parse(&text)), Code::LIMIT_EXCEEDED);
    assert!(Manifest::parse(&with("facts", Some(json!(many[1..])))).is_ok());
    for (name, value) in
        [("fuel", Limits::MAX.fuel + 1), ("memory_bytes", Limits::MAX.memory_bytes as u64 + 1)]
    {
        let text = with("limits", Some(json!({ name: value })));
        assert_eq!(code(Manifest::parse(&text)), Code::LIMIT_EXCEEDED, "{text}");
    }
    let text = manifest().to_json().to_string();
    let twice = text.replacen('{', "{\"version\":9,", 1);
    for text in ["", "[]", "null", "1", "{}", &text[1..], &format!("{text} x"), &twice] {
        assert_eq!(code(Manifest::parse(text)), Code::MANIFEST_INVALID, "{text}");
    }
}

#[test]
fn a_module_is_for_the_audiences_that_its_manifest_names() {
    let named = |names: &[&str]| Manifest::parse(&with("audience", Some(json!(names)))).unwrap();
    let both = named(&["staging", "prod"]);
    assert_eq!(both.to_json()["audience"], json!(["prod", "staging"]));
    assert!(both.says_the_same_as(&manifest()));
    assert_eq!(manifest().to_json().get("audience"), None, "an older host reads it");
    for (manifest, audience, fits) in [
        (&manifest(), "prod", true),
        (&both, "prod", true),
        (&both, "Prod", false),
        (&both, "production", false),
        (&named(&["staging"]), "prod", false),
    ] {
        assert_eq!(is_for(manifest, audience).is_ok(), fits, "{manifest:?} {audience}");
    }
    assert_eq!(code(is_for(&named(&["staging"]), "prod")), Code::AUDIENCE_MISMATCH);
    let many: Vec<String> = (0..17).map(|at| format!("a{at}")).collect();
    assert_eq!(code(Manifest::parse(&with("audience", Some(json!(many))))), Code::LIMIT_EXCEEDED);
    assert!(Manifest::parse(&with("audience", Some(json!(many[1..])))).is_ok());
}

#[test]
fn a_manifest_lists_the_facts_that_its_module_reads() {
    let facts = |names: &[&str]| with("facts", Some(json!(names)));
    let read = Manifest::parse(&facts(&["requester", "claimed_by"])).unwrap();
    assert_eq!(read.to_json()["facts"], json!(["claimed_by", "requester"]));
    assert!(Manifest::parse(&with("facts", None)).unwrap().facts.is_empty());
    assert!(!read.says_the_same_as(&manifest()));
    all_given(&read).unwrap();
    let later = Manifest::parse(&facts(&["requester", "risk"])).unwrap();
    let refused = Refusal::from(all_given(&later).unwrap_err());
    assert_eq!(refused.code, Code::MODULE_INVALID);
    assert!(refused.detail.contains("`risk`") && refused.detail.contains("claimed_by, requester"));
    let verifier = facts(&["requester"]).replace("\"policy\"", "\"verifier\"");
    assert_eq!(code(Manifest::parse(&verifier)), Code::MANIFEST_INVALID);
}

#[test]
fn a_manifest_lists_each_fact_that_its_module_says_it_reads() {
    let manifest = Manifest::parse(&with("facts", Some(json!(["requester"])))).unwrap();
    for description in [json!({}), json!({ "facts": [] }), json!({ "facts": ["requester"] })] {
        all_listed(&manifest, &description).unwrap();
    }
    for facts in [
        json!(["claimed_by"]),
        json!(["requester", "x"]),
        json!(null),
        json!("requester"),
        json!([1]),
        json!(["a b"]),
    ] {
        let description = json!({ "facts": facts });
        assert_eq!(code(all_listed(&manifest, &description)), Code::MANIFEST_INVALID, "{facts}");
    }
}

#[test]
fn an_envelope_verifies_only_with_a_key_of_its_slot() {
    let keys = keys();
    let envelope = Envelope::parse(&signed(&keys, "policy").to_text()).unwrap();
    assert_eq!(*verified(&envelope, &keys).unwrap().manifest(), manifest());
    assert_eq!(
        envelope.digest(),
        hex::encode(<sha2::Sha256 as sha2::Digest>::digest(envelope.to_text()))
    );
    for id in ["verifier", "none"] {
        assert_eq!(code(verified(&signed(&keys, id), &keys)), Code::KEY_NOT_YOURS, "{id}");
    }
    let others = self::keys();
    assert_eq!(code(verified(&envelope, &others)), Code::SIGNATURE_INVALID);
    assert_eq!(code(verified(&envelope, &Keys::default())), Code::KEY_UNKNOWN);
    let log = envelope.to_text().replace("\"keyid\":\"policy\"", "\"keyid\":\"log\"");
    assert_eq!(code(verified(&Envelope::parse(&log).unwrap(), &keys)), Code::KEY_UNKNOWN);
}

#[test]
fn a_revoked_key_verifies_nothing_and_a_retired_one_what_it_signed() {
    let mut keyring = Keyring::default();
    let groups = vec![Group::parse("policy").unwrap()];
    let id = KeyId::new("a").ok();
    keyring
        .generate(NewKey { id, usage: Some(Usage::Module), groups, ..NewKey::default() })
        .unwrap();
    let envelope = signed(&keys_of(&keyring), "a");
    keyring.retire("a").unwrap();
    assert!(keys_of(&keyring).module_key("a").is_none(), "it signs nothing more");
    let retired = keys_of(&keyring);
    let proof = verified(&envelope, &retired).unwrap();
    assert_eq!(proof.clone().under(&keys_of(&keyring)).unwrap().envelope(), &envelope);
    // The same material under another id.
    let mut entries = keyring.entries().to_vec();
    let mut other = entries[0].clone();
    other.id = KeyId::new("b").unwrap();
    other.status = Status::Revoked;
    entries.push(other);
    let both = Keys::of_entries(entries).unwrap();
    assert_eq!(code(verified(&envelope, &both)), Code::KEY_REVOKED);
    assert_eq!(code(proof.clone().under(&both)), Code::KEY_REVOKED, "a proof is of its keys");
    assert_eq!(code(proof.under(&Keys::default())), Code::KEY_UNKNOWN);
    keyring.revoke("a").unwrap();
    assert_eq!(code(verified(&envelope, &keys_of(&keyring))), Code::KEY_REVOKED);
}

#[test]
fn a_malformed_envelope_is_refused() {
    let keys = keys();
    let good: Value = serde_json::from_str(&signed(&keys, "policy").to_text()).unwrap();
    let one = good["signatures"][0].clone();
    let sig = one["sig"].as_str().unwrap();
    let payload = good["payload"].as_str().unwrap();
    let changed = |name: &str, value: Value| {
        let mut text = good.clone();
        text[name] = value;
        text.to_string()
    };
    let signature = |value: Value| changed("signatures", json!([value]));
    let urlsafe = base64ct::Base64UrlUnpadded::encode_string(&Base64::decode_vec(sig).unwrap());
    for text in [
        String::new(),
        "[]".to_owned(),
        changed("payloadType", json!("application/vnd.in-toto+json")),
        changed("payloadType", json!(PAYLOAD_TYPE.to_uppercase())),
        changed("payload", json!(format!("{}=", payload))),
        changed("payload", json!(format!("{payload}\n"))),
        changed("payload", json!("****")),
        changed("signatures", json!([])),
        changed("signatures", json!([one, one])),
        changed("signatures", json!({})),
        changed("more", json!(1)),
        signature(json!({ "keyid": "policy" })),
        signature(json!({ "sig": sig })),
        signature(json!({ "keyid": "Policy", "sig": sig })),
        signature(json!({ "keyid": "policy", "sig": urlsafe })),
        signature(json!({ "keyid": "policy", "sig": Base64::encode_string(&[7; 63]) })),
        signature(json!({ "keyid": "policy", "sig": Base64::encode_string(&[7; 65]) })),
        signature(json!({ "keyid": "policy", "sig": sig, "cert": "" })),
        signature(json!(["policy", sig])),
        good.to_string().replacen('{', "{\"payload\":\"\",", 1),
    ] {
        assert_eq!(code(Envelope::parse(&text)), Code::MANIFEST_INVALID, "{text}");
    }
    let long = changed("payload", json!("A".repeat(ENVELOPE_BYTES_MAX)));
    assert_eq!(code(Envelope::parse(&long)), Code::LIMIT_EXCEEDED);
    let mut wrong = sig.to_owned();
    wrong.replace_range(0..1, if sig.starts_with('A') { "B" } else { "A" });
    let text = signature(json!({ "keyid": "policy", "sig": wrong }));
    assert_eq!(code(verified(&Envelope::parse(&text).unwrap(), &keys)), Code::SIGNATURE_INVALID);
    let text = changed("payload", json!(Base64::encode_string(b"{}")));
    assert_eq!(code(verified(&Envelope::parse(&text).unwrap(), &keys)), Code::SIGNATURE_INVALID);
}

/// The example in the specification.
#[test]
fn the_signed_bytes_match_the_specifications_example() {
    let message = signoff_core::module::to_sign("http://example.com/HelloWorld", b"hello world");
    assert_eq!(message, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

#[test]
fn the_embedded_verifier_is_only_accepted_for_its_slot() {
    let verifier = crate::engine::VERIFIER;
    let found = inspect(verifier, Slot::Verifier, Limits::default()).unwrap();
    assert!(found.functions > 100 && found.parts >= 1, "{found:?}");
    let refused = inspect(verifier, Slot::Policy, Limits::default()).unwrap_err();
    assert_eq!(refused.code, Code::MODULE_INVALID);
    assert!(refused.detail.contains("it is one of world `verifier`"), "{refused}");
    let little = limits(None, Some(MEMORY_BYTES_MIN)).unwrap();
    assert_eq!(code(inspect(verifier, Slot::Verifier, little)), Code::MODULE_INVALID);
    let core = crate::engine::verifier_core();
    let refused = inspect(core, Slot::Verifier, Limits::default()).unwrap_err();
    assert!(refused.detail.contains("core module"), "{refused}");
}

#[test]
fn a_module_cut_short_anywhere_is_refused() {
    let verifier = crate::engine::VERIFIER;
    let step = verifier.len() / 97;
    for end in (0..64).chain((64..verifier.len()).step_by(step)) {
        let refused = inspect(&verifier[..end], Slot::Verifier, Limits::default());
        assert_eq!(code(refused), Code::MODULE_INVALID, "{end}");
    }
}

#[test]
fn the_error_for_other_bytes_says_what_they_are() {
    let inspected = |bytes: &[u8]| inspect(bytes, Slot::Policy, Limits::default()).unwrap_err();
    for (bytes, message) in [
        (&b""[..], "empty"),
        (b"(component)", "WebAssembly text"),
        (b"\x7fELF\x02\x01", "precompiled"),
        (b"MZ", "not a WebAssembly component"),
        (b"\0asm\x0d\0\x01\0", "no interface `signoff:approval/guardrails@0.1.0`"),
        (b"\0asm\x01\0\0\0", "core module"),
    ] {
        let refused = inspected(bytes);
        assert_eq!(refused.code, Code::MODULE_INVALID);
        assert!(refused.detail.contains(message), "{refused}");
    }
    let large = vec![0; WASM_BYTES_MAX + 1];
    assert_eq!(inspected(&large).code, Code::LIMIT_EXCEEDED);
}

#[test]
fn an_import_is_named_wherever_the_module_came_from() {
    let text = r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#;
    let refused = inspect(&wat::parse_str(text).unwrap(), Slot::Policy, Limits::default());
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, Code::MODULE_INVALID);
    for message in ["`wasi:cli/environment@0.2.0`", "--stub-wasi"] {
        assert!(refused.detail.contains(message), "{refused}");
    }
}
