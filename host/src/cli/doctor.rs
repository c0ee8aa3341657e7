//! `signoff doctor`: looks for what is wrong or weak, and says how to mend it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Value, json};

use super::transport::Target;
use super::{Exit, Global, exit::Failure, output};
use crate::engine::{Allocation, Cache, Verifier};
use crate::keys::Keys;
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
    let findings = [keys(global), verifier(), store_file(store), exposure(store)];
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

fn keys(global: &Global) -> Finding {
    let keys = Keys::load(&global.keyring()).map_err(|e| e.to_string());
    Finding::of("keys", keys.map(|keys| keys.ids().collect::<Vec<_>>().join(", ")))
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
