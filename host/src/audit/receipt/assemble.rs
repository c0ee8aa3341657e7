//! Making a receipt from what a store has.

use std::collections::BTreeSet;

use super::entry::{Entry, is_step};
use super::shown::Shown;
use super::{FORMAT, KIND, Line, Receipt, ReceiptError};
use crate::audit::tree::Hash;

/// An entry of the log, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Its number.
    pub number: u64,
    /// Its text.
    pub text: String,
}

/// The keys that the ballots of an approval name, by its entries: the log's entries about these keys
/// are what [`choose`] takes.
pub fn keys_named(of_approval: &[Logged]) -> BTreeSet<String> {
    ballots(of_approval).map(|(_, key_id)| key_id).collect()
}

/// The entries that a receipt needs, in order, of all about the approval and all about its ballots'
/// keys: each step of the approval, and each key as it was when the ballot was cast and until the
/// approval was decided.
pub fn choose(of_approval: &[Logged], of_keys: &[Logged]) -> Vec<Logged> {
    let last = ballots(of_approval).map(|(number, _)| number).max().unwrap_or(0);
    let mut chosen: Vec<&Logged> = of_approval
        .iter()
        .filter(|logged| event(&logged.text).is_some_and(|e| is_step(&e)))
        .collect();
    for (cast, key_id) in ballots(of_approval) {
        let of_key = of_keys.iter().filter(|logged| is_about_key(logged, &key_id));
        let when_cast =
            of_key.clone().filter(|logged| logged.number < cast).max_by_key(|l| l.number);
        chosen.extend(when_cast);
        chosen.extend(of_key.filter(|logged| (cast..last).contains(&logged.number)));
    }
    chosen.sort_by_key(|logged| logged.number);
    chosen.dedup_by_key(|logged| logged.number);
    chosen.into_iter().cloned().collect()
}

/// A receipt, from the API's answer for one approval (with context and plan), the entries that
/// [`choose`] chose with their inclusion proofs, and the checkpoint that the proofs lead to.
///
/// # Errors
///
/// [`ReceiptError::Approval`], [`ReceiptError::Entry`] for what cannot be read. That the parts belong
/// together is for [`super::verify`] to say.
pub fn assemble(
    approval: &str,
    entries: &[(Logged, Vec<Hash>)],
    checkpoint: &str,
) -> Result<String, ReceiptError> {
    let mut shown = Shown::of_api(approval)?;
    for (logged, _) in entries {
        Entry::read(logged.number, &logged.text)?;
    }
    let logged = || entries.iter().map(|(logged, _)| logged);
    as_logged(&mut shown, logged());
    let ed25519: BTreeSet<String> = logged().filter_map(ed25519_key).collect();
    for ballot in &mut shown.ballots {
        if !(ballot.profile == "v2" && ed25519.contains(&ballot.key_id)) {
            ballot.comment = None;
        }
    }
    let line = |(logged, proof): &(Logged, Vec<Hash>)| Line {
        number: logged.number,
        entry: logged.text.clone(),
        proof: proof.iter().map(hex::encode).collect(),
    };
    let unwritable = |e: serde_json::Error| ReceiptError::approval(e.to_string());
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

/// Takes back what time alone did and nobody has logged yet.
fn as_logged<'a>(shown: &mut Shown, entries: impl Iterator<Item = &'a Logged>) {
    let mut unknown_is_logged = false;
    let mut status = None;
    for logged in entries {
        if let Ok(Entry::Approval(entry)) = Entry::read(logged.number, &logged.text) {
            unknown_is_logged |= entry.event == "execution_unknown";
            status = Some(entry.to);
        }
    }
    if shown.status == "expired"
        && let Some(status) =
            status.filter(|status| matches!(status.as_str(), "pending" | "approved"))
    {
        shown.status = status;
    }
    if let Some(execution) = &mut shown.execution
        && execution.outcome == "unknown"
        && !unknown_is_logged
    {
        "claimed".clone_into(&mut execution.outcome);
    }
}

/// Ballots by the entries of an approval: the entry's number and the key's id.
fn ballots(of_approval: &[Logged]) -> impl Iterator<Item = (u64, String)> {
    of_approval.iter().filter_map(|logged| match Entry::read(logged.number, &logged.text) {
        Ok(Entry::Approval(entry)) if entry.event == "approval_decided" => {
            Some((logged.number, entry.key_id?))
        }
        _ => None,
    })
}

fn is_about_key(logged: &Logged, key_id: &str) -> bool {
    matches!(Entry::read(logged.number, &logged.text), Ok(Entry::Key(key)) if key.key_id == key_id)
}

fn ed25519_key(logged: &Logged) -> Option<String> {
    match Entry::read(logged.number, &logged.text) {
        Ok(Entry::Key(key)) if key.algorithm == "ed25519" => Some(key.key_id),
        _ => None,
    }
}

fn event(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        event: Kind,
    }
    #[derive(serde::Deserialize)]
    struct Kind {
        event: String,
    }
    serde_json::from_str::<Envelope>(text).ok().map(|entry| entry.event.event)
}
