//! Secrets do not leak from where they are configured.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Answer, Authority, Client, Home, KeyV2, NAMED_SETTINGS, Ran, SECRET, SERVE, Server, ballot,
    claim_body, id, private, request_body, sign_message, text,
};

const ANN: &str = "ann@example.com";
const OF_COMMAND: &str = "of-the-keys-command-4b2f9c1e-nobody-else-has-it";

/// Everything that was printed, answered or written, with its source.
#[derive(Default)]
struct Seen(Vec<(String, String)>);

impl Seen {
    fn see(&mut self, what: &str, text: impl Into<String>) {
        self.0.push((what.to_owned(), text.into()));
    }

    fn ran(&mut self, home: &Home, arguments: &[&str]) -> Ran {
        let ran = home.run(arguments);
        self.see(&format!("{arguments:?}"), format!("{}{}", ran.out, ran.err));
        ran
    }

    fn answer(&mut self, what: &str, answer: &Answer) {
        self.see(what, format!("{:?}{}", answer.headers, answer.body));
    }

    fn file(&mut self, home: &Home, name: &str) {
        let bytes = fs::read(home.path(name)).unwrap();
        self.see(name, String::from_utf8_lossy(&bytes));
    }

    #[track_caller]
    fn holds_nothing_of(&self, name: &str, secret: &[u8]) {
        let mut forms = vec![
            hex::encode(secret),
            hex::encode_upper(secret),
            Base64::encode_string(secret),
            Base64Unpadded::encode_string(secret),
            Base64Url::encode_string(secret),
            Base64UrlUnpadded::encode_string(secret),
        ];
        forms.extend(String::from_utf8(secret.to_vec()));
        for (what, text) in &self.0 {
            for form in &forms {
                assert!(!text.contains(form), "{name} as `{form}` is in {what}");
            }
        }
    }
}

/// Returns the secret bytes of each key in a keyring.
fn secrets_of(home: &Home) -> Vec<(String, Vec<u8>)> {
    let keyring = fs::read(home.path("signoff.keys.json")).unwrap();
    let keyring: Value = serde_json::from_slice(&keyring).unwrap();
    let secret = |key: &Value| {
        let field = match text(key, "algorithm") {
            "ed25519" => key["private"].as_str()?,
            _ => text(key, "material"),
        };
        Some((text(key, "id").to_owned(), Base64UrlUnpadded::decode_vec(field).unwrap()))
    };
    keyring["keys"].as_array().unwrap().iter().filter_map(secret).collect()
}

/// A server with every kind of secret: from the environment, a keyring and a command, a TLS key and
/// tokens; and an approver with a key on another machine.
struct Scene {
    home: Home,
    ann: Home,
    server: Server,
    admin: Client,
    tokens: Vec<String>,
    tls_key: String,
    seen: Seen,
}

impl Scene {
    fn new() -> Self {
        let mut seen = Seen::default();
        let (home, ann) = (Home::new(), Home::new());
        seen.ran(&home, &["key", "generate", "--use", "log", "--id", "log"]);
        seen.ran(&home, &["--json", "key", "generate", "--id", "of-nobody"]);
        let hmac = ["--approver", "bob@example.com", "--algorithm", "hmac-sha256", "--id", "bob"];
        seen.ran(&home, &[&["key", "generate"][..], &hmac].concat());
        let made = seen.ran(&ann, &["--json", "key", "generate", "--approver", ANN, "--id", "ann"]);
        let entry = made.json()["entry"].to_string();
        seen.ran(&home, &["key", "import", &entry, "--approver", ANN, "--yes"]);
        private(&home, "printed.json", &printed_keyring());
        let command = json!(["cat", home.path("printed.json")]);
        home.file(NAMED_SETTINGS, &format!("[keys]\ncommand = {command}\n"));
        let authority = Authority::new("secrets");
        let issued = authority.issue("127.0.0.1");
        issued.install(&home);
        fs::copy(authority.file(&home), ann.path("ca.pem")).unwrap();
        seen.ran(&home, &["doctor"]);
        // Tokens are created over TLS; the client of this process speaks plain HTTP.
        let mut tls = home.signoff(SERVE);
        tls.args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
        tls.arg("--create-store");
        let server = Server::start_with(tls);
        let create = ["--json", "token", "create", "--server", &server.url, "--ca", "ca.pem"];
        let root = home.run(&[&create[..], &["--subject", "root", "--role", "admin"]].concat());
        let root = text(&root.exits(0).json(), "token").to_owned();
        let mut by_root = home.signoff(&create);
        by_root.args(["--subject", ANN, "--role", "approver"]).env("SIGNOFF_TOKEN", &root);
        let of_ann = text(&Ran::of(&mut by_root).exits(0).json(), "token").to_owned();
        seen.see("serve", server.stop());
        // Without TLS the settings are weaker and must be accepted.
        let refused = home.run(SERVE).exits(1);
        let digest = refused.err.split_once("--accept-weaker-settings ").unwrap().1;
        let mut plain = home.signoff(SERVE);
        plain.args(["--accept-weaker-settings", &digest[..64]]);
        seen.see("refused", refused.err);
        let server = Server::start_with(plain);
        let admin = server.with_token(root.clone());
        Self { home, ann, server, admin, tokens: vec![root, of_ann], tls_key: issued.key, seen }
    }

