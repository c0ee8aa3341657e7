//! The trial of a verifier: it must pass every vector, read the record formats in use, and show
//! stored approvals as the active verifier does.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Modules;
use super::prepare::run_blocking;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::store::{Query, Stored, WithTexts};
use crate::verifier::{Approval, Verifier};

/// Maximum length of a description.
const DESCRIPTION_BYTES_MAX: usize = 64 << 10;
/// Time limit of all vectors: the verifier of this repository takes about a second.
const VECTORS_TIME_MAX: Duration = Duration::from_secs(60);
/// The newest approvals, which are compared even if they are finished.
const NEWEST: usize = 1_000;
/// Approvals per comparison.
const BATCH: usize = 500;

/// Runs the vectors, and checks that the candidate reads the formats of the active verifier.
///
/// Refusals: `module-invalid`.
pub(super) fn try_out(candidate: &Verifier, active: &Verifier) -> Result<(), Refusal> {
    let text = candidate.describe().map_err(|e| invalid(format!("its description: {e}")))?;
    let theirs = formats(&text)?;
    // A broken active verifier reads no format, and must be replaceable.
    if let Ok(text) = active.describe() {
        for format in formats(&text)? {
            if !theirs.contains(&format) {
                return Err(invalid(format!("it does not read records of format {format}")));
            }
        }
    }
    run_vectors(candidate)
}

fn formats(text: &str) -> Result<Vec<u64>, Refusal> {
    if text.len() > DESCRIPTION_BYTES_MAX {
        return Err(invalid(format!("its description is {} bytes", text.len())));
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|e| invalid(format!("its description is not JSON: {e}")))?;
    let formats = value.get("formats").and_then(Value::as_array);
    let formats =
        formats.ok_or_else(|| invalid("its description names no `formats`".to_owned()))?;
    Ok(formats.iter().filter_map(Value::as_u64).collect())
}

fn run_vectors(candidate: &Verifier) -> Result<(), Refusal> {
    let begun = Instant::now();
    // After a failure the candidate is not called again: all further vectors fail.
    let failed = RefCell::new(None);
    let ask = |request: &str| {
        let mut failed = failed.borrow_mut();
        if failed.is_none() {
            match candidate.wire(request) {
                Ok(answer) if begun.elapsed() <= VECTORS_TIME_MAX => return answer,
                Ok(_) => *failed = Some("it exceeded the time limit of all vectors".to_owned()),
                Err(why) => *failed = Some(why.to_string()),
            }
        }
        "null".to_owned()
    };
    let outcome = signoff_vectors::run(&signoff_vectors::ALL, ask);
    if let Some(why) = failed.into_inner() {
        return Err(invalid(format!("a call of a vector: {why}")));
    }
    let outcome = outcome.map_err(|why| invalid(format!("a vector: {why}")))?;
    match outcome.failures.first() {
        None => Ok(()),
        Some(first) => {
            Err(invalid(format!("{} vectors failed, the first: {first}", outcome.failures.len())))
        }
    }
}

impl Modules {
    /// Checks that a verifier shows every unfinished approval, and the newest of the others, as the
    /// active one does.
    ///
    /// Refusals: `module-invalid`, `store-unavailable`.
    pub(super) async fn compare_stored_views(&self, candidate: &Verifier) -> Result<(), Refusal> {
        let active = self.verifier.current();
        if active.describe().is_err() {
            // There is nothing to compare with.
            return Ok(());
        }
        let mut after = None;
        loop {
            // The ids come from the log, because an edited index could hide one.
            let ids = self.ledger.store().unfinished(after, BATCH).await?;
            let Some(last) = ids.last() else { break };
            after = Some(*last);
            let mut page = Vec::with_capacity(ids.len());
            for id in ids {
                page.extend(self.ledger.store().load(&id, WithTexts::No).await?);
            }
            self.compare_views(candidate, &active, page).await?;
        }
        let newest = Query { limit: NEWEST, ..Query::default() };
        let newest = self.ledger.store().list(&newest).await?;
        self.compare_views(candidate, &active, newest).await
    }

    async fn compare_views(
        &self,
        candidate: &Verifier,
        active: &Verifier,
        page: Vec<Stored>,
    ) -> Result<(), Refusal> {
        let (candidate, active, now) = (candidate.clone(), active.clone(), self.ledger.now());
        run_blocking(move || {
            page.iter().try_for_each(|stored| compare_view(&candidate, &active, stored, now))
        })
        .await
    }
}

fn compare_view(
    candidate: &Verifier,
    active: &Verifier,
    stored: &Stored,
    now: u64,
) -> Result<(), Refusal> {
    let id = stored.summary.id;
    let text = id.to_string();
    let approval = Approval { id: &text, record: Some(&stored.record) };
    let show = |verifier: &Verifier| verifier.show(approval, now);
    // If the active verifier cannot read it either, there is nothing to compare.
    let Ok(expected) = show(active) else { return Ok(()) };
    let found = show(candidate).map_err(|e| invalid(format!("it does not show {id}: {e}")))?;
    let value = |view: &str| serde_json::from_str::<Value>(view).ok();
    let same = match (value(&expected.view), value(&found.view)) {
        (Some(expected), Some(found)) => covers(&found, &expected),
        _ => false,
    };
    if same && expected.summary == found.summary {
        return Ok(());
    }
    Err(invalid(format!("it shows {id} differently from the active verifier")))
}

/// Returns whether `found` contains everything of `expected`: a newer verifier may show more.
fn covers(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(key, item)| found.get(key).is_some_and(|found| covers(found, item))),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| covers(found, expected))
        }
        _ => found == expected,
    }
}

fn invalid(why: impl std::fmt::Display) -> Refusal {
    let why: String = why.to_string().chars().take(1_000).collect();
    Refusal::new(Code::MODULE_INVALID, format!("the verifier failed its trial: {why}"))
}
