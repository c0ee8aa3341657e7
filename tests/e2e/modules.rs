//! The registry of modules over HTTP: permissions, activation, and audit entries.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};
use signoff::engine::{VERIFIER, VERIFIER_DIGEST, digest};
use signoff::modules::Slot;

use crate::support::modules::{Core, Shop, change, evaluated, push, roll_back};
use crate::support::{Answer, Client, Server, text, until};

/// Returns the audit entries of the registry, in order: event, and the digest that it names.
fn registry_entries(admin: &Client) -> Vec<(String, String)> {
    let of_modules = admin
        .audit()
        .into_iter()
        .filter(|entry| entry["event"].as_str().is_some_and(|event| event.starts_with("module_")));
    let recorded = of_modules.map(|entry| {
        let digest = entry["digest"].as_str().unwrap_or("-").to_owned();
        (text(&entry, "event").to_owned(), digest)
    });
    recorded.collect()
}

#[test]
fn a_policy_is_active_from_its_activation_and_the_audit_names_its_signer() {
    let shop = Shop::new();
    assert_eq!(evaluated(&shop.office.requester).ok()["policy"], Value::Null, "empty");
    let first = shop.pushed("allow", "first", 1);
    assert_eq!(shop.rule(), Value::Null, "a pushed module is not active");
    assert_eq!(shop.slot("policy")["active"], Value::Null);
    let slot = change(&shop.policy, &first, "activate").ok();
    assert_eq!((&slot["active"], &slot["highest_version"]), (&json!(first), &json!(1)));
    let verdict = evaluated(&shop.office.requester).ok();
    assert_eq!(
        (&verdict["decision"], &verdict["rule"], &verdict["policy"]),
        (&json!("allow"), &json!("first"), &json!(first))
    );
    let second = shop.active("deny", "second", 2);
    assert_eq!(shop.rule(), "second");
    let recorded = registry_entries(&shop.office.admin);
    let expected: Vec<(String, String)> = [
        ("module_pushed", &first),
        ("module_activated", &first),
        ("module_pushed", &second),
        ("module_activated", &second),
    ]
    .map(|(event, digest)| (event.to_owned(), digest.clone()))
    .into();
    assert_eq!(recorded, expected);
    let page = shop.office.admin.get("/api/v1/audit?limit=200").ok().to_string();
    for member in [
        "\"key_id\":\"team\"",
        "\"version\":2",
        "\"envelope\":\"",
        &format!("\"previous\":\"{first}\""),
    ] {
        assert!(page.contains(member), "{member}: {page}");
    }
}

#[test]
fn the_active_module_and_the_shadow_survive_a_restart() {
    let shop = Shop::new();
    shop.active("deny", "kept", 1);
    let candidate = shop.pushed("allow", "beside", 2);
    change(&shop.policy, &candidate, "shadow").ok();
    let Shop { office, .. } = shop;
    office.server.stop();
    let server = Server::start(&office.home);
    let admin = office.admin.at(&server.url);
    assert_eq!(evaluated(&office.requester.at(&server.url)).ok()["rule"], "kept");
    let slots = admin.get("/api/v1/modules").ok()["slots"].clone();
    let policy = slots.as_array().unwrap().iter().find(|slot| slot["slot"] == "policy").unwrap();
    assert_eq!(policy["shadow"], candidate);
    assert_eq!(policy["failing"], Value::Null);
}

