//! A full disk: calls are refused with 503, and no acknowledged change is lost.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Home, SERVE, claim_body, id, serve_with_file_size, until};

fn large(n: usize) -> Value {
    json!({ "agent": "a", "action": "b", "context": { "n": n, "text": "x".repeat(500_000) } })
}

#[test]
fn a_full_disk_refuses_writes_and_loses_no_acknowledged_change() {
    let home = Home::new();
    let server = home.serve();
    let claimed = server.approved();
    let claimed = server.claim(&claimed).ok();
    server.stop();
    let kib = fs::metadata(home.store()).unwrap().len() / 1024;
    let server = serve_with_file_size(&home, kib + 4_096);
    let approved = server.approved();
    let mut kept = vec![];
    let refusal = until("the disk is full", || {
        let answer = server.post("/api/v1/approvals", &large(kept.len()));
        if answer.status == 201 {
            kept.push(answer.json(201));
            assert!(kept.len() < 1_000, "the file size limit has no effect");
            return None;
        }
        Some(answer)
    });
    refusal.refused("store-unavailable");
    assert!(!kept.is_empty());
    // From now on every write is refused, even a small one; reads still work.
    server.claim(&approved).refused("store-unavailable");
    server.act(&approved, "withdraw", &json!({})).refused("store-unavailable");
    let body = json!({ "agent": "a", "action": "b", "context": {} });
    server.post("/api/v1/approvals", &body).refused("store-unavailable");
    server.get("/readyz").refused("store-unavailable");
    assert_eq!(server.get("/healthz").status, 200);
    assert!(server.get("/metrics").body.contains("signoff_store_writable 0\n"));
    assert_eq!(server.show(&approved)["status"], "approved");
    server.stop();
    let server = home.serve();
    server.assert_ready();
    assert_eq!(server.show(&claimed)["execution"], claimed["execution"]);
    for approval in &kept {
        assert_eq!(server.show(approval), *approval);
    }
    let count = server.audit().len();
    assert_eq!(count, 3 + 2 + kept.len(), "one entry for each acknowledged change");
    let again = server.act(&approved, "execute", &claim_body()).ok();
    assert_eq!(id(&again), id(&approved));
    server.stop();
    home.run(&["doctor"]).ok();
}

#[test]
fn a_disk_without_space_for_a_store_leaves_no_partial_file() {
    let home = Home::new();
    let mut command = home.program("sh");
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_signoff")]).args(SERVE);
    let ran = crate::support::Ran::of(&mut command).exits(1);
    assert!(ran.err.starts_with("signoff: ") && !ran.err.contains("panicked"), "{ran:?}");
    assert!(!home.store().exists());
    let left: Vec<_> = fs::read_dir(home.path(".")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    home.serve().assert_ready();
}
