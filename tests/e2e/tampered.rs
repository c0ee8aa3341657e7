//! An attacker changes what was approved. With write access to the store's file alone the attacker has no
//! effect, because the row differs from the log (`store_edits` has every such edit). With the log key too
//! the attacker can forge the log; changes of anything that a signature covers are refused even then.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    APPROVER, Home, KeyV2, Ran, SERVE, Server, ballot, change_entry, change_record, claim_body,
    edit_record, id, record, remove_entry, request_body, text,
};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";

/// A store with one approval, and the keys of two people in its keyring.
struct Scene {
    home: Home,
    approval: Value,
}

impl Scene {
    /// Makes a request with this requirement, which Ann approves.
    fn new(requirement: Value) -> Self {
        let home = Home::new();
        for (id, approver) in [("ann", ANN), ("bob", BOB)] {
            home.run(&["key", "generate", "--id", id, "--approver", approver]).ok();
        }
        home.bystander("eve", &["sre", "security"]);
        home.run(&["key", "generate", "--use", "log"]).ok();
        let ann = KeyV2::of(&home, "ann");
        let server = home.serve();
        let mut body = request_body();
        body["requirement"] = requirement;
        let approval = server.request_of(&body);
        let mut ballot = ann.ballot(&approval, "approved");
        ballot["comment"] = json!("looks safe");
        ballot["signature"] = json!(ann.sign(&approval, "approved", "looks safe"));
        server.act(&approval, "approve", &ballot).ok();
        server.stop();
        Self { home, approval }
    }

    /// Claims the stored approval: as requested, as the record now reads, and with another context.
    /// Returns the codes.
    fn claims(&self) -> Vec<String> {
        let stored = record(&self.home);
        let server = self.home.serve();
        let mut changed = claim_body();
        changed["agent"] = stored["agent"].clone();
        changed["action"] = stored["action"].clone();
        let mut other = changed.clone();
        other["context"] = other_context();
        let codes = [claim_body(), changed, other].map(|body| {
            let answer = server.act(&self.approval, "execute", &body);
            if answer.status == 200 { "claimed".to_owned() } else { answer.code() }
        });
        let shown = server.get(&format!("/api/v1/approvals/{}", id(&self.approval)));
        let runs = shown.status == 200 && !shown.ok()["execution"].is_null();
        assert_eq!(runs, codes.contains(&"claimed".to_owned()), "{shown:?}");
        server.stop();
        codes.to_vec()
    }
}

/// A context that no approver saw.
fn other_context() -> Value {
    json!({ "file": "/etc/shadow" })
}

/// The digest of [`other_context`].
fn other_digest() -> String {
    let home = Home::new();
    home.file("context.json", &other_context().to_string());
    home.run(&["hash", "context.json"]).ok().split(' ').next().unwrap().to_owned()
}

/// A change of a record, with its name.
type Change = (&'static str, Box<dyn Fn(&mut Value)>);

/// Changes of members that v2 covers and v1 does not.
fn of_the_request() -> Vec<Change> {
    let digest = other_digest();
    let set = |name: &'static str, value: Value| -> Change {
        (name, Box::new(move |record| record[name] = value.clone()))
    };
    vec![
        set("agent", json!("deployer")),
        set("action", json!("delete")),
        set("context_hash", json!(digest)),
        set("plan_hash", json!(other_digest())),
        set("reason", json!("routine")),
        set("reason", Value::Null),
        set("requested_by", json!("agent:somebody_else")),
        set("requested_at", json!("2020-01-01T00:00:00Z")),
        set("audience", json!("other")),
        set("policy", json!("0")),
        set("rule", json!("0")),
        ("ttl", Box::new(|record| record["requirement"]["ttl_seconds"] = json!(7_200))),
        ("comment", Box::new(|record| record["ballots"][0]["comment"] = json!("if it is dry"))),
        ("no comment", Box::new(|record| record["ballots"][0]["comment"] = Value::Null)),
        ("empty comment", Box::new(|record| record["ballots"][0]["comment"] = json!(""))),
    ]
}

/// Changes of members that every signature covers.
fn of_the_decision() -> Vec<Change> {
    vec![
        ("expires later", Box::new(|record| record["expires_at"] = json!("2099-01-01T00:00:00Z"))),
        ("approver", Box::new(|record| record["ballots"][0]["approver"] = json!(BOB))),
        ("no ballot", Box::new(|record| record["ballots"] = json!([]))),
        (
            "one ballot twice",
            Box::new(|record| {
                let again = record["ballots"][0].clone();
                record["ballots"].as_array_mut().unwrap().push(again);
            }),
        ),
        ("decision", Box::new(|record| record["ballots"][0]["decision"] = json!("rejected"))),
    ]
}

/// Checks that every claim is refused, of the original and of the changed request.
#[track_caller]
fn assert_nothing_runs(name: &str, scene: &Scene) {
    for code in scene.claims() {
        let refused = [
            "signature-invalid",
            "key-unknown",
            "key-not-yours",
            "key-revoked",
            "already-voted",
            "approver-not-allowed",
            "not-approved",
            "expired",
            "signature-malformed",
            "record-unreadable",
        ];
        assert!(refused.contains(&code.as_str()), "{name}: {code}");
    }
}