#[test]
fn versions_only_go_up_and_a_rollback_keeps_the_highest() {
    let shop = Shop::new();
    let four = shop.active("allow", "four", 4);
    let five = shop.active("allow", "five", 5);
    let three = shop.pushed("allow", "three", 3);
    change(&shop.policy, &three, "activate").refused("version-not-newer");
    change(&shop.policy, &four, "activate").refused("version-not-newer");
    assert_eq!(change(&shop.policy, &five, "activate").ok()["active"], five, "already active");
    let why = json!({ "reason": "five allows too much" });
    let slot = roll_back(&shop.policy, "policy", &why).ok();
    assert_eq!((&slot["active"], &slot["highest_version"]), (&json!(four), &json!(5)));
    assert_eq!(shop.rule(), "four");
    change(&shop.policy, &five, "activate").refused("version-not-newer");
    let back = json!({ "reason": "five was right", "to": five });
    assert_eq!(roll_back(&shop.policy, "policy", &back).ok()["active"], five);
    let never = json!({ "reason": "three", "to": three });
    roll_back(&shop.policy, "policy", &never).refused("not-found");
    let six = shop.active("allow", "six", 6);
    assert_eq!(shop.slot("policy")["active"], six);
    let history = shop.policy.get(&format!("/api/v1/modules/{four}")).ok()["history"].clone();
    assert_eq!(history[1]["reason"], "five allows too much");
    assert_eq!(history[1]["by"], "policy@company.com");
    let page = shop.office.admin.get("/api/v1/audit?limit=200").ok().to_string();
    assert!(page.contains("five allows too much"), "{page}");
}

#[test]
fn a_rollback_needs_a_reason_and_an_earlier_module() {
    let shop = Shop::new();
    let why = json!({ "reason": "nothing is there" });
    roll_back(&shop.policy, "policy", &why).refused("not-found");
    let only = shop.active("allow", "only", 1);
    roll_back(&shop.policy, "policy", &why).refused("not-found");
    for (body, code) in [
        (json!({}), "request-invalid"),
        (json!({ "reason": " " }), "request-invalid"),
        (json!({ "reason": "x".repeat(4097) }), "limit-exceeded"),
        (json!({ "reason": "x", "to": "short" }), "not-found"),
        (json!({ "reason": "x", "to": "0".repeat(64) }), "not-found"),
        (json!({ "reason": "x", "to": only }), "request-invalid"),
        (json!({ "reason": "x", "more": 1 }), "request-invalid"),
    ] {
        roll_back(&shop.policy, "policy", &body).refused(code);
    }
    roll_back(&shop.policy, "log", &why).refused("not-found");
    assert_eq!(shop.rule(), "only");
}

#[test]
fn only_the_role_of_a_slot_changes_it() {
    let shop = Shop::new();
    shop.pin("root", "verifier");
    let wasm = Core::deciding("allow", "first").component();
    let manifest = shop.signed(&wasm, "policy", "rules", 1, "team");
    let admin = &shop.office.admin;
    push(admin, &manifest, &wasm).refused("forbidden");
    let digest = shop.pushed("allow", "first", 1);
    for what in ["activate", "shadow", "remove"] {
        change(admin, &digest, what).refused("forbidden");
    }
    roll_back(admin, "policy", &json!({ "reason": "x" })).refused("forbidden");
    admin.post("/api/v1/modules/policy/unshadow", &json!({})).refused("forbidden");
    let verifier = shop.signed(VERIFIER, "verifier", "newer", 1, "root");
    push(&shop.policy, &verifier, VERIFIER).refused("forbidden");
    roll_back(&shop.policy, "verifier", &json!({ "reason": "x" })).refused("forbidden");
    for role in ["requester", "approver", "executor"] {
        let other = shop.office.token(&format!("{role}2@company.com"), &[role]);
        other.get("/api/v1/modules").refused("forbidden");
        push(&other, &manifest, &wasm).refused("forbidden");
    }
    let auditor = shop.office.token("auditor@company.com", &["auditor"]);
    assert_eq!(auditor.get(&format!("/api/v1/modules/{digest}")).ok()["key_id"], "team");
    push(&auditor, &manifest, &wasm).refused("forbidden");
}

