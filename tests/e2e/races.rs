//! Concurrent calls: one wins, the others are refused with the code of the winner's change, and the
//! audit log has each change once.

use std::collections::HashMap;
use std::sync::Barrier;
use std::thread::{self, sleep};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{
    APPROVER, Answer, Server, ballot, claim_body, home_and_server, id, sign, text, until,
};

const ROUNDS: usize = 50;

/// Sends calls at the same time; returns their answers in the same order.
fn at_once(server: &Server, calls: &[(String, Value)]) -> Vec<Answer> {
    let start = Barrier::new(calls.len());
    let call = |(path, body): &(String, Value)| {
        let body = body.to_string();
        start.wait();
        server.post_text(path, body)
    };
    let call = &call;
    thread::scope(|scope| {
        let sent: Vec<_> = calls.iter().map(|one| scope.spawn(move || call(one))).collect();
        sent.into_iter().map(|handle| handle.join().unwrap()).collect()
    })
}

fn call(approval: &Value, operation: &str, body: Value) -> (String, Value) {
    (format!("/api/v1/approvals/{}/{operation}", id(approval)), body)
}

/// Returns the index of the only call that succeeded. All others must be refused with one of these
/// codes.
#[track_caller]
fn winner(answers: &[Answer], codes: &[&str]) -> usize {
    let won: Vec<usize> = (0..answers.len()).filter(|n| answers[*n].status == 200).collect();
    assert_eq!(won.len(), 1, "{} of {} won: {answers:?}", won.len(), answers.len());
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert!(codes.contains(&answer.code().as_str()), "{answer:?}");
    }
    won[0]
}

/// Checks that the audit entries of each approval form a chain: each starts at the status where the one
/// before ended, and none occurs twice.
#[track_caller]
fn assert_chains(server: &Server) -> HashMap<String, Vec<String>> {
    let mut status: HashMap<String, Value> = HashMap::new();
    let mut events: HashMap<String, Vec<String>> = HashMap::new();
    for entry in server.audit() {
        let (id, event) = (text(&entry, "approval_id"), text(&entry, "event"));
        let before = status.insert(id.to_owned(), entry["to"].clone()).unwrap_or(Value::Null);
        assert_eq!(entry["from"], before, "{entry}");
        let recorded = events.entry(id.to_owned()).or_default();
        assert!(!recorded.contains(&event.to_owned()), "`{event}` of {id} occurs twice");
        recorded.push(event.to_owned());
    }
    for (id, last) in &status {
        let shown = server.get(&format!("/api/v1/approvals/{id}")).ok();
        assert_eq!(shown["status"], *last, "the audit log and the approval agree");
    }
    events
}

#[test]
fn of_64_concurrent_claims_exactly_one_succeeds() {
    let (_home, server) = home_and_server();
    for round in 0..200 {
        let approval = server.approved();
        let calls: Vec<_> = (0..64).map(|_| call(&approval, "execute", claim_body())).collect();
        let answers = at_once(&server, &calls);
        let won = winner(&answers, &["already-executed"]);
        let execution = &answers[won].ok()["execution"];
        assert_eq!(server.show(&approval)["execution"], *execution, "round {round}");
    }
    let events = assert_chains(&server);
    assert_eq!(events.len(), 200);
    assert_eq!(server.audit().len(), 600, "request, decision and claim of each, and nothing else");
}

#[test]
fn concurrent_approve_and_reject_have_one_winner() {
    let (_home, server) = home_and_server();
    for _ in 0..ROUNDS {
        let approval = server.request();
        let decide = |decision, n: usize| {
            call(&approval, "approve", ballot(&approval, decision, &format!("user{n}@company.com")))
        };
        let calls: Vec<_> = (0..8).map(|n| decide(["approved", "rejected"][n % 2], n)).collect();
        let won = winner(&at_once(&server, &calls), &["already-decided"]);
        let shown = server.show(&approval);
        assert_eq!(shown["status"], ["approved", "rejected"][won % 2]);
        assert_eq!(shown["approver"], format!("user{won}@company.com"));
        assert_eq!(shown["ballots"].as_array().unwrap().len(), 1);
    }
    assert_chains(&server);
}

#[test]
fn concurrent_withdraw_and_claim_have_one_winner() {
    let (_home, server) = home_and_server();
    for _ in 0..ROUNDS {
        let approval = server.approved();
        let calls: Vec<_> = (0..8)
            .map(|n| match n % 2 {
                0 => call(&approval, "execute", claim_body()),
                _ => call(&approval, "withdraw", json!({})),
            })
            .collect();
        let answers = at_once(&server, &calls);
        let won = winner(&answers, &["already-executed", "not-approved", "already-decided"]);
        let (status, codes) = match won % 2 {
            0 => ("executed", ["already-executed", "already-executed"]),
            _ => ("withdrawn", ["not-approved", "already-decided"]),
        };
        assert_eq!(server.show(&approval)["status"], status);
        for (n, answer) in answers.iter().enumerate().filter(|(n, _)| *n != won) {
            answer.refused(codes[n % 2]);
        }
    }
    assert_chains(&server);
}