    fn token(&mut self, subject: &str, roles: &[&str]) -> Client {
        let made = json!({ "subject": subject, "roles": roles });
        let made = self.admin.post("/api/v1/tokens", &made).json(201);
        self.tokens.push(text(&made, "token").to_owned());
        self.server.with_token(text(&made, "token"))
    }
}

fn printed_keyring() -> String {
    let key = json!({
        "id": "of-command", "algorithm": "hmac-sha256", "status": "active", "use": "approve",
        "material": Base64UrlUnpadded::encode_string(OF_COMMAND.as_bytes()),
    });
    json!({ "format": 1, "keys": [key] }).to_string()
}

#[test]
fn no_secret_leaks_into_outputs_answers_or_files() {
    let mut scene = Scene::new();
    let requester = scene.token("requester@company.com", &["requester"]);
    let executor = scene.token("executor@company.com", &["executor"]);
    let bob = scene.token("bob@example.com", &["approver"]);
    let Scene { home, ann, server, admin, tokens, tls_key, mut seen } = scene;
    let approval = requester.request();
    seen.answer("request", &requester.post("/api/v1/approvals", &request_body()));
    // Ann approves on her machine, with a comment and a token from the environment.
    let approve = ["approve", id(&approval), "--yes", "--comment", "x", "--server", &server.url];
    let ran = Ran::of(ann.signoff(&approve).env("SIGNOFF_TOKEN", &tokens[1])).exits(0);
    seen.see("approve", format!("{}{}", ran.out, ran.err));
    seen.answer("claim", &executor.claim(&approval));
    // Every refusal that involves keys or tokens.
    let pending = requester.request();
    let of_bob = KeyV2::of(&home, "bob");
    let mut wrong = ballot(&pending, "approved", "bob@example.com");
    let keyless = sign_message("another message", OF_COMMAND);
    for signature in [
        keyless.clone(),
        "x".to_owned(),
        of_bob.sign(&approval, "approved", ""),
        of_bob.as_if("ann", "bob@example.com").sign(&pending, "approved", ""),
        of_bob.as_if("nobody", "bob@example.com").sign(&pending, "approved", ""),
    ] {
        wrong["signature"] = json!(signature);
        seen.answer("wrong ballot", &bob.act(&pending, "approve", &wrong));
    }
    for token in ["sgnt_0", &format!("{}x", tokens[0]), &tokens[0].to_uppercase()] {
        let refused = server.with_token(token).get("/api/v1/audit");
        refused.refused("unauthenticated");
        // An unknown token is not repeated.
        assert!(!refused.body.contains(token), "{refused:?}");
    }
    seen.answer("claim", &executor.act(&pending, "execute", &claim_body()));
    let receipt = format!("/api/v1/approvals/{}/receipt", id(&approval));
    for path in [
        "/api/v1/approvals",
        "/api/v1/audit?limit=1000",
        "/api/v1/audit/checkpoint",
        "/api/v1/audit/keys",
        "/api/v1/audit/proof?entry=1",
        "/api/v1/keys",
        "/api/v1/tokens",
        "/metrics",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/api/v1/none",
        &receipt,
    ] {
        seen.answer(path, &admin.get(path));
    }
    for arguments in [
        &["audit", "export", "--output", "audit.log"][..],
        &["receipt", "export", id(&approval), "--output", "receipt.json"],
        &["audit", "tail"],
        &["token", "list"],
        &["show", id(&approval)],
        &["--json", "show", id(&approval)],
        &["list"],
        &["stats"],
    ] {
        let arguments = [arguments, &["--server", &server.url]].concat();
        let ran = Ran::of(home.signoff(&arguments).env("SIGNOFF_TOKEN", &tokens[0])).exits(0);
        seen.see(&format!("{arguments:?}"), format!("{}{}", ran.out, ran.err));
    }
    // A keyring that becomes malformed while the server runs.
    let keyring = fs::read_to_string(home.path("signoff.keys.json")).unwrap();
    home.file("signoff.keys.json", &keyring.replacen("\"format\"", "\"farmat\"", 1));
    seen.answer("broken keyring", &bob.act(&pending, "approve", &wrong));
    seen.answer("broken keyring", &server.get("/readyz"));
    server.signal(Signal::HUP);
    seen.ran(&home, &["key", "list"]);
    seen.ran(&home, &["doctor"]);
    home.file("signoff.keys.json", &keyring);
    for arguments in [
        &["key", "list"][..],
        &["--json", "key", "list"],
        &["key", "show", "bob"],
        &["--json", "key", "show", "bob"],
        &["key", "show", "log"],
        &["key", "retire", "bob"],
        &["key", "promote", "bob"],
        &["key", "revoke", "bob", "--yes"],
        &["--json", "doctor"],
        &["serve", "--tls-cert", "key.pem", "--tls-key", "cert.pem"],
        &["--help"],
        &[
            "explain",
            "--id",
            id(&approval),
            "--decision",
            "approved",
            "--approver",
            ANN,
            "--expires-at",
            "2025-10-17T11:30:00Z",
            "--signature",
            &keyless,
        ],
    ] {
        seen.ran(&home, arguments);
    }
    seen.see("serve", server.stop());
    seen.file(&home, "signoff.redb");
    seen.file(&home, "audit.log");
    seen.file(&home, "receipt.json");
    let mut secrets = secrets_of(&home);
    assert_eq!(secrets.len(), 3, "log, of-nobody, bob");
    secrets.extend(secrets_of(&ann));
    secrets.push(("the environment's".to_owned(), SECRET.as_bytes().to_vec()));
    secrets.push(("the command's".to_owned(), OF_COMMAND.as_bytes().to_vec()));
    secrets.extend(tokens.iter().map(|token| (token.clone(), token.as_bytes().to_vec())));
    let lines = tls_key.lines().filter(|line| !line.starts_with("-----"));
    secrets.extend(lines.map(|line| ("the TLS key".to_owned(), line.as_bytes().to_vec())));
    for (name, secret) in &secrets {
        seen.holds_nothing_of(name, secret);
    }
}

