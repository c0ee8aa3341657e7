//! Each mistake is detected and named.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on may stop"
)]

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::secret::Secrets;
use super::{Diagnosis, SignedStatement};
use crate::engine::{Allocation, Cache};
use crate::verifier::{Statement, Verifier};

const SECRET: &str = "kT4vQ9zX2mB7nR5wY8cJ1hL6pD3fG0sA";
const OTHER_SECRET: &str = "Zq1Xw2Ce3Vr4Bt5Ny6Mu7Ki8Lo9Pa0Sd";
const RIGHT: &str =
    "appr_01k7rbxhm0abcdefghjkmnpqrs:approved:user@company.com:2025-10-17T11:30:00+00:00";
/// `hmac.new(SECRET.encode(), RIGHT.encode(), hashlib.sha256).hexdigest()` of CPython 3.11.
const RIGHT_SIGNATURE: &str = "47706a37e216141d85d63cb92ab5c4a8e89ad554780aa732fd589ef37f688104";

#[test]
fn a_right_signature_is_valid() {
    let answer = explained(RIGHT_SIGNATURE);
    assert!(answer.valid, "{answer:?}");
    assert!(answer.findings.is_empty(), "{answer:?}");
    assert_eq!(answer.for_people(), "valid");
}

#[test]
fn mistakes_of_the_message_are_named() {
    let id = "appr_01k7rbxhm0abcdefghjkmnpqrs";
    let upper = "APPR_01K7RBXHM0ABCDEFGHJKMNPQRS";
    let bare = "01k7rbxhm0abcdefghjkmnpqrs";
    let by = "approved:user@company.com";
    let at = "2025-10-17T11:30:00+00:00";
    for (codes, message) in [
        (&["time-without-offset"][..], format!("{id}:{by}:2025-10-17T11:30:00")),
        (&["time-with-z"], format!("{id}:{by}:2025-10-17T11:30:00Z")),
        (&["time-microseconds"], format!("{id}:{by}:2025-10-17T11:30:00.000000+00:00")),
        (&["time-milliseconds"], format!("{id}:{by}:2025-10-17T11:30:00.000Z")),
        (&["time-space"], format!("{id}:{by}:2025-10-17 11:30:00+00:00")),
        (&["time-space"], format!("{id}:{by}:2025-10-17 11:30:00")),
        (&["time-unix"], format!("{id}:{by}:1760700600")),
        (&["time-unix"], format!("{id}:{by}:1760700600.0")),
        (&["time-unix"], format!("{id}:{by}:1760700600000")),
        (&["time-zone"], format!("{id}:{by}:2025-10-17T13:30:00+02:00")),
        (&["time-zone"], format!("{id}:{by}:2025-10-17T17:15:00+05:45")),
        (&["time-zone"], format!("{id}:{by}:2025-10-17T04:30:00-07:00")),
        (&["time-claims-utc"], format!("{id}:{by}:2025-10-17T13:30:00+00:00")),
        (&["time-without-offset", "time-zone"], format!("{id}:{by}:2025-10-17T13:30:00")),
        (&["time-other"], format!("{id}:{by}:2025-10-17T11:30:01+00:00")),
        (&["decision"], format!("{id}:approve:user@company.com:{at}")),
        (&["decision"], format!("{id}:Approved:user@company.com:{at}")),
        (&["decision"], format!("{id}:rejected:user@company.com:{at}")),
        (&["approver"], format!("{id}:approved:USER@COMPANY.COM:{at}")),
        (&["approver"], format!("{id}:approved:user@company.com :{at}")),
        (&["approver"], format!("{id}:approved:user:{at}")),
        (&["id"], format!("{bare}:{by}:{at}")),
        (&["id"], format!("{upper}:{by}:{at}")),
        (&["field-order"], format!("{id}:user@company.com:approved:{at}")),
        (&["field-order"], format!("{at}:user@company.com:approved:{id}")),
        (&["field-missing"], format!("{id}:{by}")),
        (&["field-missing"], format!("{id}:approved:{at}")),
        (&["separator"], format!("{id}|approved|user@company.com|{at}")),
        (&["separator"], format!("{id}approveduser@company.com{at}")),
        (&["message-white-space"], format!("{RIGHT}\n")),
        (&["message-quoted"], format!("\"{RIGHT}\"")),
        (&["template"], "{approval_id}:{decision}:{approver}:{expires_at}".to_owned()),
        (
            &["message-json"],
            format!(
                "{{\"approval_id\": \"{id}\", \"approver\": \"user@company.com\", \"decision\": \"approved\", \"expires_at\": \"{at}\"}}"
            ),
        ),
        (
            &["time-with-z", "decision"],
            format!("{id}:approve:user@company.com:2025-10-17T11:30:00Z"),
        ),
        (&["id", "field-order"], format!("{bare}:user@company.com:approved:{at}")),
    ] {
        let answer = explained(&hmac_hex(SECRET.as_bytes(), &message));
        assert_named(&answer, codes, &message);
        assert_eq!(answer.signed_message.as_deref(), Some(message.as_str()));
        assert_eq!(answer.expected_message.as_deref(), Some(RIGHT));
    }
}

