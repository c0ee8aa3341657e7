//! Policies as a team ships them: built from rules, signed, pushed and activated.

use serde_json::Value;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{Home, Server, text};

/// The key that signs the tests' modules.
pub const SIGNER: &str = "signer";

/// Returns a server whose keyring has a signer for policies.
pub fn home_with_signer() -> (Home, Server) {
    let home = Home::new();
    let make = ["key", "generate", "--use", "module", "--slot", "policy", "--id", SIGNER];
    home.run(&make).ok();
    let server = home.serve();
    (home, server)
}

/// Builds a module from rules and signs it with a version; returns its file name.
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
    sign_with(home, file, name, version, &[]);
}

/// Signs a module's file with more options of `module sign`.
#[track_caller]
pub fn sign_with(home: &Home, file: &str, name: &str, version: u32, options: &[&str]) {
    let version = version.to_string();
    let sign = ["module", "sign", file, "--slot", "policy", "--name", name];
    let sign = [&sign[..], &["--version", &version, "--key", SIGNER], options].concat();
    home.run(&sign).ok();
}

/// Pushes a signed module; returns its digest.
#[track_caller]
pub fn pushed(home: &Home, server: &Server, file: &str) -> String {
    let pushed = home.run(&["module", "push", file, "--server", &server.url, "--json"]);
    let pushed: Value = serde_json::from_str(&pushed.ok()).unwrap();
    text(&pushed, "digest").to_owned()
}

/// Builds, signs, pushes and activates rules; returns the module's digest.
#[track_caller]
pub fn activated(home: &Home, server: &Server, name: &str, version: u32, rules: &str) -> String {
    let digest = pushed(home, server, &signed(home, name, version, rules));
    server.post(&format!("/api/v1/modules/{digest}/activate"), &serde_json::json!({})).ok();
    digest
}

/// Fuel that a loop uses up long before its time limit, on a slow machine too.
pub const LITTLE_FUEL: &str = "10000000";
/// Fuel that a loop uses up only long after its time limit.
pub const MUCH_FUEL: &str = "10000000000";

/// Returns a policy that allows every attempt, and loops for this agent.
pub fn loops_for(agent: &str) -> Vec<u8> {
    let (length, first) = (agent.len(), agent.as_bytes()[0]);
    let text = format!(
        r#"(module
            (memory (export "memory") 1)
            (global $next (mut i32) (i32.const 4096))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                (global.set $next (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export "signoff:approval/guardrails@0.1.0#evaluate")
                (param $agent i32) (param $length i32) (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (param i64) (result i32)
                (if (i32.and
                        (i32.eq (local.get $length) (i32.const {length}))
                        (i32.eq (i32.load8_u (local.get $agent)) (i32.const {first})))
                    (then (loop $again (br $again))))
                (i32.const 16))
            (func (export "describe") (result i32) (i32.const 8))
            (data (i32.const 96) "{{\22name\22:\22loops\22}}")
            (data (i32.const 8) "\60\00\00\00\10\00\00\00")
            (data (i32.const 16) "\a0\00\00\00\05\00\00\00")
            (data (i32.const 160) "allow"))"#
    );
    let mut core = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) =
        resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit")).expect("wit/ is read");
    let world = resolve.select_world(&[package], Some("policy")).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&core).unwrap().encode().unwrap()
}
