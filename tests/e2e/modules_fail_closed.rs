//! A module that no longer counts is inactive, and no other module takes its place.

use redb::{Database, ReadableTable, TableDefinition};
use serde_json::json;
use signoff::engine::{VERIFIER, VERIFIER_DIGEST, digest};
use signoff::modules::Slot;

use crate::fail_closed::{TRAP, with_body};
use crate::support::modules::{Core, Shop, change, evaluated, push, roll_back};
use crate::support::{Home, Office, Server, request_body, until};

const ROWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rows");
const BLOBS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("blobs");

/// Edits one of the host's own rows of a stopped store; an empty text removes it.
fn edit_row(home: &Home, key: &str, edit: impl FnOnce(String) -> String) {
    let database = Database::open(home.store()).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        let row = rows.get(key).unwrap().expect("a row").value().to_vec();
        let text = edit(String::from_utf8(row[1..].to_vec()).unwrap());
        match text.is_empty() {
            true => drop(rows.remove(key).unwrap()),
            false => drop(rows.insert(key, [&[1], text.as_bytes()].concat().as_slice()).unwrap()),
        }
    }
    txn.commit().unwrap();
}

/// Restarts the office on its current store.
fn restarted(office: Office) -> Office {
    let Office { server, admin, requester, executor, home } = office;
    drop(server);
    let server = Server::start(&home);
    let [admin, requester, executor] =
        [admin, requester, executor].map(|client| client.at(&server.url));
    Office { server, admin, requester, executor, home }
}

/// Checks that evaluations and requests are refused, and that the server is not ready.
#[track_caller]
fn assert_refuses_all(office: &Office) {
    nothing_goes_for(office, "policy-trapped");
}

/// Like [`assert_refuses_all`], with another code.
#[track_caller]
fn nothing_goes_for(office: &Office, code: &str) {
    evaluated(&office.requester).refused(code);
    office.requester.post("/api/v1/approvals", &request_body()).refused(code);
    office.server.get("/readyz").refused(code);
}

#[test]
fn a_revoked_signer_deactivates_its_modules_at_once_and_after_a_restart() {
    let shop = Shop::new();
    shop.pin("second", "policy");
    let wasm = Core::deciding("deny", "first").component();
    let first = shop.active("deny", "first", 1);
    shop.office.home.run(&["key", "revoke", "--yes", "team"]).ok();
    assert_refuses_all(&shop.office);
    let slot = shop.slot("policy");
    assert_eq!(slot["active"], first);
    assert!(slot["failing"].as_str().unwrap().contains("key-revoked"), "{slot}");
    for what in ["activate", "shadow"] {
        change(&shop.policy, &first, what).refused("key-revoked");
    }
    shop.push(&wasm, 1).refused("key-revoked");
    let Shop { office, policy, team } = shop;
    let office = restarted(office);
    assert_refuses_all(&office);
    let policy = policy.at(&office.server.url);
    // The same module, signed by another key, is active again.
    let shop = Shop { office, policy, team };
    let manifest = shop.signed(&wasm, "policy", "rules", 1, "second");
    push(&shop.policy, &manifest, &wasm).ok();
    assert_eq!(shop.rule(), "first");
    assert_eq!(shop.slot("policy")["failing"], serde_json::Value::Null);
}

#[test]
fn a_signer_that_lost_its_slot_no_longer_counts() {
    let shop = Shop::new();
    shop.active("allow", "first", 1);
    let mut entry =
        shop.team.run(&["--json", "key", "show", "team"]).exits(0).json()["entry"].clone();
    entry["groups"] = serde_json::json!([]);
    let entry = entry.to_string();
    let import = |slot: &str| {
        let import = ["key", "import", &entry, "--use", "module", "--slot", slot, "--yes"];
        shop.office.home.run(&import).ok();
    };
    import("verifier");
    assert_refuses_all(&shop.office);
    assert!(shop.slot("policy")["failing"].as_str().unwrap().contains("key-not-yours"));
    import("policy");
    assert_eq!(shop.rule(), "first");
}

