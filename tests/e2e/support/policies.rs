//! Policies as a team ships them: built from rules, signed, pushed, activated.

use serde_json::Value;

use super::{Home, Server, text};

/// The key that signs the tests' modules.
pub const SIGNER: &str = "signer";

/// A server whose keyring names a signer of policies.
pub fn home_with_signer() -> (Home, Server) {
    let home = Home::new();
    let make = ["key", "generate", "--use", "module", "--slot", "policy", "--id", SIGNER];
    home.run(&make).ok();
    let server = home.serve();
    (home, server)
}

/// Builds a module from rules and signs it as a version; answers its file.
#[track_caller]
pub fn signed(home: &Home, name: &str, version: u32, rules: &str) -> String {
    home.file(&format!("{name}-{version}.toml"), rules);
    let file = format!("{name}-{version}.wasm");
    home.run(&["policy", "build", &format!("{name}-{version}.toml"), "-o", &file]).ok();
    sign_module(home, &file, name, version);
    file
}

/// Signs a module's file.
#[track_caller]
pub fn sign_module(home: &Home, file: &str, name: &str, version: u32) {
    let version = version.to_string();
    let sign = ["module", "sign", file, "--slot", "policy", "--name", name];
    home.run(&[&sign[..], &["--version", &version, "--key", SIGNER]].concat()).ok();
}

/// Pushes a signed module; answers its digest.
#[track_caller]
pub fn pushed(home: &Home, server: &Server, file: &str) -> String {
    let pushed = home.run(&["module", "push", file, "--server", &server.url, "--json"]);
    let pushed: Value = serde_json::from_str(&pushed.ok()).unwrap();
    text(&pushed, "digest").to_owned()
}

/// Builds, signs, pushes and activates rules; answers the module's digest.
#[track_caller]
pub fn activated(home: &Home, server: &Server, name: &str, version: u32, rules: &str) -> String {
    let digest = pushed(home, server, &signed(home, name, version, rules));
    server.post(&format!("/api/v1/modules/{digest}/activate"), &serde_json::json!({})).ok();
    digest
}