#[test]
fn a_verifier_needs_every_vector_and_its_own_signer() {
    let shop = Shop::new();
    shop.pin("root", "verifier");
    let admin = &shop.office.admin;
    shop.office.requester.request();
    // The same verifier with a custom section that changes only its digest.
    let mut wasm = VERIFIER.to_vec();
    wasm.extend([0, 5, 4, b'n', b'o', b't', b'e']);
    std::fs::write(shop.team.path("verifier.wasm"), &wasm).unwrap();
    let by_team = shop.team.run(&[
        "module",
        "sign",
        "verifier.wasm",
        "--slot",
        "verifier",
        "--name",
        "newer",
        "--version",
        "1",
        "--key",
        "team",
        "--json",
    ]);
    assert_eq!(by_team.exits(3).json()["code"], "key-not-yours");
    let manifest = shop.signed(&wasm, "verifier", "newer", 1, "root");
    let pushed = push(admin, &manifest, &wasm).json(201);
    let newer = text(&pushed, "digest").to_owned();
    let slot = change(admin, &newer, "activate").ok();
    assert_eq!(slot["active"], newer);
    assert_eq!(shop.office.server.get("/readyz").ok()["verifier"], newer);
    assert_eq!(shop.office.requester.request()["verifier"], newer);
    change(admin, &newer, "shadow").refused("request-invalid");
    let slot = roll_back(admin, "verifier", &json!({ "reason": "as it was" })).ok();
    assert_eq!(slot["active"], VERIFIER_DIGEST);
    assert_eq!(shop.office.requester.request()["verifier"], VERIFIER_DIGEST);
    let again = json!({ "reason": "as it shall be", "to": newer });
    assert_eq!(roll_back(admin, "verifier", &again).ok()["active"], newer);
    let Shop { office, .. } = shop;
    office.server.stop();
    let server = Server::start(&office.home);
    assert_eq!(server.get("/readyz").ok()["verifier"], newer);
}

#[test]
fn the_first_manifest_of_a_module_fixes_its_name_and_version() {
    let shop = Shop::new();
    shop.pin("other", "policy");
    let wasm = Core::deciding("allow", "first").component();
    let digest = shop.pushed("allow", "first", 1);
    assert_eq!(shop.push(&wasm, 1).ok()["digest"], digest, "again");
    let signed = |name: &str, version: u64, key: &str| {
        push(&shop.policy, &shop.signed(&wasm, "policy", name, version, key), &wasm)
    };
    signed("rules", 2, "team").refused("manifest-invalid");
    signed("others", 1, "team").refused("manifest-invalid");
    assert_eq!(signed("rules", 1, "other").ok()["key_id"], "other", "signed anew");
    let another = Core::deciding("allow", "another").component();
    shop.push(&another, 1).refused("version-not-newer");
    let manifest = shop.signed(&wasm, "policy", "rules", 1, "team");
    push(&shop.policy, &manifest, &another).refused("manifest-invalid");
}

#[test]
fn a_module_in_use_cannot_be_removed() {
    let shop = Shop::new();
    let first = shop.active("allow", "first", 1);
    let second = shop.active("allow", "second", 2);
    let third = shop.active("allow", "third", 3);
    let shadow = shop.pushed("deny", "shadow", 4);
    change(&shop.policy, &shadow, "shadow").ok();
    for needed in [&second, &third, &shadow] {
        change(&shop.policy, needed, "remove").refused("request-invalid");
    }
    assert_eq!(change(&shop.policy, &first, "remove").ok()["state"], "removed");
    shop.policy.get(&format!("/api/v1/modules/{first}")).refused("not-found");
    shop.policy.get(&format!("/api/v1/modules/{first}/wasm")).refused("not-found");
    change(&shop.policy, &first, "remove").refused("not-found");
    let gone = json!({ "reason": "x", "to": first });
    roll_back(&shop.policy, "policy", &gone).refused("not-found");
    shop.policy.post("/api/v1/modules/policy/unshadow", &json!({})).ok();
    change(&shop.policy, &shadow, "remove").ok();
    assert_eq!(shop.pushed("allow", "first", 1), first, "it may be pushed again");
    assert_eq!(roll_back(&shop.policy, "policy", &gone).ok()["active"], first);
}

#[test]
fn an_idempotent_repeat_changes_nothing() {
    let shop = Shop::new();
    let first = shop.pushed("allow", "first", 1);
    let path = format!("/api/v1/modules/{first}/activate");
    let answer = shop.policy.post_once(&path, "once", &json!({})).ok();
    let second = shop.active("allow", "second", 2);
    assert_eq!(shop.policy.post_once(&path, "once", &json!({})).ok(), answer);
    assert_eq!(shop.slot("policy")["active"], second);
    let path = "/api/v1/modules/policy/rollback";
    shop.policy.post_once(path, "back", &json!({ "reason": "a" })).ok();
    let other = json!({ "reason": "b" });
    shop.policy.post_once(path, "back", &other).refused("idempotency-key-reused");
}

