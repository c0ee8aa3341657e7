//! Policies in WebAssembly text with replaceable parts, and a shop that ships them.

use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use signoff::engine::digest;
use signoff::keys::Keys;
use signoff::modules::{Manifest, ModuleDigest, ModuleName, Slot, Version, sign};
use signoff::policy::Limits;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{Answer, Client, Home, Office};

/// The core module of a policy, in parts. The default parts make a valid one.
#[derive(Clone)]
pub struct Core {
    /// The decision of every verdict.
    pub decision: String,
    /// The rule of every verdict, by which tests distinguish policies.
    pub rule: String,
    /// Its description of itself.
    pub description: String,
    /// Bodies of functions.
    pub evaluate: String,
    pub describe: String,
    pub realloc: String,
    pub post: String,
    /// Pages of memory, and other declarations.
    pub memory: String,
    pub more: String,
    /// The contract that it is built for, from a folder.
    pub wit: Option<String>,
}

impl Core {
    /// Returns a policy that gives the same verdict for every attempt.
    pub fn deciding(decision: &str, rule: &str) -> Self {
        Self {
            decision: decision.to_owned(),
            rule: rule.to_owned(),
            description: json!({ "name": rule }).to_string(),
            evaluate: "(i32.const 64)".to_owned(),
            describe: "(i32.const 128)".to_owned(),
            realloc: ALLOCATE.to_owned(),
            post: String::new(),
            memory: "4".to_owned(),
            more: String::new(),
            wit: None,
        }
    }

    fn text(&self) -> String {
        let Self { evaluate, describe, realloc, post, memory, more, .. } = self;
        let (decision, rule, description) =
            (data(&self.decision), data(&self.rule), data(&self.description));
        let pointers = |pieces: &[u32]| -> String {
            pieces.iter().flat_map(|n| n.to_le_bytes()).map(|b| format!("\\{b:02x}")).collect()
        };
        // decision, rule (some), reason (none), requirement (none), failed (empty)
        let verdict = pointers(&[
            512,
            self.decision.len() as u32,
            1,
            768,
            self.rule.len() as u32,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
        let described = pointers(&[2048, self.description.len() as u32]);
        format!(
            r#"(module
              (memory (export "memory") {memory})
              (global $free (mut i32) (i32.const 65536))
              {more}
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local i32) {realloc})
              (func $evaluate (export "signoff:approval/guardrails@0.1.0#evaluate")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64) (result i32) {evaluate})
              (func (export "cabi_post_signoff:approval/guardrails@0.1.0#evaluate") (param i32) {post})
              (func (export "describe") (result i32) {describe})
              (data (i32.const 64) "{verdict}")
              (data (i32.const 128) "{described}")
              (data (i32.const 512) "{decision}")
              (data (i32.const 768) "{rule}")
              (data (i32.const 2048) "{description}"))"#
        )
    }

    /// Returns the core module.
    pub fn core(&self) -> Vec<u8> {
        wat::parse_str(self.text()).unwrap_or_else(|e| panic!("{e}\n{}", self.text()))
    }

    /// Returns the component.
    pub fn component(&self) -> Vec<u8> {
        let mut core = self.core();
        let mut resolve = Resolve::default();
        let package = match &self.wit {
            Some(text) => resolve.push_str("policy.wit", text).unwrap(),
            None => {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
                resolve.push_dir(folder).unwrap().0
            }
        };
        let world = resolve.select_world(&[package], Some("policy")).unwrap();
        embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
        let encoder = ComponentEncoder::default().validate(true).module(&core);
        encoder.and_then(|mut encoder| encoder.encode()).unwrap_or_else(|e| panic!("{e:#}"))
    }
}

/// Allocates the next bytes, and grows the memory for them.
const ALLOCATE: &str = "
    (local.set 4 (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get 4) (local.get 3)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
      (drop (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1)))))
    (local.get 4)";

/// Encodes a text as the data of a module.
fn data(text: &str) -> String {
    text.bytes().map(|b| format!("\\{b:02x}")).collect()
}

/// An office whose policy team has a key on another machine; the server has its public half.
pub struct Shop {
    pub office: Office,
    /// Ships policies.
    pub policy: Client,
    /// The home with the team's keyring.
    pub team: Home,
}

impl Shop {
    pub fn new() -> Self {
        let shop = Self { office: Office::new(), policy: Client::new(""), team: Home::new() };
        let policy = shop.office.token("policy@company.com", &["policy"]);
        let shop = Self { policy, ..shop };
        shop.pin("team", "policy");
        shop
    }