#[test]
fn edited_rows_deactivate_the_slot() {
    for (what, code, message) in [
        ("an older module", "store-tampered", "slot/policy"),
        ("no module", "store-tampered", "slot/policy"),
        ("no row", "store-tampered", "slot/policy"),
        ("other bytes", "policy-trapped", "have another digest"),
        ("another manifest", "policy-trapped", "module/"),
    ] {
        let shop = Shop::new();
        let older = shop.active("allow", "older", 1);
        let newer = shop.active("deny", "newer", 2);
        let Shop { office, .. } = shop;
        let Office { server, admin, requester, executor, home } = office;
        server.stop();
        let row = |digest: &str| format!("module/{digest}");
        match what {
            "an older module" => {
                edit_row(&home, "slot/policy", |row| row.replacen(&newer, &older, 1));
            }
            "no module" => edit_row(&home, "slot/policy", |row| {
                row.replacen(&format!("\"active\":\"{newer}\""), "\"active\":null", 1)
            }),
            "no row" => edit_row(&home, "slot/policy", |_| String::new()),
            "other bytes" => {
                let database = Database::open(home.store()).unwrap();
                let txn = database.begin_write().unwrap();
                {
                    let mut blobs = txn.open_table(BLOBS).unwrap();
                    let key =
                        |digest: &str| <[u8; 32]>::try_from(hex::decode(digest).unwrap()).unwrap();
                    let old = blobs.get(&key(&older)).unwrap().unwrap().value().to_vec();
                    blobs.insert(&key(&newer), old.as_slice()).unwrap();
                }
                txn.commit().unwrap();
            }
            _ => {
                let mut other = String::new();
                edit_row(&home, &row(&older), |row| {
                    other.clone_from(&row);
                    row
                });
                edit_row(&home, &row(&newer), |_| other);
            }
        }
        let server = Server::start(&home);
        let [admin, requester, executor] =
            [admin, requester, executor].map(|client| client.at(&server.url));
        let office = Office { server, admin, requester, executor, home };
        nothing_goes_for(&office, code);
        let refused = evaluated(&office.requester);
        assert!(refused.body.contains(message), "{what}: {refused:?}");
    }
}

#[test]
fn a_rollback_replaces_an_inactive_policy() {
    let shop = Shop::new();
    shop.pin("second", "policy");
    let wasm = Core::deciding("allow", "first").component();
    let manifest = shop.signed(&wasm, "policy", "rules", 1, "second");
    push(&shop.policy, &manifest, &wasm).json(201);
    let first = signoff::engine::digest(&wasm);
    change(&shop.policy, &first, "activate").ok();
    shop.active("deny", "second", 2);
    shop.office.home.run(&["key", "revoke", "--yes", "team"]).ok();
    assert_refuses_all(&shop.office);
    let why = json!({ "reason": "its key was stolen" });
    assert_eq!(roll_back(&shop.policy, "policy", &why).ok()["active"], first);
    until("it is active", || (shop.rule() == "first").then_some(()));
}

/// A damaged row of the active module is repaired by a rollback and by an activation, and stands in the
/// way of no push.
#[test]
fn a_damaged_row_of_the_active_module_is_repaired() {
    let shop = Shop::new();
    let older = shop.active("allow", "older", 1);
    let newer = shop.active("deny", "newer", 2);
    let third = shop.pushed("allow", "third", 3);
    let Shop { office, policy, team } = shop;
    let Office { server, admin, requester, executor, home } = office;
    server.stop();
    edit_row(&home, &format!("module/{newer}"), |row| row.replacen("team", "them", 1));
    let server = Server::start(&home);
    let [admin, requester, executor] =
        [admin, requester, executor].map(|client| client.at(&server.url));
    let policy = policy.at(&server.url);
    let office = Office { server, admin, requester, executor, home };
    let shop = Shop { office, policy, team };
    assert_refuses_all(&shop.office);
    let list = shop.policy.get("/api/v1/modules").ok();
    let items = list["items"].as_array().unwrap();
    let damaged = items.iter().find(|item| item["digest"] == *newer).unwrap();
    assert_eq!((&damaged["state"], &damaged["slot"]), (&json!("damaged"), &json!("policy")));
    let why = json!({ "reason": "its row was damaged" });
    assert_eq!(roll_back(&shop.policy, "policy", &why).ok()["active"], older);
    assert_eq!(shop.rule(), "older");
    change(&shop.policy, &third, "activate").ok();
    assert_eq!(shop.rule(), "third");
    shop.pushed("deny", "fourth", 4);
    change(&shop.policy, &newer, "activate").refused("store-tampered");
}

