//! With a verifier that does not answer or a clock that is set back, nothing is decided.

use std::ops::Range;
use std::sync::Arc;

use serde_json::json;
use signoff::clock::{Clock, ManualClock, SystemClock};
use signoff::engine::{Allocation, Cache, VERIFIER, digest, verifier_core};
use signoff::verifier::Verifier;
use wasmparser::{ExternalKind, Parser, Payload};

use crate::support::{APPROVER, Client, Home, Inside, id};

/// `unreachable`
pub const TRAP: &[u8] = &[0x00];
/// `(loop (br 0))`, and an unreachable end.
const SPIN: &[u8] = &[0x03, 0x40, 0x0c, 0x00, 0x0b, 0x00];
/// `(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))`, then a trap.
const GROW: &[u8] = &[0x03, 0x40, 0x41, 0x10, 0x40, 0x00, 0x41, 0x7f, 0x47, 0x0d, 0x00, 0x0b, 0x00];

/// Returns the verifier with another body of one exported function.
pub fn with_body(export: &str, code: &[u8]) -> Vec<u8> {
    let core = verifier_core();
    let function = exported_function(core, export);
    let range = body_of(core, function);
    let start = core.as_ptr() as usize - VERIFIER.as_ptr() as usize;
    let mut wasm = VERIFIER.to_vec();
    let body = &mut wasm[start + range.start..start + range.end];
    let (end, room) = body.split_last_mut().unwrap();
    // After `unreachable` any operand is valid; `nop` fills the rest, and the last byte stays `end`.
    room.fill(0x01);
    room[..code.len()].copy_from_slice(code);
    assert_eq!(*end, 0x0b);
    wasm
}

fn payloads(wasm: &[u8]) -> impl Iterator<Item = Payload<'_>> {
    Parser::new(0).parse_all(wasm).map(|payload| payload.expect("valid wasm"))
}

fn exported_function(core: &[u8], name: &str) -> u32 {
    payloads(core)
        .filter_map(|payload| match payload {
            Payload::ExportSection(section) => Some(section),
            _ => None,
        })
        .flatten()
        .map(Result::unwrap)
        .find(|export| export.name == name && export.kind == ExternalKind::Func)
        .unwrap_or_else(|| panic!("no export `{name}`"))
        .index
}

/// Returns the range of a function's instructions. There are no imports, so the first body is function 0.
fn body_of(core: &[u8], function: u32) -> Range<usize> {
    let bodies = payloads(core).filter_map(|payload| match payload {
        Payload::CodeSectionEntry(body) => Some(body),
        _ => None,
    });
    let body = bodies.into_iter().nth(function as usize).unwrap();
    body.get_operators_reader().unwrap().original_position()..body.range().end
}

fn lifecycle(function: &str) -> String {
    format!("signoff:approval/lifecycle@0.1.0#{function}")
}

/// Prepares a store with one pending and one approved approval.
fn prepared(home: &Home) -> [serde_json::Value; 2] {
    let server = home.serve();
    let made = [server.request(), server.approved()];
    server.stop();
    made
}

