//! A log that continues the honest one, well formed and with rebuilt tree and indexes, written by the
//! product itself without the log key: under the old head, under an unsigned one, and under one with a
//! foreign signature.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use signoff::identity::token::Token;
use signoff::log_key::{LogKey, LogSigner, origin};
use signoff::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use signoff::store::{
    About, Base, Change, Commit, LogKeys, RowChange, RowKind, Status, Store, StoreError, Trust,
    Version, WithTexts,
};
use signoff_core::log::checkpoint::Checkpoint;

use super::edits::number;
use super::scene::Scene;
use super::tables::{Contents, Table, Write, write};
use crate::support::{Home, id};

const HEAD: &[u8] = b"head";

/// A log key that is not in any keyring of the deployment.
pub struct Stranger(Arc<LogSigner>);

impl Stranger {
    pub fn new(audience: &str) -> Self {
        Self(Arc::new(LogSigner::new(audience, &[7; 32]).unwrap()))
    }
}

impl LogKeys for Stranger {
    fn trusted(&self, _: &str) -> Result<Vec<LogKey>, String> {
        Ok(vec![self.0.key().clone()])
    }

    fn signer(&self, _: &str) -> Result<Option<Arc<LogSigner>>, String> {
        Ok(Some(Arc::clone(&self.0)))
    }
}

/// Returns the head of a store, with and without its signature.
fn heads(rows: &Contents) -> (Vec<u8>, Vec<u8>) {
    let head = rows.row(Table::Meta, HEAD);
    let text = std::str::from_utf8(head).unwrap();
    let (unsigned, _) = text.split_once("\n\n").expect("a signature");
    (head.to_vec(), format!("{unsigned}\n").into_bytes())
}

fn head(value: &[u8]) -> Write {
    (Table::Meta, HEAD.to_vec(), Some(value.to_vec()))
}

/// Removes the signature from the head of a store.
pub fn unsign(path: &Path) {
    let (_, unsigned) = heads(&Contents::of(path));
    write(path, &[head(&unsigned)]);
}

/// Writes the head of the honest store.
pub fn with_old_head(path: &Path, scene: &Scene) {
    write(path, &[head(&heads(&scene.rows).0)]);
}

/// Continues the log of a store: every claimed approval is approved again, a revoked token is valid
/// again, a new token has every role, and a revoked key is active. Returns the new token.
pub fn go_on(path: &Path, trust: Trust, scene: &Scene) -> String {
    let store = RedbStore::open(path, OpenMode::Write, CheckIntegrity::No, trust).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let token = Token::generate();
    runtime.block_on(async {
        for name in ["claimed", "succeeded", "failed"] {
            approved_again(&store, scene, name).await;
        }
        for row in host_rows(&store, &token).await {
            keep(&store, note(vec![row])).await;
        }
    });
    store.close();
    token.expose().to_owned()
}

async fn keep(store: &RedbStore, change: Change) {
    let kept = store.commit(change).await.unwrap();
    assert!(matches!(kept, Commit::Committed { .. }), "{kept:?}");
}

/// Writes the approval of the older copy as the next version of the current one.
async fn approved_again(store: &RedbStore, scene: &Scene, name: &str) {
    let path = scene.home.path("older.redb");
    std::fs::write(&path, &scene.old).unwrap();
    let older = scene.open(&path).unwrap();
    let id = signoff::id::ApprovalId::parse(id(scene.approval(name))).unwrap();
    let before = older.load(&id, WithTexts::No).await.unwrap().unwrap();
    assert_eq!(before.summary.status, Status::Approved);
    let now = store.load(&id, WithTexts::No).await.unwrap().unwrap();
    let version =
        Version { summary: before.summary, record: before.record, base: Base::Entry(now.entry) };
    let event = json!({ "format": 1, "event": "approval_decided", "approval_id": id.to_string() });
    let about = About::approval(id);
    keep(
        store,
        Change { approval: Some(version), about, event: event.to_string(), ..note(vec![]) },
    )
    .await;
}