#[test]
fn after_concurrent_activations_the_store_and_the_active_module_agree() {
    let shop = Shop::new();
    let digests: Vec<String> =
        (1..=6).map(|n| shop.pushed("allow", &format!("rule-{n}"), n)).collect();
    let ready = Barrier::new(digests.len());
    let answers: Vec<Answer> = thread::scope(|scope| {
        let activate = |digest: &String| {
            let (ready, client) = (&ready, &shop.policy);
            let digest = digest.clone();
            scope.spawn(move || {
                ready.wait();
                change(client, &digest, "activate")
            })
        };
        let running: Vec<_> = digests.iter().map(activate).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status)), "{answers:?}");
    let last = digests.last().unwrap();
    assert_eq!(
        shop.slot("policy")["active"],
        *last,
        "the highest version is active, whoever was first"
    );
    assert_eq!(shop.rule(), "rule-6");
}

#[test]
fn an_export_returns_the_pushed_bytes() {
    let shop = Shop::new();
    let wasm = Core::deciding("allow", "first").component();
    let pushed = shop.pushed("allow", "first", 1);
    let url = format!("{}/api/v1/modules/{pushed}/wasm", shop.office.server.url);
    let file = shop.office.home.path("out.wasm");
    let token = shop.policy.token().to_owned();
    let export = ["module", "export", &pushed[..12], "-o", "out.wasm"];
    let mut command = shop.office.home.signoff(&export);
    command.env("SIGNOFF_SERVER", &shop.office.server.url).env("SIGNOFF_TOKEN", token);
    let status = command.status().unwrap();
    assert!(status.success(), "{url}");
    assert_eq!(digest(&std::fs::read(file).unwrap()), digest(&wasm));
}

#[test]
fn a_shadow_records_its_verdict_and_decides_nothing() {
    let shop = Shop::new();
    shop.active("allow", "active", 1);
    let shadow = shop.pushed("deny", "shadow", 2);
    let slot = change(&shop.policy, &shadow, "shadow").ok();
    assert_eq!(slot["shadow"], shadow);
    assert_eq!(shop.rule(), "active");
    let flips = crate::support::until("the flip is kept", || {
        let page = shop.policy.get("/api/v1/modules/policy/flips").ok();
        (page["items"].as_array().unwrap().len() == 1).then_some(page)
    });
    assert_eq!(flips["shadow"], shadow);
    assert_eq!(flips["items"][0]["entry"]["event"]["shadow"]["decision"], "deny");
    assert_eq!(flips["items"][0]["entry"]["event"]["active"]["decision"], "allow");
    shop.policy.get("/api/v1/modules/verifier/flips").refused("not-found");
    shop.policy.get("/api/v1/modules/policy/flips?limit=0").refused("request-invalid");
    let slot = change(&shop.policy, &shadow, "activate").ok();
    assert_eq!((&slot["active"], &slot["shadow"]), (&json!(shadow), &Value::Null));
    change(&shop.policy, &shadow, "shadow").refused("request-invalid");
}

#[test]
fn a_slot_changes_while_a_push_compiles() {
    let shop = Shop::new();
    shop.active("allow", "first", 1);
    let second = shop.pushed("deny", "second", 2);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let mut slow = Core::deciding("deny", &format!("slow-{now}"));
    // Compiles slowly, and is in no cache.
    slow.more =
        "(func (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))".repeat(50_000);
    let slow = slow.component();
    // `module sign` would compile it and leave it in the cache.
    let manifest = shop.sealed(&slow, Slot::Policy, 3, "team");
    thread::scope(|scope| {
        let pushing = scope.spawn(|| push(&shop.policy, &manifest, &slow).json(201));
        until("it is compiled", || shop.office.server.compiles().then_some(()));
        change(&shop.policy, &second, "shadow").ok();
        pushing.join().unwrap();
    });
    let recorded = registry_entries(&shop.office.admin);
    let shadowed = ("module_shadowed".to_owned(), second);
    assert_eq!(
        recorded[recorded.len() - 2..],
        [shadowed, ("module_pushed".to_owned(), digest(&slow))]
    );
}
