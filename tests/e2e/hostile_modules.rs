//! Malicious modules and manifests: each is refused with a code, none becomes active, and the server
//! keeps running.

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use signoff::engine::{Allocation, VERIFIER, digest, policy_config};
use signoff::modules::Slot;

use crate::support::modules::{Core, Shop, change, evaluated, push, roll_back};
use crate::support::request_body;

const LOOP: &str = "(loop $again (br $again)) (unreachable)";
const GROW: &str = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
const RECURSE: &str = "(call $evaluate (local.get 0) (local.get 1) (local.get 2) (local.get 3)
    (local.get 4) (local.get 5) (local.get 6) (local.get 7) (local.get 8) (local.get 9)
    (local.get 10) (local.get 11))";
/// Grows a table until it is refused.
const GROW_TABLE: &str = "(loop $again (br_if $again
    (i32.ne (table.grow $t (ref.null func) (i32.const 10000)) (i32.const -1)))) (unreachable)";

/// Returns a good policy with changed parts.
fn with(edit: impl FnOnce(&mut Core)) -> Vec<u8> {
    let mut core = Core::deciding("allow", "hostile");
    edit(&mut core);
    core.component()
}

/// Returns a policy whose verdict has these words.
fn with_verdict(words: [u32; 13]) -> Vec<u8> {
    let stores: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(at, word)| format!("(i32.store (i32.const {}) (i32.const {word}))", 64 + at * 4))
        .collect();
    with(|core| core.evaluate = format!("{} (i32.const 64)", stores.join(" ")))
}

/// Returns a policy whose verdict names failed rules by address and length.
fn with_failed(rules: impl IntoIterator<Item = (u32, u32)>) -> Vec<u8> {
    let words: Vec<u32> = rules.into_iter().flat_map(|(at, length)| [at, length]).collect();
    let stores = words.iter().enumerate();
    let stores = stores.map(|(at, word)| store(8192 + at * 4, *word));
    let verdict = [(64, 512), (68, 5), (72, 0), (84, 0), (96, 0), (108, 8192)];
    let verdict = verdict.into_iter().map(|(at, word)| store(at, word));
    let count = store(112, words.len() as u32 / 2);
    let stores: Vec<String> = stores.chain(verdict).chain([count]).collect();
    with(|core| core.evaluate = format!("{} (i32.const 64)", stores.join(" ")))
}

fn store(at: usize, word: u32) -> String {
    format!("(i32.store (i32.const {at}) (i32.const {word}))")
}

/// Returns a policy whose description has this address and length.
fn with_description_at(pointer: u32, length: u32) -> Vec<u8> {
    let store = format!(
        "(i32.store (i32.const 128) (i32.const {pointer})) (i32.store (i32.const 132) (i32.const {length})) (i32.const 128)"
    );
    with(|core| core.describe = store)
}

fn start(body: &str) -> impl FnOnce(&mut Core) {
    let more = format!("(func $start {body}) (start $start)");
    move |core| core.more = more
}

fn text(component: &str) -> Vec<u8> {
    wat::parse_str(component).unwrap()
}

/// Returns nested components with a module in the innermost.
fn nested(depth: usize) -> Vec<u8> {
    text(&format!("{}{}{}", "(component ".repeat(depth), "(core module)", ")".repeat(depth)))
}

