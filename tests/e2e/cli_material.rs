//! Other input and output of commands: contexts, signatures, modules.

use std::fs;
use std::os::unix::fs::{FileTypeExt, lchown, symlink};
use std::process::Stdio;
use std::thread;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{APPROVER, Home, Ran, SECRET, home_and_server, sign_message};

const CONTEXT: &str = "{\"version\":\"1.2.3\"}";

#[test]
fn contexts_come_from_arguments_files_and_standard_input() {
    let home = Home::new();
    home.file("context.json", CONTEXT);
    fs::write(home.path("not-utf8"), [0xff, 0xfe]).unwrap();
    home.file("large", &format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20)));
    let digest = hex::encode(Sha256::digest("{\"version\": \"1.2.3\"}"));
    let request = |context: &str| {
        let mut command = home.signoff(&[
            "--json",
            "request",
            "--agent",
            "a",
            "--action",
            "b",
            "--context",
            context,
        ]);
        command.stdin(Stdio::from(fs::File::open(home.path("context.json")).unwrap()));
        Ran::of(&mut command)
    };
    let hashes: Vec<String> = [CONTEXT, "@context.json", "-"]
        .into_iter()
        .map(|context| request(context).json()["context_hash"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(hashes, [digest.clone(), digest.clone(), digest.clone()]);
    assert_eq!(home.run(&["hash", "context.json"]).ok(), digest);
    let missing = request("@missing.json").exits(1);
    assert!(missing.err.contains("cannot read `missing.json`"), "{missing:?}");
    request("@not-utf8").exits(1);
    request("@.").exits(1);
    assert_eq!(request("@large").exits(3).json()["code"], "context-invalid");
    assert_eq!(home.run(&["hash", "large", "--json"]).exits(3).json()["code"], "context-invalid");
}

#[test]
fn the_exported_verifier_has_the_digest_that_the_server_names() {
    let (home, server) = home_and_server();
    let named = server.get("/readyz").ok()["verifier"].clone();
    assert_eq!(server.request()["verifier"], named);
    let digest = home.run(&["module", "export", "verifier", "-o", "verifier.wasm"]).ok();
    assert_eq!(named, digest);
    assert_eq!(hex::encode(Sha256::digest(fs::read(home.path("verifier.wasm")).unwrap())), digest);
    let core = home.run(&["module", "export", "verifier", "--core", "-o", "core.wasm"]).ok();
    assert_eq!(hex::encode(Sha256::digest(fs::read(home.path("core.wasm")).unwrap())), core);
    assert_ne!(core, digest);
    home.run(&["module", "export", "verifier", "-o", "missing/verifier.wasm"]).exits(1);
}

/// Replaying the corpus is all that a new runtime must do.
#[test]
fn the_flat_corpus_has_every_call_of_the_vectors() {
    let home = Home::new();
    let export = ["module", "export", "verifier", "--flat-corpus", "-o", "corpus", "--json"];
    let written = home.run(&export).exits(0).json();
    let corpus = fs::read(home.path("corpus")).unwrap();
    let (mut rest, mut calls, mut transcript) = (corpus.as_slice(), 0, Sha256::new());
    let mut next = || {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let (text, tail) = tail.split_at(u32::from_le_bytes(*length).try_into().unwrap());
        rest = tail;
        Some(str::from_utf8(text).unwrap())
    };
    while let Some(request) = next() {
        let answer = next().unwrap();
        let expected: Value = serde_json::from_str(&signoff_verifier::wire::call(request)).unwrap();
        assert_eq!(serde_json::from_str::<Value>(answer).unwrap(), expected, "{request:.200}");
        transcript.update(format!("{request}\n{answer}\n"));
        calls += 1;
    }
    assert_eq!(written["calls"], calls);
    let transcript = hex::encode(transcript.finalize());
    assert_eq!(written["transcript"], *transcript);
    let vectors =
        signoff_vectors::run(&signoff_vectors::ALL, signoff_verifier::wire::call).unwrap();
    assert!(vectors.summary.ends_with(&transcript), "{}", vectors.summary);
    for wrong in [["verifier", "--core", "--flat-corpus"], ["policy", "--flat-corpus", "--json"]] {
        let wrong = ["module", "export"].into_iter().chain(wrong).chain(["-o", "x"]);
        home.run(&wrong.collect::<Vec<_>>()).exits(2);
    }
}

#[test]
fn an_output_that_is_a_pipe_or_a_link_stays_one() {
    let home = Home::new();
    home.run(&["policy", "init", "rules.toml"]).ok();
    home.run(&["policy", "build", "rules.toml", "-o", "policy.wasm"]).ok();
    assert!(home.program("mkfifo").arg("pipe").status().unwrap().success());
    let pipe = home.path("pipe");
    let reader = thread::spawn(move || fs::read(pipe).unwrap());
    home.run(&["policy", "build", "rules.toml", "-o", "pipe"]).ok();
    assert!(fs::metadata(home.path("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(reader.join().unwrap(), fs::read(home.path("policy.wasm")).unwrap());
    // With `/dev/stdout` as the output, nothing else is printed there.
    let export = ["policy", "build", "rules.toml", "-o", "/dev/stdout"];
    let printed = home.signoff(&export).stderr(Stdio::null()).stdout(Stdio::piped()).output();
    assert_eq!(printed.unwrap().stdout, fs::read(home.path("policy.wasm")).unwrap());
    let redirected = fs::File::create(home.path("redirected.wasm")).unwrap();
    assert!(home.signoff(&export).stdout(redirected).status().unwrap().success());
    assert_eq!(
        fs::read(home.path("redirected.wasm")).unwrap(),
        fs::read(home.path("policy.wasm")).unwrap()
    );
    // A link is followed.
    fs::write(home.path("behind.wasm"), "old").unwrap();
    symlink("behind.wasm", home.path("link.wasm")).unwrap();
    home.run(&["policy", "build", "rules.toml", "-o", "link.wasm"]).ok();
    assert!(fs::symlink_metadata(home.path("link.wasm")).unwrap().is_symlink());
    assert_eq!(
        fs::read(home.path("behind.wasm")).unwrap(),
        fs::read(home.path("policy.wasm")).unwrap()
    );
    fs::create_dir(home.path("folder")).unwrap();
    home.run(&["policy", "build", "rules.toml", "-o", "folder"]).exits(1);
    if rustix::process::geteuid().is_root() {
        // Another user's link would choose what is replaced, and its pipe who reads.
        for name in ["link.wasm", "pipe"] {
            lchown(home.path(name), Some(65_534), None).unwrap();
            let ran = home.run(&["policy", "build", "rules.toml", "-o", name]).exits(1);
            assert!(ran.err.contains("of another user"), "{ran:?}");
        }
    }
}

#[test]
fn sign_prints_what_the_runbooks_python_prints() {
    let home = Home::new();
    let sign = |expires_at: &str| {
        let arguments = [
            "sign",
            "--profile",
            "v1",
            "--id",
            "appr_abc123",
            "--decision",
            "approved",
            "--approver",
            APPROVER,
            "--expires-at",
            expires_at,
        ];
        home.run(&arguments).ok()
    };
    let message = format!("appr_abc123:approved:{APPROVER}:2025-10-17T11:30:00+00:00");
    let expected = sign_message(&message, SECRET);
    assert_eq!(sign("2025-10-17T11:30:00+00:00"), expected);
    assert_eq!(sign("2025-10-17T11:30:00Z"), expected);
    assert_eq!(sign("2025-10-17T13:30:00+02:00"), expected);
}