#[test]
fn every_order_of_the_fields_is_named() {
    let fields = [
        "appr_01k7rbxhm0abcdefghjkmnpqrs",
        "approved",
        "user@company.com",
        "2025-10-17T11:30:00+00:00",
    ];
    let mut orders = 0;
    for a in 0..4 {
        for b in (0..4).filter(|b| *b != a) {
            for c in (0..4).filter(|c| ![a, b].contains(c)) {
                let d = 6 - a - b - c;
                let message = [a, b, c, d].map(|i| fields[i]).join(":");
                let answer = explained(&hmac_hex(SECRET.as_bytes(), &message));
                if message == RIGHT {
                    assert!(answer.valid);
                } else {
                    assert_named(&answer, &["field-order"], &message);
                }
                orders += 1;
            }
        }
    }
    assert_eq!(orders, 24);
}

#[test]
fn mistakes_of_the_secret_are_named() {
    let hex_secret = "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f";
    let base64_secret = "ABEiM0RVZneImaq7zN3u/xAhMkNUZXaHmKm6y9zt/g8=";
    let raw = hex::decode(hex_secret).unwrap();
    let line = format!("{SECRET}\n");
    let quoted = format!("\"{SECRET}\"");
    for (code, ours, theirs) in [
        ("secret-white-space", SECRET, line.as_bytes()),
        ("secret-white-space", SECRET, format!("{SECRET}\r\n").as_bytes()),
        ("secret-white-space", SECRET, format!(" {SECRET}").as_bytes()),
        ("secret-white-space", &line, SECRET.as_bytes()),
        ("secret-white-space", &line, format!("{SECRET}\r\n").as_bytes()),
        ("secret-quoted", SECRET, quoted.as_bytes()),
        ("secret-quoted", &quoted, SECRET.as_bytes()),
        ("secret-decoded", hex_secret, &raw),
        ("secret-decoded", base64_secret, &raw),
        ("secret-encoded", SECRET, hex::encode(SECRET).as_bytes()),
        ("secret-case", SECRET, SECRET.to_lowercase().as_bytes()),
        ("secret-cut", SECRET, &SECRET.as_bytes()[..16]),
        ("secret-placeholder", SECRET, b"your-hmac-secret"),
        ("secret-placeholder", SECRET, b""),
        ("secret-other-variable", SECRET, OTHER_SECRET.as_bytes()),
    ] {
        let secrets = Secrets::of_text(ours, Some(OTHER_SECRET)).unwrap();
        let answer = answer(&secrets, &hmac_hex(theirs, RIGHT));
        assert_named(&answer, &[code], ours);
    }
}

