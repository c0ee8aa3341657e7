//! `receipt.verify`: verifies a receipt, one text with everything that proves one approval. Needs
//! neither a record nor a server.
//!
//! ```text
//! {"format":2,"kind":"signoff-receipt","audience":"default",
//!  "approval":{…},
//!  "entries":[{"number":7,"entry":"{…}","proof":["…hex…"]}],
//!  "checkpoint":"signoff/default\n20852\n…"}
//! ```
//!
//! The entries are all changes of the approval in the log, and the records of the keys that made
//! its ballots. They are replayed by the rules of [`crate::lifecycle`], and must lead to the
//! approval shown.
//!
//! A receipt proves that what it contains happened before its checkpoint. It never proves that
//! nothing else happened: only the whole log shows a later withdrawal or the revocation of a key.
//!
//! `file.rs` reads the file, `entry.rs` the entries, `approval.rs` the approval, `keys.rs` the
//! keys; `trust.rs` holds what the caller trusts, `ballots.rs` evaluates the ballots by it, and
//! `report.rs` builds the answer.

mod approval;
mod ballots;
mod entry;
mod file;
mod keys;
mod report;
mod trust;

use std::borrow::Cow;

use serde::Deserialize;

pub use report::{BallotReport, ExecutionReport, Proof, Report};

use crate::key::{KeyEntry, Keyring};
use crate::lifecycle::{LoggedEvent, Replay};
use crate::object::optional_objects;
use crate::rejection::{Code, Rejection};
use crate::signature::Accepted;
use approval::Approval;
use ballots::BallotVerifier;
use entry::{Entries, Entry};
use file::File;
use keys::LoggedKeys;
use report::Verified;
use trust::Trust;

/// The arguments of `receipt.verify`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/receipt.wit")]
pub struct Verify<'a> {
    #[serde(borrow)]
    pub receipt: Cow<'a, str>,
    #[serde(borrow)]
    pub log_keys: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub audience: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "optional_objects")]
    pub keys: Option<Vec<KeyEntry>>,
    pub accept: Vec<String>,
    #[serde(borrow, default)]
    pub checkpoint: Option<Cow<'a, str>>,
    #[serde(default)]
    pub consistency: Option<Vec<String>>,
}

impl Verify<'_> {
    /// Verifies the receipt and returns what it proves.
    ///
    /// Rejections: as `receipt.verify` in `wit/`, in its order.
    pub fn run(&self) -> Result<Report, Rejection> {
        let trust = Trust::read(self)?;
        let keys = self.keys.as_deref().unwrap_or_default();
        let pinned = Keyring::read(keys)?;
        let accepted = Accepted::read(&self.accept)?;
        let file = File::read(&self.receipt)?;
        let approval = Approval::read(file.approval.get())?;
        if approval.audience != file.audience {
            let (of, receipt) = (&approval.audience, &file.audience);
            return Err(invalid(format!("the approval is of `{of}`, the receipt of `{receipt}`")));
        }
        trust.expects(&approval.id, &file.audience)?;
        let (checkpoint, signer) = trust.verify_checkpoint(&file.checkpoint, &file.audience)?;
        file.is_in(&checkpoint)?;
        let entries = Entries::read(&file.entries, &approval.id)?;
        let (steps, logged) = (entries.steps, LoggedKeys::new(entries.keys, &approval.ballots)?);
        let replay = replay(&approval, &steps, &logged)?;
        approval.is(&replay)?;
        let verifier =
            BallotVerifier { replay: &replay, steps: &steps, keys: &logged, accepted: &accepted };
        let ballots = verifier.ballots(&pinned)?;
        let requirement_met = verifier.requirement_met(keys)?;
        let entries = file.entries.len();
        let verified = Verified { replay, ballots, requirement_met, entries, checkpoint, signer };
        Ok(Report::new(approval, verified))
    }
}

/// Replays the steps of the log, each with the keys recorded before it.
///
/// Rejections: `receipt-invalid`.
fn replay(
    approval: &Approval<'_>,
    steps: &[Entry<LoggedEvent>],
    keys: &LoggedKeys,
) -> Result<Replay, Rejection> {
    let (first, rest) = steps.split_first().ok_or_else(|| invalid("no entry is about it"))?;
    let wrong = |number: u64, e: &Rejection| entry_invalid(number, &e.message);
    let mut replay =
        Replay::begin(approval.requested(), &first.event).map_err(|e| wrong(first.number, &e))?;
    for step in rest {
        let index = replay.record().ballots.len();
        let ballot = approval.ballots.get(index).filter(|_| step.event.is_ballot());
        let keys = match step.event.needs_keys() {
            true => keys.before(step.number, Keyring::default())?,
            false => Keyring::default(),
        };
        let next = replay.step(&step.event, ballot, &keys);
        replay = next.map_err(|e| match ballot {
            Some(ballot) => ballot_invalid(&ballot.approver, &e.message),
            None => wrong(step.number, &e),
        })?;
    }
    Ok(replay)
}

/// Rejection `receipt-invalid`: the receipt itself is wrong, whatever the caller trusts.
fn invalid(why: impl Into<String>) -> Rejection {
    Rejection::new(Code::ReceiptInvalid, why)
}

fn entry_invalid(number: u64, why: &str) -> Rejection {
    invalid(format!("entry {number}: {why}"))
}

fn ballot_invalid(approver: &str, why: &str) -> Rejection {
    invalid(format!("the ballot of `{approver}`: {why}"))
}

/// Rejection `receipt-untrusted`: the receipt is consistent, but nothing that the caller trusts
/// confirms it.
fn untrusted(why: impl Into<String>) -> Rejection {
    Rejection::new(Code::ReceiptUntrusted, why)
}
