//! Verifying one `v1` signature: the verifier beside the bare HMAC, in one run.
//!
//!     cargo bench -p signoff-client --bench verify
//!
//! Prints medians. `cargo test --benches` runs each once, and checks that both say the same.

#![allow(clippy::unwrap_used, reason = "a bench fails by a panic")]

use std::hint::black_box;
use std::time::Instant;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use signoff_client::verify::{
    Decision, Key, Keyring, Profile, SigningKey, Statement, UnixSeconds, Verifier,
};

const SECRET: &[u8] = b"a secret that is for benches only";
const BATCHES: usize = 300;
const CALLS: u32 = 200;

/// A name, the times, and what is timed.
type Figure<'a> = (&'a str, Vec<f64>, &'a dyn Fn());

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let (batches, calls) = if is_bench { (BATCHES, CALLS) } else { (1, 1) };

    let verifier = Verifier::new();
    let statement = Statement {
        audience: String::new(),
        key_id: String::new(),
        approval_id: "appr_01k7s2e3m8q4w6x9y0z1a2b3c4".to_owned(),
        request_digest: String::new(),
        expires_at: UnixSeconds(1_760_700_600),
        decision: Decision::Approved,
        approver: "alice@company.com".to_owned(),
        comment: String::new(),
    };
    let signing = SigningKey::hmac_sha256("shared", SECRET, None);
    let signature = verifier.sign(&statement, Profile::V1, &signing).unwrap();
    let text = verifier.payload(&statement, Profile::V1).unwrap().text.unwrap();
    let keyring = Keyring::new([Key::hmac_sha256("shared", SECRET)]);

    let bare = || {
        let mut mac = Hmac::<Sha256>::new_from_slice(black_box(SECRET)).unwrap();
        mac.update(black_box(&text).as_bytes());
        mac.verify_slice(&hex::decode(&signature).unwrap()).unwrap();
    };
    let verify = || {
        let by = verifier.verify(black_box(&statement), &signature, &keyring, &[Profile::V1]);
        assert_eq!(by.unwrap(), "shared");
    };
    let context = format!(r#"{{"text": "{}"}}"#, "x".repeat(1_000));
    let digest = || black_box(verifier.digest(black_box(&context)).unwrap());
    let sha = || hex::encode(Sha256::digest(black_box(&context)));
    assert_eq!(digest(), sha());

    let mut figures: [Figure<'_>; 4] = [
        ("v1 signature, hmac crate", Vec::new(), &bare),
        ("v1 signature, Verifier::verify", Vec::new(), &verify),
        ("1 KiB context, sha2 crate", Vec::new(), &|| drop(black_box(sha()))),
        ("1 KiB context, Verifier::digest", Vec::new(), &|| drop(digest())),
    ];
    // In turn, so that what else the machine does hits all alike.
    for _ in 0..batches {
        for (_, times, call) in &mut figures {
            let begun = Instant::now();
            (0..calls).for_each(|_| call());
            times.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls));
        }
    }
    for (name, times, _) in &mut figures {
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2).unwrap();
        println!("{name:<32} {median:>7.2} µs");
    }
}
