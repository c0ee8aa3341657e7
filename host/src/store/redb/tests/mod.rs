//! Tests of the store in a file, and their shared fixtures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that fails says so by a panic"
)]

mod blobs;
mod changes;
mod consistency;
mod copy;
mod damage;
mod disk;
mod faults;
mod files;
mod formats;
mod lists;
mod log;

use std::path::Path;

use super::{CheckIntegrity, Examined, OpenMode, RedbStore};
use crate::id::ApprovalId;
use crate::store::{
    ANSWER_SECONDS, About, Answer, Base, Blob, Change, Commit, EntryInterpreter, Query, RowChange,
    RowKind, Scope, Status, Store, StoreError, Stored, Summary, Texts, Trust, Version, WithTexts,
};

const AUDIENCE: &str = "payments-test";

/// SplitMix64, a deterministic random number generator.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn id(&mut self) -> ApprovalId {
        ApprovalId::from_u128(u128::from(self.next()) << 64 | u128::from(self.next()))
    }
}

/// The id that ends in a number.
fn id(number: u64) -> ApprovalId {
    ApprovalId::from_u128(1 << 80 | u128::from(number))
}

fn summary(id: ApprovalId) -> Summary {
    Summary {
        id,
        status: Status::Pending,
        agent: "agent:deployer".to_owned(),
        action: "deploy.production".to_owned(),
        requested_at: 1_000,
        expires_at: 4_600,
        due_at: Some(4_600),
    }
}

fn texts(id: ApprovalId) -> Texts {
    Texts { context: format!("{{\"context\": \"{id}\"}}"), plan: None }
}

/// A request for an approval.
fn new(summary: Summary) -> Change {
    let base = Base::New(texts(summary.id));
    change(summary, base)
}

/// The next version of what is stored.
fn next(stored: &Stored, edit: impl FnOnce(&mut Summary)) -> Change {
    let mut summary = stored.summary.clone();
    edit(&mut summary);
    change(summary, Base::Entry(stored.entry))
}

fn change(summary: Summary, base: Base) -> Change {
    let id = summary.id;
    let record = record(id, summary.status);
    let event = format!("{{\"id\": \"{id}\"}}");
    let at = summary.requested_at;
    let about = About::approval(id);
    let approval = Some(Version { summary, record, base });
    let host = "{}".to_owned();
    Change {
        approval,
        removed: Vec::new(),
        forgotten: Vec::new(),
        rows: Vec::new(),
        blob: None,
        event,
        host,
        about,
        answer: None,
        at,
    }
}

/// A change without an approval.
fn note(number: u64, rows: &[RowChange]) -> Change {
    Change {
        approval: None,
        removed: Vec::new(),
        forgotten: Vec::new(),
        rows: rows.to_vec(),
        blob: None,
        event: format!("{{\"note\": {number}}}"),
        host: "{}".to_owned(),
        about: About::named("note", &number.to_string()),
        answer: None,
        at: 1_000,
    }
}

/// A version of one of the host's own rows.
fn row(kind: RowKind, id: &str, value: &str, prev: u64) -> RowChange {
    RowChange { kind, id: id.to_owned(), value: Some(value.to_owned()), prev }
}

fn record(id: ApprovalId, status: Status) -> String {
    format!("{{\"format\": 1, \"id\": \"{id}\", \"status\": \"{}\"}}", status.as_str())
}

/// The subject of an entry of these tests, by its text.
fn about(text: &str) -> Option<About> {
    let entry: serde_json::Value = serde_json::from_str(text).unwrap();
    let event = &entry["event"];
    match event["id"].as_str() {
        Some(id) => ApprovalId::parse(id).map(About::approval),
        None => Some(About::named("note", &event["note"].to_string())),
    }
}

/// As [`about`], for arbitrary texts.
fn about_any(text: &str) -> Option<About> {
    serde_json::from_str::<serde_json::Value>(text).ok().and_then(|_| about(text))
}

/// These tests' interpretation of their texts. Answers may have been deleted.
struct Known;

impl EntryInterpreter for Known {
    fn about(&self, entry: &str) -> Option<About> {
        about_any(entry)
    }

    fn keeps_bytes(&self, module: &str) -> bool {
        module == "kept"
    }

    fn answers_since(&self) -> u64 {
        u64::MAX
    }
}

/// Compares every table of a store with its log.
fn agrees(store: &RedbStore) -> Examined {
    let examined = store.examine(&Known).unwrap();
    assert_eq!(examined.differences, []);
    examined
}

fn answer(at: u64) -> Answer {
    Answer {
        request_digest: [7; 32],
        status: 201,
        body: format!("{{\"at\": {at}}}"),
        at,
        entry: None,
    }
}

/// The answer as it is read again, after the entry of this number has stored it.
fn stored_answer(at: u64, entry: u64) -> Answer {
    Answer { entry: Some(entry), ..answer(at) }
}

fn kept(entry: u64) -> Commit {
    Commit::Committed { entry }
}

async fn load(store: &RedbStore, id: ApprovalId) -> Stored {
    store.load(&id, WithTexts::No).await.unwrap().unwrap()
}

fn open(path: &Path, mode: OpenMode) -> Result<RedbStore, StoreError> {
    RedbStore::open(path, mode, CheckIntegrity::No, Trust::none())
}

fn create(path: &Path) -> RedbStore {
    open(path, OpenMode::Create { audience: AUDIENCE.to_owned() }).unwrap()
}

/// A store in a folder that is removed with it.
struct Fixture {
    store: RedbStore,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: create(&folder.path().join("store.redb")), folder }
    }

    /// Closes the store and opens it again.
    fn reopen(self) -> Self {
        drop(self.store);
        let store = open(&self.folder.path().join("store.redb"), OpenMode::Write).unwrap();
        Self { store, folder: self.folder }
    }
}

async fn list(store: &RedbStore, query: Query) -> Vec<ApprovalId> {
    let found = store.list(&query).await.unwrap();
    found.into_iter().map(|stored| stored.summary.id).collect()
}

fn scope(byte: u8) -> Scope {
    [byte; 32]
}
