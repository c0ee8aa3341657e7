//! Assembles a receipt from stored data.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::Entry;
use super::shown::Shown;
use super::{FORMAT, KIND, Line, Receipt, ReceiptError};
use signoff_core::log::tree::Hash;

/// A stored entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Its number.
    pub number: u64,
    /// Its text.
    pub text: String,
}

/// Returns the ids of the keys that signed an approval's ballots, according to its entries.
///
/// # Errors
///
/// [`ReceiptError::Entry`].
pub fn keys_named(of_approval: &[Logged]) -> Result<BTreeSet<String>, ReceiptError> {
    let mut named = BTreeSet::new();
    for logged in of_approval {
        named.extend(Entry::read(logged)?.ballot().map(str::to_owned));
    }
    Ok(named)
}

/// Selects the entries that a receipt needs, in order, from all entries about the approval and all
/// about its keys: every change of the approval, and for each key its state at the first ballot and
/// every change until the last ballot or the claim.
///
/// # Errors
///
/// [`ReceiptError::Entry`].
pub fn choose(of_approval: &[Logged], of_keys: &[Logged]) -> Result<Vec<Logged>, ReceiptError> {
    let mut chosen = BTreeMap::new();
    let (mut first, mut last) = (u64::MAX, 0);
    for logged in of_approval {
        let entry = Entry::read(logged)?;
        if entry.is_step() {
            chosen.insert(logged.number, logged);
        }
        if entry.needs_keys() {
            first = first.min(logged.number);
            last = last.max(logged.number);
        }
    }
    let mut before: BTreeMap<String, &Logged> = BTreeMap::new();
    for logged in of_keys {
        let Some(key) = Entry::read(logged)?.key().map(str::to_owned) else { continue };
        if logged.number < first {
            let older = before.get(&key).map_or(0, |older| older.number);
            if logged.number > older {
                before.insert(key, logged);
            }
        } else if logged.number < last {
            chosen.insert(logged.number, logged);
        }
    }
    if last > 0 {
        chosen.extend(before.into_values().map(|logged| (logged.number, logged)));
    }
    Ok(chosen.into_values().cloned().collect())
}

/// Returns a receipt, given the API's response for one approval (with context and plan), the
/// entries selected by [`choose`] with their inclusion proofs, and the checkpoint of those proofs.
/// Does not check that the parts belong together: the verifier does.
///
/// # Errors
///
/// [`ReceiptError::Approval`], [`ReceiptError::Entry`].
pub fn assemble(
    approval: &str,
    entries: &[(Logged, Vec<Hash>)],
    checkpoint: &str,
) -> Result<String, ReceiptError> {
    let mut shown = Shown::read(approval)?;
    let read =
        entries.iter().map(|(logged, _)| Entry::read(logged)).collect::<Result<Vec<_>, _>>()?;
    as_logged(&mut shown, &read);
    let is_ed25519 = |key_id: &str| {
        let is_it = |entry: &&Entry<'_>| entry.key() == Some(key_id);
        let found = read.iter().find(is_it).and_then(|entry| entry.event.algorithm.as_deref());
        found == Some("ed25519")
    };
    for ballot in &mut shown.ballots {
        if ballot.profile != "v2" || !is_ed25519(&ballot.key_id) {
            ballot.comment = None;
        }
    }
    let line = |(logged, proof): &(Logged, Vec<Hash>)| Line {
        number: logged.number,
        entry: logged.text.clone(),
        proof: proof.iter().map(hex::encode).collect(),
    };
    let unwritable = |e: serde_json::Error| ReceiptError::Approval(e.to_string());
    let receipt = Receipt {
        format: FORMAT,
        kind: KIND.to_owned(),
        audience: shown.audience.clone(),
        approval: serde_json::value::to_raw_value(&shown).map_err(unwritable)?,
        entries: entries.iter().map(line).collect(),
        checkpoint: checkpoint.to_owned(),
    };
    serde_json::to_string(&receipt).map_err(unwritable)
}

/// Reverts transitions that time alone caused and the log does not have yet.
fn as_logged(shown: &mut Shown, entries: &[Entry<'_>]) {
    let mut steps = entries.iter().filter(|entry| entry.is_step());
    // An erasure ends an execution whose lease expired, and logs both in one entry.
    let unknown_is_logged = steps
        .clone()
        .any(|entry| matches!(&*entry.event.event, "execution_unknown" | "approval_erased"));
    let status = steps.next_back().and_then(|entry| entry.event.to.as_deref());
    if shown.status == "expired"
        && let Some(status @ ("pending" | "approved")) = status
    {
        status.clone_into(&mut shown.status);
    }
    if let Some(execution) = &mut shown.execution
        && execution.outcome == "unknown"
        && !unknown_is_logged
    {
        "claimed".clone_into(&mut execution.outcome);
    }
}