#[test]
fn under_v2_no_unsigned_change_executes() {
    let scene = Scene::new(json!({}));
    let honest = fs::read(scene.home.store()).unwrap();
    let of_a_key: [Change; 3] = [
        ("key", Box::new(|record| record["ballots"][0]["key_id"] = json!("bob"))),
        ("profile", Box::new(|record| record["ballots"][0]["profile"] = json!("v1"))),
        ("member", Box::new(|record| record["ballots"][0]["note"] = json!("v1"))),
    ];
    for (name, change) in of_the_request().into_iter().chain(of_the_decision()).chain(of_a_key) {
        change_record(&scene.home, &change);
        assert_nothing_runs(name, &scene);
        fs::write(scene.home.store(), &honest).unwrap();
    }
    // The unchanged record allows one claim.
    assert_eq!(scene.claims(), ["claimed", "already-executed", "already-executed"]);
}

#[test]
fn a_lowered_requirement_executes_nothing() {
    let scene = Scene::new(json!({ "threshold": 2, "groups": { "sre": 1 } }));
    let honest = fs::read(scene.home.store()).unwrap();
    let approve = |record: &mut Value| {
        record["status"] = json!("approved");
        record["decided_at"] = record["ballots"][0]["cast_at"].clone();
    };
    let changes: [Change; 4] = [
        ("status alone", Box::new(approve)),
        (
            "threshold",
            Box::new(move |record| {
                record["requirement"]["threshold"] = json!(1);
                record["requirement"]["groups"] = json!({});
                approve(record);
            }),
        ),
        (
            "threshold zero",
            Box::new(move |record| {
                record["requirement"] =
                    json!({ "ttl_seconds": 3600, "threshold": 0, "groups": {} });
                approve(record);
            }),
        ),
        (
            "a ballot made up",
            Box::new(move |record| {
                let mut second = record["ballots"][0].clone();
                second["approver"] = json!(BOB);
                second["key_id"] = json!("bob");
                record["ballots"].as_array_mut().unwrap().push(second);
                record["requirement"]["groups"] = json!({});
                approve(record);
            }),
        ),
    ];
    for (name, change) in changes {
        change_record(&scene.home, &change);
        assert_nothing_runs(name, &scene);
        fs::write(scene.home.store(), &honest).unwrap();
    }
    // Lowered before the second ballot, it is covered by the second signature and not by the first.
    change_record(&scene.home, |record| record["requirement"]["groups"] = json!({}));
    let server = scene.home.serve();
    let shown = server.show(&scene.approval);
    let signed = KeyV2::of(&scene.home, "bob").ballot(&shown, "approved");
    server.act(&scene.approval, "approve", &signed).ok();
    server.claim(&scene.approval).refused("signature-invalid");
}

/// v1 covers id, decision, approver and expiry, and nothing else, as the README says.
#[test]
fn under_v1_changes_outside_the_signature_are_not_detected() {
    let home = Home::new();
    let server = home.serve();
    let approval = server.request();
    let mut cast = ballot(&approval, "approved", APPROVER);
    cast["comment"] = json!("looks safe");
    server.act(&approval, "approve", &cast).ok();
    server.stop();
    let honest = fs::read(home.store()).unwrap();
    let scene = Scene { home, approval };
    for (name, change) in of_the_decision() {
        change_record(&scene.home, &change);
        assert_nothing_runs(name, &scene);
        fs::write(scene.home.store(), &honest).unwrap();
    }
    for (name, change) in of_the_request() {
        change_record(&scene.home, &change);
        let codes = scene.claims();
        // A context that no approver saw can be claimed, because its digest was stored.
        let caught = name == "plan_hash";
        assert_eq!(codes.contains(&"claimed".to_owned()), !caught, "{name}: {codes:?}");
        fs::write(scene.home.store(), &honest).unwrap();
    }
}

/// A record that is restored to before its claim has valid signatures; only the log detects it.
#[test]
fn a_restored_record_is_refused() {
    let scene = Scene::new(json!({}));
    let before = record(&scene.home);
    let server = scene.home.serve();
    server.approved();
    server.claim(&scene.approval).ok();
    server.stop();
    scene.home.run(&["doctor"]).ok();
    edit_record(&scene.home, |record| *record = before.clone());
    let doctor = scene.home.run(&["doctor"]).exits(1);
    let named = format!("approvals {}: not the version that the log has", id(&scene.approval));
    assert!(doctor.out.contains(&named), "{doctor:?}");
    let server = scene.home.serve();
    for _ in 0..2 {
        server.claim(&scene.approval).refused("store-tampered");
    }
    let events = server.events_of(&scene.approval);
    assert_eq!(events.iter().filter(|event| *event == "approval_claimed").count(), 1);
}

