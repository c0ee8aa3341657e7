//! Concurrent readers and a writer: no row is mistaken for an edited one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::json;
use signoff::id::ApprovalId;
use signoff::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use signoff::store::{Query, RowKind, Store, StoreError, WithTexts};

use crate::support::{Answer, Home, Office, Ran, claim_body, id, request_body};

const READERS: usize = 64;
/// The number of changes that the writer makes.
const CHANGES: usize = 120;

#[test]
fn concurrent_readers_report_no_tampering() {
    let home = Home::new();
    home.run(&["key", "generate", "--use", "log"]).ok();
    let office = Office::of(home);
    let first = office.requester.request();
    let done = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    thread::scope(|scope| {
        let (done, reads, office, first) = (&done, &reads, &office, &first);
        scope.spawn(move || {
            let _done = Done(done);
            write(office);
        });
        for reader in 0..READERS {
            scope.spawn(move || {
                let path = format!("/api/v1/approvals/{}", id(first));
                let paths = [
                    path.clone(),
                    "/api/v1/approvals?limit=20".to_owned(),
                    "/api/v1/approvals?status=executed&limit=20".to_owned(),
                    "/api/v1/audit?limit=50".to_owned(),
                    "/api/v1/tokens".to_owned(),
                    format!("{path}/receipt"),
                ];
                let mut turn = reader;
                while !done.load(Ordering::Acquire) {
                    sound(&office.admin.get(&paths[turn % paths.len()]));
                    reads.fetch_add(1, Ordering::Relaxed);
                    turn += 1;
                }
            });
        }
        scope.spawn(move || read_the_file(&office.home, done, reads));
        scope.spawn(move || run_commands(&office.home, id(first), done));
    });
    let reads = reads.into_inner();
    println!("{reads} reads, no false alarm");
    assert!(reads > 1_000, "only {reads} reads were made");
    office.server.stop();
}

/// Ends the readers, even if the writer panics.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Makes requests, revises one approval repeatedly, and creates and revokes tokens.
fn write(office: &Office) {
    for turn in 0..CHANGES {
        let approval = office.requester.request_of(&request_body());
        match turn % 3 {
            0 => drop(office.requester.act(&approval, "withdraw", &json!({})).ok()),
            1 => drop(
                office.admin.act(&approval, "extend", &json!({ "expires_in_seconds": 7_200 })).ok(),
            ),
            _ => {
                office.executor.act(&approval, "execute", &claim_body()).refused("not-approved");
                let made = json!({ "subject": "guest", "roles": ["auditor"] });
                let made = office.admin.post("/api/v1/tokens", &made).json(201);
                let path = format!("/api/v1/tokens/{}/revoke", id(&made));
                office.admin.post(&path, &json!({})).ok();
            }
        }
    }
}

fn sound(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Reads the file through a separate handle, in another process than the server.
fn read_the_file(home: &Home, done: &AtomicBool, reads: &AtomicU64) {
    let mode = OpenMode::Read;
    let store = RedbStore::open(&home.store(), mode, CheckIntegrity::No, home.trust()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    while !done.load(Ordering::Acquire) {
        let read = runtime.block_on(read_all(&store));
        reads.fetch_add(read.unwrap(), Ordering::Relaxed);
    }
}

async fn read_all(store: &RedbStore) -> Result<u64, StoreError> {
    let mut reads = 0;
    let query = Query { limit: 50, ..Query::default() };
    let listed = store.list(&query).await?;
    let ids: Vec<ApprovalId> = listed.iter().map(|stored| stored.summary.id).collect();
    for id in ids {
        store.load(&id, WithTexts::Yes).await?.expect("it was listed");
        reads += 1;
    }
    for id in store.row_ids(RowKind::Token, "", 100).await? {
        store.row(RowKind::Token, &id).await?.expect("it was listed");
        reads += 1;
    }
    let size = store.head().await?.entries;
    store.entries(size.saturating_sub(20), 20).await?;
    Ok(reads)
}

/// Runs the commands that read a store while its server runs.
fn run_commands(home: &Home, id: &str, done: &AtomicBool) {
    while !done.load(Ordering::Acquire) {
        for arguments in [&["show", id][..], &["list"], &["stats"], &["doctor"]] {
            let Ran { code, out, err } = home.run(arguments);
            assert!(!out.contains("BAD ") && code == 0, "{arguments:?}: {out}{err}");
        }
    }
}