/// Returns rows of the host that give access to an intruder.
async fn host_rows(store: &RedbStore, token: &Token) -> Vec<RowChange> {
    let mut rows = Vec::new();
    let mut like = None;
    for token_id in store.row_ids(RowKind::Token, "", 100).await.unwrap() {
        let row = store.row(RowKind::Token, &token_id).await.unwrap().unwrap();
        let mut value: Value = serde_json::from_str(&row.value).unwrap();
        if !value["revoked_at"].is_null() {
            value["revoked_at"] = Value::Null;
            value["revoked_by"] = Value::Null;
            rows.push(change(RowKind::Token, &token_id, &value, row.entry));
            like = Some(value);
        }
    }
    let mut new = like.expect("a revoked token");
    let new_id = format!("tok_{:032x}", 1);
    new["id"] = json!(new_id);
    new["hash"] = json!(token.hash());
    new["roles"] = json!(["requester", "approver", "executor", "admin"]);
    rows.push(change(RowKind::Token, &new_id, &new, 0));
    let key = store.row(RowKind::Key, "carl").await.unwrap().unwrap();
    let mut value: Value = serde_json::from_str(&key.value).unwrap();
    value["status"] = json!("active");
    rows.push(change(RowKind::Key, "carl", &value, key.entry));
    rows
}

fn change(kind: RowKind, id: &str, value: &Value, prev: u64) -> RowChange {
    RowChange { kind, id: id.to_owned(), value: Some(value.to_string()), prev }
}

fn note(rows: Vec<RowChange>) -> Change {
    Change {
        removed: Vec::new(),
        forgotten: Vec::new(),
        approval: None,
        rows,
        blob: None,
        event: json!({ "event": "token_created", "token_id": "tok" }).to_string(),
        host: "{}".to_owned(),
        about: About::named("token", "tok"),
        answer: None,
        at: 0,
    }
}

/// Creates an empty store.
pub fn empty(path: &Path, audience: &str, trust: Trust) -> Result<(), StoreError> {
    let mode = OpenMode::Create { audience: audience.to_owned() };
    RedbStore::open(path, mode, CheckIntegrity::No, trust).map(drop)
}

/// Returns the edits that put the older log under the newer rows: head, entries, tree and index of
/// entries.
pub fn cut_back(scene: &Scene) -> Vec<Write> {
    let log = [Table::Entries, Table::Abouts, Table::Tree, Table::State];
    let mut writes = scene.old_rows.writes_from(&scene.rows, &log);
    writes.push(head(&heads(&scene.old_rows).0));
    writes
}

/// Returns a head over the same tree that an unknown key signed.
pub fn signed_by_a_stranger(scene: &Scene, stranger: &Stranger) -> Write {
    let (_, unsigned) = heads(&scene.rows);
    let text = String::from_utf8(unsigned).unwrap();
    head(stranger.0.sign(&Checkpoint::from_text(&text).unwrap()).as_bytes())
}

/// Returns the last entry of the log with another year.
pub fn last_entry_in(scene: &Scene, year: &str) -> Write {
    let entries = scene.rows.rows(Table::Entries);
    let (key, row) = entries.iter().max_by_key(|(key, _)| number(key)).unwrap();
    let text = std::str::from_utf8(&row[1..]).unwrap();
    let (before, after) = text.split_once(r#""at":""#).unwrap();
    let changed = format!(r#"{before}"at":"{year}{}"#, &after[4..]);
    (Table::Entries, key.clone(), Some([&[1], changed.as_bytes()].concat()))
}

/// Creates a store of another deployment with the same keyring, under the name of this one.
pub fn other_deployment(home: &Home, path: &Path, audience: &str) {
    empty(path, "other", home.trust()).unwrap();
    let rows = Contents::of(path);
    let text = String::from_utf8(heads(&rows).0).unwrap();
    assert!(text.starts_with(&origin("other")));
    write(path, &[(Table::Meta, b"audience".to_vec(), Some(audience.as_bytes().to_vec()))]);
}