/// Returns the verifier with a custom section that changes only its digest.
fn noted(verifier: &[u8]) -> Vec<u8> {
    [verifier, &[0, 5, 4, b'n', b'o', b't', b'e']].concat()
}

#[test]
fn a_verifier_that_fails_a_vector_is_refused() {
    let shop = Shop::new();
    shop.pin("root", "verifier");
    let admin = &shop.office.admin;
    // `(i32.const 0)` as the address of the answer, which is invalid.
    let nowhere = &[0x41, 0x00, 0x0f];
    for (n, (export, body)) in [
        ("signoff:approval/wire@0.1.0#call", TRAP),
        ("signoff:approval/wire@0.1.0#call", nowhere),
        ("describe", TRAP),
    ]
    .into_iter()
    .enumerate()
    {
        let wasm = with_body(export, body);
        let manifest = shop.sealed(&wasm, Slot::Verifier, n as u64 + 1, "root");
        push(admin, &manifest, &wasm).refused("module-invalid");
        change(admin, &digest(&wasm), "activate").refused("not-found");
    }
    assert_eq!(shop.office.server.get("/readyz").ok()["verifier"], VERIFIER_DIGEST);
}

#[test]
fn a_verifier_that_cannot_show_a_stored_approval_is_refused() {
    let shop = Shop::new();
    shop.pin("root", "verifier");
    shop.office.requester.request();
    // It passes every vector on `wire`, and traps in the typed interface.
    let wasm = with_body("signoff:approval/lifecycle@0.1.0#show", TRAP);
    let manifest = shop.sealed(&wasm, Slot::Verifier, 1, "root");
    let refused = push(&shop.office.admin, &manifest, &wasm).refused("module-invalid");
    assert!(refused["detail"].as_str().unwrap().contains("it does not show appr_"), "{refused}");
}

#[test]
fn a_verifier_whose_signer_is_revoked_decides_nothing_until_it_is_rolled_back() {
    let shop = Shop::new();
    shop.pin("root", "verifier");
    let admin = &shop.office.admin;
    let wasm = noted(VERIFIER);
    let manifest = shop.sealed(&wasm, Slot::Verifier, 1, "root");
    push(admin, &manifest, &wasm).json(201);
    change(admin, &digest(&wasm), "activate").ok();
    let approval = shop.office.requester.request();
    shop.office.home.run(&["key", "revoke", "--yes", "root"]).ok();
    let path = format!("/api/v1/approvals/{}", crate::support::id(&approval));
    until("it answers nothing", || (shop.office.admin.get(&path).status == 503).then_some(()));
    let Shop { office, .. } = shop;
    let office = restarted(office);
    office.admin.get(&path).refused("verifier-trapped");
    office.requester.post("/api/v1/approvals", &request_body()).refused("verifier-trapped");
    let slot = roll_back(&office.admin, "verifier", &json!({ "reason": "its key is gone" })).ok();
    assert_eq!(slot["active"], VERIFIER_DIGEST);
    assert_eq!(office.admin.get(&path).ok()["verifier"], VERIFIER_DIGEST);
    let office = restarted(office);
    office.admin.get(&path).ok();
}