    /// Creates a key of the team for a slot, and imports it into the server's keyring.
    #[track_caller]
    pub fn pin(&self, id: &str, slot: &str) {
        let made = self
            .team
            .run(&["--json", "key", "generate", "--use", "module", "--slot", slot, "--id", id]);
        let entry = made.exits(0).json()["entry"].to_string();
        let import = ["key", "import", &entry, "--use", "module", "--slot", slot, "--yes"];
        self.office.home.run(&import).ok();
    }

    /// Returns the signed manifest of a module.
    #[track_caller]
    pub fn signed(&self, wasm: &[u8], slot: &str, name: &str, version: u64, key: &str) -> Value {
        let (file, version) = (self.file(wasm), version.to_string());
        let file = file.display().to_string();
        let sign = [
            "module",
            "sign",
            &file,
            "--slot",
            slot,
            "--name",
            name,
            "--version",
            &version,
            "--key",
            key,
        ];
        self.team.run(&sign).ok();
        let text = std::fs::read_to_string(format!("{file}.dsse.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Returns the signed manifest of arbitrary bytes, which are not checked.
    #[track_caller]
    pub fn sealed(&self, wasm: &[u8], slot: Slot, version: u64, key: &str) -> Value {
        sealed(&self.team, wasm, slot, version, key)
    }

    fn file(&self, wasm: &[u8]) -> PathBuf {
        let path = self.team.path(&format!("{}.wasm", digest(wasm)));
        std::fs::write(&path, wasm).unwrap();
        path
    }

    /// Pushes a module of the team.
    #[track_caller]
    pub fn push(&self, wasm: &[u8], version: u64) -> Answer {
        let manifest = self.signed(wasm, "policy", "rules", version, "team");
        push(&self.policy, &manifest, wasm)
    }

    /// Pushes a valid policy with one verdict; returns its digest.
    #[track_caller]
    pub fn pushed(&self, decision: &str, rule: &str, version: u64) -> String {
        let wasm = Core::deciding(decision, rule).component();
        let pushed = self.push(&wasm, version).json(201);
        assert_eq!(pushed["digest"], digest(&wasm));
        digest(&wasm)
    }

    /// Pushes and activates a valid policy; returns its digest.
    #[track_caller]
    pub fn active(&self, decision: &str, rule: &str, version: u64) -> String {
        let digest = self.pushed(decision, rule, version);
        let slot = change(&self.policy, &digest, "activate").ok();
        assert_eq!(slot["active"], digest);
        digest
    }

    /// Returns the rule of the active policy.
    #[track_caller]
    pub fn rule(&self) -> Value {
        evaluated(&self.office.requester).ok()["rule"].clone()
    }

    /// Returns a slot from the list of modules.
    #[track_caller]
    pub fn slot(&self, slot: &str) -> Value {
        let list = self.office.admin.get("/api/v1/modules").ok();
        let slots = list["slots"].as_array().unwrap();
        slots.iter().find(|row| row["slot"] == slot).unwrap().clone()
    }
}

/// Evaluates the runbook's action.
pub fn evaluated(client: &Client) -> Answer {
    let body = super::claim_body();
    client.post("/api/v1/guardrails/evaluate", &body)
}

/// Pushes a module with any manifest.
pub fn push(client: &Client, manifest: &Value, wasm: &[u8]) -> Answer {
    let wasm = Base64::encode_string(wasm);
    client.post("/api/v1/modules", &json!({ "manifest": manifest, "wasm": wasm }))
}

/// Activates, shadows or removes a module.
pub fn change(client: &Client, digest: &str, what: &str) -> Answer {
    client.post(&format!("/api/v1/modules/{digest}/{what}"), &json!({}))
}

/// Rolls a slot back.
pub fn roll_back(client: &Client, slot: &str, body: &Value) -> Answer {
    client.post(&format!("/api/v1/modules/{slot}/rollback"), body)
}

/// Returns the manifest of arbitrary bytes, signed with a key of a home's keyring.
#[track_caller]
pub fn sealed(home: &Home, wasm: &[u8], slot: Slot, version: u64, key: &str) -> Value {
    let keys = Keys::load(&home.path("signoff.keys.json")).unwrap();
    let (name, version) = (ModuleName::parse("rules").unwrap(), Version::new(version).unwrap());
    let digest = ModuleDigest::of(wasm);
    let manifest = Manifest::new(digest, slot, name, version, Limits::default(), 1_700_000_000);
    let envelope = sign(&manifest, &keys.module_key(key).unwrap());
    serde_json::from_str(&envelope.to_text()).unwrap()
}