#[test]
fn concurrent_extend_and_approve_never_leave_a_ballot_for_another_expiry() {
    let (_home, server) = home_and_server();
    for _ in 0..ROUNDS {
        let approval = server.request_for(60);
        let answers = at_once(
            &server,
            &[
                call(&approval, "extend", json!({ "expires_in_seconds": 7_200 })),
                call(&approval, "approve", ballot(&approval, "approved", APPROVER)),
            ],
        );
        let won = winner(&answers, &["already-decided", "signature-invalid"]);
        answers[1 - won].refused(["signature-invalid", "already-decided"][won]);
        let shown = server.show(&approval);
        assert_eq!(shown["status"], ["pending", "approved"][won]);
    }
    assert_chains(&server);
}

#[test]
fn two_concurrent_outcomes_have_one_winner() {
    let (_home, server) = home_and_server();
    for _ in 0..ROUNDS {
        let approval = server.approved();
        let execution = server.claim(&approval).ok()["execution"]["id"].clone();
        let report = |outcome: &str| {
            call(&approval, "outcome", json!({ "execution_id": execution, "outcome": outcome }))
        };
        let answers = at_once(&server, &[report("succeeded"), report("failed")]);
        let won = winner(&answers, &["already-settled"]);
        let shown = server.show(&approval);
        assert_eq!(shown["execution"]["outcome"], ["succeeded", "failed"][won]);
    }
    assert_chains(&server);
}

#[test]
fn a_ballot_at_the_expiry_counts_fully_or_not_at_all() {
    let (_home, server) = home_and_server();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let approval = server.request_for(1);
                let body = json!({
                    "decision": "approved", "approver": APPROVER,
                    "signature": sign(&approval, "approved", APPROVER),
                });
                let mut counted = 0;
                let mut over = false;
                until("it is over", || {
                    let answer = server.act(&approval, "approve", &body);
                    match answer.status {
                        200 if over => panic!("the ballot counts after it was refused as expired"),
                        200 => counted += 1,
                        _ if answer.body.contains("\"already-decided\"") => {}
                        _ => {
                            answer.refused("expired");
                            over = true;
                        }
                    }
                    // Reads twice after the expiry, to notice a change back.
                    (over && server.show(&approval)["status"] == "expired").then_some(())
                });
                server.decide(&approval, "rejected", APPROVER).refused("expired");
                assert!(counted <= 1);
            });
        }
    });
    until("all expiries are stored", || {
        let expired = "signoff_approvals{status=\"expired\"} 20\n";
        server.get("/metrics").body.contains(expired).then_some(())
    });
    assert_chains(&server);
}

#[test]
fn a_claim_at_the_expiry_executes_or_expires_but_not_both() {
    let (_home, server) = home_and_server();
    thread::scope(|scope| {
        for n in 0..20 {
            let server = &server;
            scope.spawn(move || {
                let approval = server.request_for(3);
                let answer = server.decide(&approval, "approved", APPROVER);
                if answer.status != 200 {
                    answer.refused("expired"); // The machine is slow; the other threads race.
                    return;
                }
                // Around the expiry: for some threads a little earlier, for others a little later.
                let expires_at = text(&approval, "expires_at");
                let end = chrono::DateTime::parse_from_rfc3339(expires_at).unwrap();
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
                let left = end.timestamp_micros() + (n - 10) * 20_000 - now;
                sleep(Duration::from_micros(left.max(0) as u64));
                let calls: Vec<_> =
                    (0..4).map(|_| call(&approval, "execute", claim_body())).collect();
                let answers = at_once(server, &calls);
                match answers.iter().find(|answer| answer.status == 200) {
                    Some(_) => drop(winner(&answers, &["already-executed"])),
                    None => answers.iter().for_each(|answer| drop(answer.refused("expired"))),
                }
            });
        }
    });
    until("all others are stored as expired", || {
        let done = |entry: &&Value| {
            ["approval_claimed", "approval_expired"].contains(&text(entry, "event"))
        };
        (server.audit().iter().filter(done).count() == 20).then_some(())
    });
    for (id, events) in assert_chains(&server) {
        let ends = events.iter().filter(|e| e.ends_with("claimed") || e.ends_with("expired"));
        assert_eq!(ends.count(), 1, "{id}: {events:?}");
    }
}