#[test]
fn doctor_and_exports_detect_an_edited_audit_log() {
    let scene = Scene::new(json!({}));
    let server = scene.home.serve();
    let entries = server.get("/api/v1/audit").ok();
    let decided = entries["items"].as_array().unwrap().iter();
    let mut decided = decided;
    let decided = decided.find(|item| item["entry"]["event"]["event"] == "approval_decided");
    let number = decided.unwrap()["number"].as_u64().unwrap();
    server.stop();
    let honest = fs::read(scene.home.store()).unwrap();
    let export = |name: &str| scene.home.run(&["audit", "export", "--output", name]);
    export("honest.log").ok();
    let edits: [(&str, &dyn Fn()); 3] = [
        ("another approver", &|| change_entry(&scene.home, number, ANN, BOB)),
        ("a space", &|| change_entry(&scene.home, number, "\"event\":", "\"event\": ")),
        ("no entry", &|| remove_entry(&scene.home, number)),
    ];
    for (name, edit) in edits {
        edit();
        let doctor = scene.home.run(&["doctor"]).exits(1);
        assert!(doctor.out.contains("BAD   store"), "{name}: {doctor:?}");
        let ran = export("edited.log").exits(1);
        assert!(ran.err.contains("store is not authentic"), "{name}: {ran:?}");
        assert!(!scene.home.path("edited.log").exists(), "{name}");
        fs::write(scene.home.store(), &honest).unwrap();
    }
    scene.home.run(&["doctor"]).ok();
}

#[test]
fn an_edited_export_is_detected_offline() {
    let scene = Scene::new(json!({}));
    let home = &scene.home;
    let log_key = home.run(&["audit", "key"]).ok();
    home.run(&["audit", "export", "--output", "audit.log"]).ok();
    let verify = |file: &str| home.run(&["audit", "verify", file, "--trust", &log_key]);
    verify("audit.log").ok();
    let honest = fs::read_to_string(home.path("audit.log")).unwrap();
    let lines: Vec<&str> = honest.lines().collect();
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let last_of_all = lines.len() - 1;
    let entry = lines.iter().position(|line| line.contains("approval_decided")).unwrap();
    let mut edits = vec![
        ("an approver", honest.replacen(ANN, BOB, 1)),
        ("a key", honest.replacen("\"key_id\":\"ann\"", "\"key_id\":\"bob\"", 1)),
        ("cut short", joined(&lines[..last_of_all])),
        ("nothing", String::new()),
    ];
    let mut without = lines.clone();
    without.remove(entry);
    edits.push(("an entry less", joined(&without)));
    let mut twice = lines.clone();
    twice.insert(entry, lines[entry]);
    edits.push(("an entry twice", joined(&twice)));
    let mut swapped = lines.clone();
    swapped.swap(entry, entry - 1);
    edits.push(("another order", joined(&swapped)));
    for (name, text) in edits {
        assert_ne!(text, honest, "{name}");
        home.file("edited.log", &text);
        let ran = verify("edited.log").exits(1);
        assert!(ran.err.contains("does not verify"), "{name}: {ran:?}");
        // Without a trusted key too: the export is inconsistent.
        home.run(&["audit", "verify", "edited.log"]).exits(1);
    }
}

#[test]
fn only_an_edited_row_is_refused() {
    let scene = Scene::new(json!({}));
    edit_record(&scene.home, |record| record["reason"] = json!("routine"));
    let server = scene.home.serve();
    let other = server.approved();
    for _ in 0..2 {
        server.claim(&scene.approval).refused("store-tampered");
        server.get(&format!("/api/v1/approvals/{}", id(&scene.approval))).refused("store-tampered");
        let sent = json!({ "signature": "00" });
        server.act(&scene.approval, "verify", &sent).refused("store-tampered");
        let body = json!({ "expires_in_seconds": 7_200 });
        server.act(&scene.approval, "extend", &body).refused("store-tampered");
    }
    server.claim(&other).ok();
    server.assert_ready();
}

#[test]
fn a_server_with_a_forged_log_keeps_refusing_the_changed_approval() {
    let scene = Scene::new(json!({}));
    change_record(&scene.home, |record| record["agent"] = json!("deployer"));
    let server = Server::start_with(scene.home.signoff(SERVE));
    for _ in 0..3 {
        server.claim(&scene.approval).refused("signature-invalid");
    }
    let sent = json!({ "signature": server.show(&scene.approval)["ballots"][0]["signature"] });
    let verdict = server.act(&scene.approval, "verify", &sent).ok();
    assert_eq!((&verdict["valid"], &verdict["signature_valid"]), (&json!(false), &json!(false)));
    assert_eq!(text(&server.show(&scene.approval), "status"), "approved");
    // Its receipt does not verify.
    let ran = scene.home.run(&["receipt", "export", id(&scene.approval), "--server", &server.url]);
    let Ran { code, err, .. } = ran;
    assert!(code == 1 && err.contains("does not verify"), "{code}: {err}");
    // Other approvals are not affected.
    server.approved();
    server.assert_ready();
}
