//! Rows of pruned approvals and of erased texts that come back into the file.

use serde_json::json;

use super::tables::{Contents, Table, write};
use crate::support::{Home, id, request_body};

const TABLES: [Table; 7] = [
    Table::Approvals,
    Table::Texts,
    Table::Lists,
    Table::Due,
    Table::Answers,
    Table::AnswerTimes,
    Table::Meta,
];

/// Makes two withdrawn approvals; returns the store as it was then.
fn two(home: &Home) -> (Contents, Vec<serde_json::Value>) {
    let server = home.serve();
    let made = |key| {
        let approval = server.post_once("/api/v1/approvals", key, &request_body()).json(201);
        server.act(&approval, "withdraw", &json!({})).ok()
    };
    let made = vec![made("a"), made("b")];
    server.stop();
    (Contents::of(&home.store()), made)
}

#[test]
fn pruned_rows_that_come_back_are_tampered_and_change_nothing_else() {
    let home = Home::new();
    let (before, made) = two(&home);
    home.run(&["store", "prune", "--older-than", "0s"]).ok();
    let after = Contents::of(&home.store());
    assert!(after.rows(Table::Approvals).is_empty() && after.rows(Table::Texts).is_empty());
    assert!(after.rows(Table::Lists).is_empty() && after.rows(Table::Answers).is_empty());
    write(&home.store(), &before.writes_from(&after, &TABLES[..6]));
    let server = home.serve();
    for approval in &made {
        let path = format!("/api/v1/approvals/{}", id(approval));
        server.get(&path).refused("store-tampered");
        server.act(approval, "withdraw", &json!({})).refused("store-tampered");
        server.act(approval, "erase", &json!({})).refused("store-tampered");
    }
    server.claim(&server.approved()).ok();
    let stats = home.run(&["--server", &server.url, "--json", "stats"]).exits(0).json();
    assert_eq!(stats["total"], 1);
    let prunable = server.get("/api/v1/store/prunable?older_than_seconds=0").ok();
    assert_eq!(prunable["items"], json!([]));
    server.stop();
    let found = home.run(&["doctor"]).exits(1);
    for table in ["approvals", "answers"] {
        assert!(found.out.contains(&format!("{table} ")), "{table}: {found:?}");
    }
}

#[test]
fn erased_texts_that_come_back_are_named_and_not_shown() {
    let home = Home::new();
    let (before, made) = two(&home);
    home.run(&["store", "erase", id(&made[0]), id(&made[1])]).ok();
    let after = Contents::of(&home.store());
    assert!(after.rows(Table::Texts).is_empty());
    // The texts alone are ignored, and named.
    write(&home.store(), &before.writes_from(&after, &[Table::Texts]));
    let shown = home.run(&["--json", "show", id(&made[0])]).exits(0).json();
    assert_eq!(shown["context"], json!(null));
    assert!(home.run(&["doctor"]).exits(1).out.contains("texts "));
    // With their approvals they are another version.
    write(&home.store(), &before.writes_from(&after, &[Table::Approvals, Table::Texts]));
    let server = home.serve();
    let path = format!("/api/v1/approvals/{}", id(&made[0]));
    server.get(&path).refused("store-tampered");
}