/// The search finds a secret in each form.
#[test]
fn the_search_finds_a_secret_in_any_encoding() {
    let secret = [0xfb; 32];
    for form in [
        hex::encode(secret),
        Base64::encode_string(&secret),
        Base64UrlUnpadded::encode_string(&secret),
    ] {
        let mut seen = Seen::default();
        seen.see("a log", format!("key={form}"));
        let found = std::panic::catch_unwind(|| seen.holds_nothing_of("it", &secret));
        assert!(found.is_err(), "{form}");
    }
}

/// A process with core dumps enabled, if the system allows them.
fn dumping(home: &Home, script: &str, more: &[&str]) -> Command {
    let mut command = home.program("sh");
    command.args(["-c", &format!("ulimit -c unlimited; {script}")]).args(more);
    command
}

#[test]
fn a_server_dumps_no_core() {
    let home = Home::new();
    let status = dumping(&home, "kill -ABRT $$", &[]).status().unwrap();
    let others_dump = status.core_dumped();
    let serve = [&[env!("CARGO_BIN_EXE_signoff")], SERVE].concat();
    let mut server = Server::start_with(dumping(&home, "exec \"$0\" \"$@\"", &serve));
    server.approved();
    server.signal(Signal::ABORT);
    let status = server.ended();
    assert_eq!(status.signal(), Some(6), "{status}");
    assert!(!status.core_dumped(), "the server dumped its memory");
    if !others_dump {
        eprintln!("core dumps are disabled on this system, so this test proves nothing");
    }
}
