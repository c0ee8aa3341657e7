//! `signoff doctor`: looks for what is wrong or weak, and says how to mend it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Value, json};

use super::transport::Target;
use super::{Exit, Global, exit::Failure, output};
use crate::engine::{Allocation, Cache, Verifier};
use crate::keys::{KeyDescription, KeyError, Keys};
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::store::{Store, StoreError};

/// What was looked at, and what was found.
struct Finding {
    what: &'static str,
    good: bool,
    found: String,
}

pub(super) fn run(global: &Global, target: &Target) -> Result<Exit, Failure> {
    let Target::Store(store) = target else {
        return Err(Failure::usage("doctor looks at this machine; it takes no --server"));
    };
    let loaded = Keys::load(&global.keyring());
    let findings: Vec<Finding> = [
        Some(keys(&loaded)),
        log_key(&loaded),
        Some(verifier()),
        Some(store_file(store)),
        Some(exposure(store)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let good = findings.iter().all(|finding| finding.good);
    if global.json {
        let items: Vec<Value> = findings
            .iter()
            .map(|f| json!({ "what": f.what, "good": f.good, "found": f.found }))
            .collect();
        output::line(&json!({ "good": good, "items": items }).to_string());
    } else {
        for finding in &findings {
            let mark = if finding.good { "ok " } else { "BAD" };
            output::line(&format!("{mark}  {:<9}{}", finding.what, finding.found));
        }
    }
    Ok(if good { Exit::Done } else { Exit::Failed })
}

impl Finding {
    fn of(what: &'static str, result: Result<String, String>) -> Self {
        let good = result.is_ok();
        let found = result.unwrap_or_else(|found| found);
        Self { what, good, found }
    }
}

fn keys(keys: &Result<Keys, KeyError>) -> Finding {
    let told = |key: KeyDescription| match key.status.as_str() {
        "active" => key.id,
        status => format!("{} ({status})", key.id),
    };
    let ids = |keys: &Keys| keys.described().into_iter().map(told).collect::<Vec<_>>().join(", ");
    Finding::of("keys", keys.as_ref().map(ids).map_err(ToString::to_string))
}

/// Without a `log` key all works, but nobody else can be shown that the audit log is whole.
fn log_key(keys: &Result<Keys, KeyError>) -> Option<Finding> {
    let found = match keys.as_ref().ok()?.log_key() {
        Some(key) => format!("{} signs the audit log's checkpoints", key.id()),
        None => {
            "none signs the audit log's checkpoints; `signoff key generate --use log` makes one"
                .to_owned()
        }
    };
    Some(Finding::of("log key", Ok(found)))
}

fn verifier() -> Finding {
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user());
    let answered = verifier.map_err(|e| format!("{e:#}")).and_then(|verifier| {
        let described = verifier.call(|i| Ok(Ok(i.exports.call_describe(&mut i.store)?)));
        described.map(|_| verifier.digest().to_owned()).map_err(|e| e.to_string())
    });
    Finding::of("verifier", answered)
}

fn store_file(path: &Path) -> Finding {
    Finding::of("store", examined(path).map_err(|e| e.to_string()))
}

/// Verifies every page where nobody writes; beside a server, that all tables agree.
fn examined(path: &Path) -> Result<String, StoreError> {
    let (store, note) = match RedbStore::open(path, OpenMode::Write, CheckIntegrity::Yes) {
        Err(StoreError::Held) => {
            let store = RedbStore::open(path, OpenMode::Read, CheckIntegrity::No)?;
            (store, ", while another process writes")
        }
        store => (store?, ""),
    };
    store.verify_consistency()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|e| StoreError::Io(e.to_string()))?;
    let head = runtime.block_on(store.head())?;
    let approvals: u64 = head.counts.iter().sum();
    Ok(format!(
        "{approvals} approvals and {} audit entries agree (audience {}{note})",
        head.entries, head.audience
    ))
}

fn exposure(path: &Path) -> Finding {
    let mode = path.metadata().map(|meta| meta.mode() & 0o777);
    Finding::of(
        "mode",
        match mode {
            Err(e) => Err(format!("{}: {e}", path.display())),
            Ok(mode) if mode & 0o077 == 0 => Ok(format!("{} is {mode:03o}", path.display())),
            Ok(mode) => Err(format!(
                "{} is {mode:03o}, others can read contexts; `chmod 600` mends it",
                path.display()
            )),
        },
    )
}