#[test]
fn the_shipped_verifier_imports_nothing() {
    let (mut modules, mut depth) = (0, 0);
    for payload in payloads(VERIFIER) {
        match payload {
            // An inner component may import from the outer one.
            Payload::ComponentImportSection(section) if depth == 0 => {
                panic!("{} imports", section.count());
            }
            Payload::ImportSection(section) => assert_eq!(section.count(), 0),
            Payload::ModuleSection { .. } => {
                modules += 1;
                depth += 1;
            }
            Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    assert_eq!(modules, 1, "one core module that is not linked to others");
    let core = verifier_core();
    assert!(payloads(core).all(|payload| !matches!(payload, Payload::ImportSection(_))));
    for export in ["cabi_realloc", "signoff:approval/wire@0.1.0#call"] {
        exported_function(core, export);
    }
}

#[test]
fn a_module_that_is_not_a_verifier_does_not_load() {
    let importing = [
        0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00, // a component
        0x07, 0x05, 0x01, 0x40, 0x00, 0x01, 0x00, // (type (func))
        0x0a, 0x06, 0x01, 0x00, 0x01, b'x', 0x01, 0x00, // (import "x" (func (type 0)))
    ];
    let cases: [(&str, &[u8]); 6] = [
        ("nothing", b""),
        ("garbage", b"not wasm at all"),
        ("an empty component", &importing[..8]),
        ("a component that imports", &importing),
        ("a core module", verifier_core()),
        ("half a verifier", &VERIFIER[..VERIFIER.len() / 2]),
    ];
    for (what, wasm) in cases {
        let loaded = Verifier::load(wasm, &digest(wasm), Allocation::OnDemand, &Cache::none());
        assert!(loaded.is_err(), "{what}");
    }
}

#[test]
fn a_verifier_that_traps_decides_nothing() {
    let home = Home::new();
    let [pending, approved] = prepared(&home);
    for (function, code) in [("claim", TRAP), ("claim", SPIN), ("claim", GROW)] {
        let wasm = with_body(&lifecycle(function), code);
        let inside = Inside::start(&home, &wasm, Arc::new(SystemClock));
        let client = &inside.client;
        client.claim(&approved).refused("verifier-trapped");
        client.claim(&pending).refused("verifier-trapped");
        assert_eq!(client.show(&approved)["status"], "approved");
        assert!(client.get("/metrics").body.contains("_traps"), "traps are counted");
        // Another function of the same verifier still works, in a fresh instance.
        client.act(&approved, "verify", &json!({ "signature": approved["signature"] })).ok();
        assert_eq!(client.audit().len(), 3, "nothing was recorded");
        inside.stop();
    }
}

#[test]
fn each_function_that_traps_refuses_its_own_call() {
    let home = Home::new();
    let [pending, approved] = prepared(&home);
    let signature = json!({ "signature": approved["signature"] });
    let trapped = |function: &str, call: &dyn Fn(&Client)| {
        let wasm = with_body(&lifecycle(function), TRAP);
        let inside = Inside::start(&home, &wasm, Arc::new(SystemClock));
        call(&inside.client);
        assert_eq!(inside.client.audit().len(), 3, "nothing was recorded");
        inside.stop();
    };
    trapped("open", &|client| {
        let body = crate::support::request_body();
        client.post("/api/v1/approvals", &body).refused("verifier-trapped");
    });
    trapped("decide", &|client| {
        client.decide(&pending, "approved", APPROVER).refused("verifier-trapped");
    });
    trapped("check", &|client| {
        client.act(&approved, "verify", &signature).refused("verifier-trapped");
    });
    trapped("show", &|client| {
        client.get("/api/v1/approvals").refused("verifier-trapped");
        client.get(&format!("/api/v1/approvals/{}", id(&pending))).refused("verifier-trapped");
    });
    trapped("withdraw", &|client| {
        client.act(&approved, "withdraw", &json!({})).refused("verifier-trapped");
    });
}

#[test]
fn a_server_whose_verifier_traps_is_not_ready() {
    let home = Home::new();
    let inside = Inside::start(&home, &with_body("describe", TRAP), Arc::new(SystemClock));
    inside.client.get("/readyz").refused("verifier-trapped");
    assert_eq!(inside.client.get("/healthz").status, 200);
    inside.stop();
}

#[test]
fn a_clock_behind_the_store_stops_only_writes() {
    let home = Home::new();
    let now = SystemClock.now();
    let clock = Arc::new(ManualClock::at(now));
    let inside = Inside::start(&home, VERIFIER, Arc::clone(&clock) as Arc<dyn Clock>);
    let client = &inside.client;
    let approval = client.approved();
    clock.set(now - 60);
    client.assert_ready();
    client.request();
    clock.set(now - 61);
    client.get("/readyz").refused("clock-behind");
    let body = crate::support::request_body();
    client.post("/api/v1/approvals", &body).refused("clock-behind");
    client.claim(&approval).refused("clock-behind");
    assert_eq!(client.show(&approval)["status"], "approved");
    clock.set(now);
    client.claim(&approval).ok();
    inside.stop();
}

#[test]
fn an_expired_approval_stays_expired_when_the_clock_is_set_back() {
    let home = Home::new();
    let now = SystemClock.now();
    let clock = Arc::new(ManualClock::at(now));
    let inside = Inside::start(&home, VERIFIER, Arc::clone(&clock) as Arc<dyn Clock>);
    let client = &inside.client;
    let approval = client.request_for(30);
    clock.set(now + 29);
    assert_eq!(client.show(&approval)["status"], "pending");
    clock.set(now + 30);
    assert_eq!(client.show(&approval)["status"], "expired");
    client.decide(&approval, "approved", APPROVER).refused("expired");
    // An entry at this time makes it the earliest effective time.
    client.request();
    clock.set(now);
    assert_eq!(client.show(&approval)["status"], "expired");
    client.decide(&approval, "approved", APPROVER).refused("expired");
    inside.stop();
}