#[test]
fn mistakes_of_the_signature_s_text_are_named() {
    let right = RIGHT_SIGNATURE;
    for (codes, signature) in [
        (&["signature-upper-case"][..], right.to_uppercase()),
        (&["signature-white-space"], format!("{right}\n")),
        (&["signature-white-space"], format!(" {right}")),
        (&["signature-quoted"], format!("'{right}'")),
        (&["signature-quoted"], format!("b'{right}'")),
        (&["signature-prefix"], format!("sha256={right}")),
        (&["signature-length"], right[..63].to_owned()),
        (&["signature-length"], right[..40].to_owned()),
        (&["signature-length"], format!("{right}00")),
        (&["signature-base64"], "R3BqN+IWFB2F1jy5KrXEqOia1VR4Cqcy/Vie839ogQQ=".to_owned()),
        (&["signature-base64"], "R3BqN+IWFB2F1jy5KrXEqOia1VR4Cqcy/Vie839ogQQ=".trim_end_matches('=').to_owned()),
        (&["signature-white-space", "signature-prefix", "signature-upper-case"], format!("sha256={}\n", right.to_uppercase())),
        (&["algorithm"], "813b295d910ee5ce8a5a84583d6b1d9752654f9a".to_owned()),
        (&["algorithm"], "8c7cd4db816ec1d453d9649a73fcb5b0837c6e6170860b52881232b7b21af85f93448e05d257f379e67f44fddc786b3f0b5b52955236c64940ba97afd1d3b831".to_owned()),
        (&["signature-malformed"], "no signature".to_owned()),
        (&["signature-malformed"], String::new()),
    ] {
        let answer = explained(&signature);
        assert_named(&answer, codes, &signature);
    }
}

#[test]
fn other_ways_to_hash_are_named() {
    let sha256 = |text: String| hex::encode(Sha256::digest(text));
    for (code, signature) in [
        ("not-hmac", sha256(RIGHT.to_owned())),
        ("not-hmac", sha256(format!("{SECRET}{RIGHT}"))),
        ("not-hmac", sha256(format!("{RIGHT}{SECRET}"))),
        ("not-hmac", sha256(format!("{RIGHT}:{SECRET}"))),
        ("key-and-message-exchanged", hmac_hex(RIGHT.as_bytes(), SECRET)),
        ("message-hashed", hmac_hex(SECRET.as_bytes(), &sha256(RIGHT.to_owned()))),
    ] {
        let answer = explained(&signature);
        assert_named(&answer, &[code], code);
        if code == "key-and-message-exchanged" {
            assert_eq!(answer.signed_message, None);
        }
    }
}

#[test]
fn a_mistake_of_each_kind_is_named_together_with_another() {
    let message = RIGHT.replace("+00:00", "Z");
    let line = format!("{SECRET}\n");
    let answer = explained(&hmac_hex(line.as_bytes(), &message).to_uppercase());
    assert_named(&answer, &["signature-upper-case", "time-with-z", "secret-white-space"], &message);
}

#[test]
fn an_unknown_mistake_is_reported_as_unexplained() {
    for signature in
        [hmac_hex(OTHER_SECRET.as_bytes(), RIGHT), hmac_hex(SECRET.as_bytes(), "something else")]
    {
        let answer = explained(&signature);
        assert_named(&answer, &["unexplained"], &signature);
        assert_eq!(answer.signed_message, None);
        assert_eq!(answer.expected_message.as_deref(), Some(RIGHT));
    }
}

#[test]
fn a_weak_secret_is_reported_and_a_short_one_verifies_nothing() {
    let short = "prod-secret-abc123";
    let secrets = Secrets::of_text(short, None).unwrap();
    let of_short = answer(&secrets, &hmac_hex(short.as_bytes(), RIGHT));
    assert_named(&of_short, &["secret-weak"], short);
    let known = "changeme-but-long-enough-to-be-a-key-of-32-bytes";
    let secrets = Secrets::of_text(known, None).unwrap();
    let of_known = answer(&secrets, &hmac_hex(known.as_bytes(), RIGHT));
    assert!(of_known.valid);
    assert_eq!(codes(&of_known), ["secret-weak"]);
}

#[test]
fn an_unsignable_statement_is_reported() {
    let secrets = Secrets::of_text(SECRET, None).unwrap();
    for (code, decision, approver) in [
        ("request-invalid", "approve", "user@company.com"),
        ("request-invalid", "approved", "user name"),
        ("statement-ambiguous", "approved", "user:approved"),
    ] {
        let mut signed = signed(RIGHT_SIGNATURE);
        decision.clone_into(&mut signed.statement.decision);
        approver.clone_into(&mut signed.statement.approver);
        let answer = signed.answer(&verifier(), &secrets).unwrap();
        assert_named(&answer, &[code], approver);
        assert_eq!(answer.expected_message, None);
    }
}