/// Modules that are refused while they run, with their names.
fn that_run() -> Vec<(&'static str, Vec<u8>)> {
    let wit = |text: &str| Some(text.to_owned());
    vec![
        ("a loop at its start", with(start(LOOP))),
        ("a trap at its start", with(start("(unreachable)"))),
        ("memory at its start", with(start(GROW))),
        ("a loop in evaluate", with(|core| core.evaluate = LOOP.to_owned())),
        ("a loop in describe", with(|core| core.describe = LOOP.to_owned())),
        ("a loop in realloc", with(|core| core.realloc = LOOP.to_owned())),
        ("a loop after the answer", with(|core| core.post = LOOP.to_owned())),
        ("a trap after the answer", with(|core| core.post = "(unreachable)".to_owned())),
        ("recursion", with(|core| core.evaluate = RECURSE.to_owned())),
        ("memory", with(|core| core.evaluate = GROW.to_owned())),
        (
            "a table that grows",
            with(|core| {
                core.more = "(table $t 1 funcref)".to_owned();
                core.evaluate = GROW_TABLE.to_owned();
            }),
        ),
        (
            "realloc answers an address outside",
            with(|core| core.realloc = "(i32.const -16)".to_owned()),
        ),
        ("an answer outside", with(|core| core.evaluate = "(i32.const -8)".to_owned())),
        ("an answer that is not aligned", with(|core| core.evaluate = "(i32.const 65)".to_owned())),
        ("a decision outside", with_verdict([0xffff_fff0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("a decision of 4 GiB", with_verdict([512, 0xffff_ffff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("a decision that is not UTF-8", with_verdict([66, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        (
            "a reason that is neither there nor not",
            with_verdict([512, 5, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]),
        ),
        ("a reason of 16 KiB", with_verdict([512, 5, 0, 0, 0, 1, 4096, 16384, 0, 0, 0, 0, 0])),
        ("a requirement with allow", with_verdict([512, 5, 0, 0, 0, 0, 0, 0, 1, 512, 5, 0, 0])),
        ("failed outside", with_verdict([512, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xffff_fff0, 1])),
        ("4 Gi failed rules", with_verdict([512, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0xffff_ffff])),
        (
            "a failed rule without a name",
            with_verdict([512, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8192, 1]),
        ),
        ("more failed rules than there may be", with_failed((0..17).map(|at| (512, at % 5 + 1)))),
        ("a failed rule twice", with_failed([(512, 5), (512, 5)])),
        ("no decision", with(|core| core.decision = "maybe".to_owned())),
        ("an empty decision", with(|core| core.decision = String::new())),
        ("a rule of two words", with(|core| core.rule = "two words".to_owned())),
        ("a description outside", with_description_at(0xffff_0000, 16)),
        ("a description of 4 GiB", with_description_at(0, 0xffff_ffff)),
        ("a description of zeros", with_description_at(8192, 100)),
        ("a description that is no JSON", with(|core| core.description = "rules".to_owned())),
        ("a description without a name", with(|core| core.description = "{}".to_owned())),
        (
            "a description that is too long",
            with(|core| {
                let name = "x".repeat(66_000);
                core.description = json!({ "name": name }).to_string();
            }),
        ),
        (
            "another type under the right name",
            with(|core| {
                core.wit = wit("package signoff:approval@0.1.0;
                    interface guardrails { evaluate: func(a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32, i: u32, j: u32, k: u32, l: u64) -> string; }
                    world policy { export guardrails; export describe: func() -> string; }");
            }),
        ),
    ]
}

/// Returns a function type with many values.
fn typed(side: &str, values: usize) -> Vec<u8> {
    let values = " i64".repeat(values);
    text(&format!("(component (core module (type (func {side}{values})))))"))
}

/// Modules that are refused before they run, with the expected message.
fn that_are_seen() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = Core::deciding("allow", "good");
    let engine = wasmtime::Engine::new(&policy_config(Allocation::OnDemand)).unwrap();
    let precompiled = engine.precompile_component(&good.component()).unwrap();
    let another_version = with(|core| {
        let wit =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/policy.wit"));
        core.wit = Some(wit.unwrap().replace("signoff:approval@0.1.0", "signoff:approval@0.2.0"));
        core.more =
            "(export \"signoff:approval/guardrails@0.2.0#evaluate\" (func $evaluate))".to_owned();
    });
    let functions = format!("(component (core module {}))", "(func)".repeat(100_001));
    let giant =
        format!("(component (core module (func {})))", "(drop (i32.const 70000))".repeat(250_000));
    let globals =
        format!("(component (core module {}))", "(global i32 (i32.const 0))".repeat(100_001));
    vec![
        ("a verifier", VERIFIER.to_vec(), "it is one of world `verifier`"),
        ("another version", another_version, "it has `signoff:approval/guardrails@0.2.0`"),
        ("a core module", good.core(), "core module"),
        ("precompiled code", precompiled, "precompiled"),
        ("text", b"(component)".to_vec(), "text"),
        ("nothing", Vec::new(), "empty"),
        (
            "an import",
            text("(component (import \"wasi:cli/exit@0.2.0\" (instance)))"),
            "`wasi:cli/exit@0.2.0`",
        ),
        ("an imported function", text("(component (import \"log\" (func)))"), "`log`"),
        ("an imported module", text("(component (import \"m\" (core module)))"), "`m`"),
        ("components in each other", nested(20), "nested"),
        ("many functions", text(&functions), "functions"),
        ("a giant function", text(&giant), "bytes in one function"),
        ("many globals", text(&globals), "globals"),
        ("many results", typed("(result", 33), "results of one function"),
        ("many parameters", typed("(param", 129), "parameters of one function"),
        (
            "a huge table",
            text("(component (core module (table 4000000000 funcref)))"),
            "elements in a table",
        ),
        ("a huge memory", text("(component (core module (memory 65536)))"), "bytes of memory"),
        (
            "two halves of it",
            text("(component (core module (memory 700)) (core module (memory 700)))"),
            "bytes of memory",
        ),
        ("a shared memory", text("(component (core module (memory 1 1 shared)))"), "no interface"),
        ("no exports", text("(component)"), "no interface `signoff:approval/guardrails@0.1.0`"),
    ]
}

#[test]
fn a_module_that_fails_in_the_trial_is_refused_and_the_server_keeps_running() {
    let shop = Shop::new();
    let served = shop.active("deny", "good", 1);
    for (version, (what, wasm)) in that_run().iter().enumerate() {
        let manifest = shop.sealed(wasm, Slot::Policy, version as u64 + 2, "team");
        let refused = push(&shop.policy, &manifest, wasm);
        assert_eq!(refused.status, 422, "{what}: {refused:?}");
        assert_eq!(refused.code(), "module-invalid", "{what}: {refused:?}");
        change(&shop.policy, &digest(wasm), "activate").refused("not-found");
    }
    assert_eq!(shop.slot("policy")["active"], served);
    assert_eq!(shop.rule(), "good");
    assert_eq!(shop.office.admin.get("/api/v1/modules").ok()["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_module_that_is_not_a_policy_is_refused_before_it_runs() {
    let shop = Shop::new();
    for (what, wasm, message) in that_are_seen() {
        let manifest = shop.sealed(&wasm, Slot::Policy, 1, "team");
        let refused = push(&shop.policy, &manifest, &wasm);
        let detail = refused.refused("module-invalid")["detail"].clone();
        assert!(detail.as_str().unwrap().contains(message), "{what}: {detail}");
    }
    shop.pin("root", "verifier");
    let policy = Core::deciding("allow", "good").component();
    let manifest = shop.sealed(&policy, Slot::Verifier, 1, "root");
    let refused = push(&shop.office.admin, &manifest, &policy).refused("module-invalid");
    assert!(
        refused["detail"].as_str().unwrap().contains("it is one of world `policy`"),
        "{refused}"
    );
}

#[test]
fn a_truncated_module_is_refused() {
    let shop = Shop::new();
    let good = Core::deciding("allow", "good").component();
    for at in (0..good.len()).step_by(good.len() / 23) {
        let wasm = &good[..at];
        let manifest = shop.sealed(wasm, Slot::Policy, 1, "team");
        push(&shop.policy, &manifest, wasm).refused("module-invalid");
    }
}

#[test]
fn a_module_that_fails_later_fails_only_that_evaluation() {
    let shop = Shop::new();
    shop.active("deny", "good", 1);
    // Harmless on an empty context, which the trial uses.
    let bodies = [LOOP, GROW, RECURSE, "(unreachable)", "(i32.const -8)"];
    for (n, body) in bodies.iter().enumerate() {
        let wasm = with(|core| {
            core.evaluate = format!(
                "(if (result i32) (i32.gt_u (local.get 5) (i32.const 2)) (then {body}) (else (i32.const 64)))"
            );
        });
        let version = n as u64 + 2;
        let manifest = shop.sealed(&wasm, Slot::Policy, version, "team");
        push(&shop.policy, &manifest, &wasm).json(201);
        change(&shop.policy, &digest(&wasm), "activate").ok();
        evaluated(&shop.office.requester).refused("policy-trapped");
        shop.office.requester.post("/api/v1/approvals", &request_body()).refused("policy-trapped");
        roll_back(&shop.policy, "policy", &json!({ "reason": "it traps" })).ok();
        assert_eq!(shop.rule(), "good", "{body}");
    }
}

#[test]
fn a_malformed_or_foreign_manifest_is_refused() {
    let shop = Shop::new();
    shop.pin("root", "verifier");
    shop.pin("stolen", "policy");
    let wasm = Core::deciding("allow", "good").component();
    let good = shop.sealed(&wasm, Slot::Policy, 1, "team");
    let stolen = shop.sealed(&wasm, Slot::Policy, 1, "stolen");
    shop.office.home.run(&["key", "revoke", "--yes", "stolen"]).ok();
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut manifest = good.clone();
        edit(&mut manifest);
        manifest
    };
    let payload = |from: &str, to: &str| {
        edited(&|manifest| {
            let payload = Base64::decode_vec(manifest["payload"].as_str().unwrap()).unwrap();
            let text = String::from_utf8(payload).unwrap().replacen(from, to, 1);
            manifest["payload"] = Base64::encode_string(text.as_bytes()).into();
        })
    };
    let of_nobody = edited(&|manifest| manifest["signatures"][0]["keyid"] = "nobody".into());
    let by_root = edited(&|manifest| manifest["signatures"][0]["keyid"] = "root".into());
    let twice = edited(&|manifest| {
        let one = manifest["signatures"][0].clone();
        manifest["signatures"] = json!([one, one]);
    });
    for (what, manifest, code) in [
        ("unsigned", edited(&|manifest| manifest["signatures"] = json!([])), "manifest-invalid"),
        ("signed twice", twice, "manifest-invalid"),
        (
            "of another type",
            edited(&|m| m["payloadType"] = "text/plain".into()),
            "manifest-invalid",
        ),
        ("of a later format", payload("\"format\":1", "\"format\":2"), "signature-invalid"),
        ("of a higher version", payload("\"version\":1", "\"version\":9"), "signature-invalid"),
        ("for another slot", payload("policy", "verifier"), "signature-invalid"),
        ("by a key nobody knows", of_nobody, "key-unknown"),
        ("by another key", by_root, "signature-invalid"),
        ("by a key that was revoked", stolen, "key-revoked"),
        ("by a key of another slot", shop.sealed(&wasm, Slot::Policy, 1, "root"), "key-not-yours"),
        ("of other bytes", shop.sealed(b"other", Slot::Policy, 1, "team"), "manifest-invalid"),
        ("a number", json!(1), "manifest-invalid"),
        ("a text", json!(good.to_string()), "manifest-invalid"),
        ("a list", json!([good]), "manifest-invalid"),
        ("nothing", Value::Null, "manifest-invalid"),
        ("large", edited(&|m| m["payload"] = "A".repeat(20_000).into()), "limit-exceeded"),
    ] {
        let refused = push(&shop.policy, &manifest, &wasm);
        assert_eq!(refused.code(), code, "{what}: {refused:?}");
    }
    let kept = |body: Value| shop.policy.post("/api/v1/modules", &body).code();
    assert_eq!(kept(json!({ "manifest": good, "wasm": "****" })), "request-invalid");
    assert_eq!(kept(json!({ "manifest": good })), "request-invalid");
    assert_eq!(kept(json!({ "manifest": good, "wasm": "", "more": 1 })), "request-invalid");
    assert_eq!(shop.slot("policy")["highest_version"], 0);
    let entries = shop.office.admin.audit();
    let refused: Vec<&Value> =
        entries.iter().filter(|entry| entry["event"] == "module_refused").collect();
    assert_eq!(refused.len(), 16, "{refused:?}");
    let revoked = refused.iter().find(|entry| entry["code"] == "key-revoked").unwrap();
    assert_eq!(
        (&revoked["key_id"], &revoked["digest"], &revoked["version"]),
        (&json!("stolen"), &json!(digest(&wasm)), &json!(1))
    );
}

/// SplitMix64: a deterministic generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % end
    }

    /// Returns the bytes with some changed, removed, doubled or cut off.
    fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.below(256) as u8,
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, bytes[at]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    }
}

/// `SIGNOFF_MUTATIONS=1000` sets the number of mutations; the default is lower.
#[test]
fn no_mutation_of_a_module_or_its_manifest_becomes_active() {
    let count = std::env::var("SIGNOFF_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let shop = Shop::new();
    let wasm = Core::deciding("allow", "good").component();
    let manifest = shop.sealed(&wasm, Slot::Policy, 1, "team");
    let mut random = Random(7);
    let mut taken = 0;
    for n in 0..count {
        let other = random.mutated(&wasm);
        if other != wasm {
            let refused = push(&shop.policy, &manifest, &other);
            assert_eq!(refused.code(), "manifest-invalid", "{n}: {refused:?}");
        }
        let text = random.mutated(manifest.to_string().as_bytes());
        if text != manifest.to_string().as_bytes() {
            let tail = format!(",\"wasm\":\"{}\"}}", Base64::encode_string(&wasm));
            let body = [b"{\"manifest\":", text.as_slice(), tail.as_bytes()].concat();
            let refused = shop.policy.post_text("/api/v1/modules", body);
            assert!((400..500).contains(&refused.status), "{n}: {refused:?}");
        }
        // With a valid signature a mutation is accepted or refused, and nothing breaks.
        let sealed = shop.sealed(&other, Slot::Policy, n as u64 + 2, "team");
        let answer = push(&shop.policy, &sealed, &other);
        assert!([200, 201, 409, 422].contains(&answer.status), "{n}: {answer:?}");
        if answer.status == 201 {
            taken += 1;
            change(&shop.policy, &digest(&other), "remove").ok();
        }
    }
    println!("{count} mutations, {taken} of them signed anew are policies still");
    assert_eq!(shop.slot("policy")["active"], Value::Null);
    shop.office.server.get("/readyz").ok();
}

#[test]
fn overlapping_texts_are_limited_in_total() {
    let shop = Shop::new();
    let mut core = Core::deciding("allow", "hostile");
    core.memory = "100".to_owned();
    // A reason of 2 MiB and a requirement of 3 MiB, over the same bytes.
    let words = [(84, 1), (88, 4096), (92, 2 << 20), (96, 1), (100, 4096), (104, 3 << 20)];
    let stores = words.map(|(at, word)| format!("(i32.store (i32.const {at}) (i32.const {word}))"));
    core.evaluate = format!("{} (i32.const 64)", stores.concat());
    let wasm = core.component();
    let manifest = shop.sealed(&wasm, Slot::Policy, 1, "team");
    let refused = push(&shop.policy, &manifest, &wasm).refused("module-invalid");
    // The runtime refuses it before all texts are copied.
    assert!(refused["detail"].as_str().unwrap().contains("hostcalls"), "{refused}");
}