#[test]
fn neither_the_secret_nor_the_right_signature_is_ever_printed() {
    let (line, quoted) = (format!("{SECRET}\n"), format!("'{SECRET}'"));
    let message = RIGHT.replace("+00:00", "");
    for signature in [
        RIGHT_SIGNATURE.to_owned(),
        RIGHT_SIGNATURE.to_uppercase(),
        RIGHT_SIGNATURE[..40].to_owned(),
        "R3BqN+IWFB2F1jy5KrXEqOia1VR4Cqcy/Vie839ogQQ=".to_owned(),
        hmac_hex(SECRET.as_bytes(), &message),
        hmac_hex(line.as_bytes(), RIGHT),
        hmac_hex(RIGHT.as_bytes(), SECRET),
        hex::encode(Sha256::digest(format!("{SECRET}{RIGHT}"))),
        hmac_hex(OTHER_SECRET.as_bytes(), RIGHT),
        "no signature".to_owned(),
    ] {
        // A user pastes the secret into the wrong flag.
        for (ours, approver) in [
            (SECRET, "user@company.com"),
            (&line, "user@company.com"),
            (SECRET, SECRET),
            (&quoted, &SECRET.to_lowercase()),
        ] {
            let secrets = Secrets::of_text(ours, Some(OTHER_SECRET)).unwrap();
            let mut signed = signed(&signature);
            approver.clone_into(&mut signed.statement.approver);
            let answer = signed.answer(&verifier(), &secrets).unwrap().without(&secrets);
            let json = serde_json::to_string(&answer).unwrap();
            for text in [answer.for_people(), json] {
                let text = text.to_lowercase();
                for hidden in [SECRET, OTHER_SECRET, RIGHT_SIGNATURE] {
                    assert!(!text.contains(&hidden.to_lowercase()), "{text}");
                }
            }
        }
    }
}

#[test]
fn people_see_what_was_signed_and_what_must_be() {
    let answer = explained(&hmac_hex(SECRET.as_bytes(), &RIGHT.replace("+00:00", "\n")));
    assert_eq!(
        answer.for_people(),
        "wrong     the expiry was written without its offset (a naive datetime)\n\
         wrong     the message had a line feed after it: `echo` adds one, `printf %s` does not\n\
         signed    \"appr_01k7rbxhm0abcdefghjkmnpqrs:approved:user@company.com:2025-10-17T11:30:00\\n\"\n\
         must be   \"appr_01k7rbxhm0abcdefghjkmnpqrs:approved:user@company.com:2025-10-17T11:30:00+00:00\"\n\
         fix       expires_at.astimezone(timezone.utc).replace(microsecond=0).isoformat()\n\
         fix       message = f\"{approval_id}:{decision}:{approver}:{expires_at}\""
    );
}

fn explained(signature: &str) -> Diagnosis {
    answer(&Secrets::of_text(SECRET, None).unwrap(), signature)
}

fn answer(secrets: &Secrets, signature: &str) -> Diagnosis {
    signed(signature).answer(&verifier(), secrets).unwrap()
}

fn signed(signature: &str) -> SignedStatement {
    SignedStatement {
        statement: Statement {
            audience: String::new(),
            key_id: String::new(),
            approval_id: "appr_01k7rbxhm0abcdefghjkmnpqrs".to_owned(),
            request_digest: String::new(),
            expires_at: 1_760_700_600,
            decision: "approved".to_owned(),
            approver: "user@company.com".to_owned(),
            comment: String::new(),
        },
        signature: signature.to_owned(),
    }
}

fn verifier() -> Verifier {
    static VERIFIER: std::sync::OnceLock<Verifier> = std::sync::OnceLock::new();
    let loaded = || Verifier::embedded(Allocation::OnDemand, &Cache::none()).unwrap();
    VERIFIER.get_or_init(loaded).clone()
}

fn hmac_hex(key: &[u8], message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn codes(answer: &Diagnosis) -> Vec<&str> {
    answer.findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn assert_named(answer: &Diagnosis, expected: &[&str], of: &str) {
    assert!(!answer.valid, "{of}");
    let (mut found, mut expected) = (codes(answer), expected.to_vec());
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{of}: {answer:?}");
}
