//! Receipts: everything that proves one approval, in one file that the binary alone can check.
//!
//! ```text
//! {"format":1,"kind":"signoff-receipt","audience":"default",
//!  "approval":{…},
//!  "entries":[{"number":7,"entry":"{…}","proof":["…hex…"]}],
//!  "checkpoint":"signoff/default\n20852\n…"}
//! ```
//!
//! The entries are all that the log has of the approval, and those that say whose keys made its
//! ballots. What a receipt holds is what the log had at its checkpoint; status and outcome are the
//! log's too, so that time alone changes neither until it is logged. `approval` has those members of
//! the API's approval that something here holds: a comment only where an Ed25519 signature covers
//! it, and no detail of an outcome.
//!
//! A receipt proves what is in it. That nothing came later (a withdrawal, a revoked key) only the
//! whole log proves: `signoff audit export`.

mod assemble;
mod ballots;
mod entry;
mod shown;
mod story;
mod verify;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use assemble::{Logged, assemble, choose, keys_named};
pub use verify::{BallotReport, ExecutionReport, Proof, Report, verify};

use super::checkpoint::CheckpointError;

/// The longest receipt: an approval as it is shown has at most 4 MiB, the rest is entries with
/// their proofs.
pub const RECEIPT_BYTES_MAX: usize = 16 << 20;
const FORMAT: u32 = 1;
const KIND: &str = "signoff-receipt";

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    format: u32,
    kind: String,
    audience: String,
    approval: Box<RawValue>,
    entries: Vec<Line>,
    checkpoint: String,
}

/// An entry of the log, and the proof that it is in the tree of the checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    number: u64,
    entry: String,
    proof: Vec<String>,
}

/// The first thing wrong with a receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is not of a receipt's form.
    #[error("it is no receipt of format 1: {0}")]
    Form(String),
    /// The checkpoint is none, or no trusted key signed it.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is another log's.
    #[error("the receipt is of `{log}`, its checkpoint of `{checkpoint}`")]
    Origin {
        /// The name that the receipt's audience makes.
        log: String,
        /// The name in the checkpoint.
        checkpoint: String,
    },
    /// An entry is not in the log, or does not tell of this approval.
    #[error("entry {number}: {why}")]
    Entry {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The approval is not what the entries tell of.
    #[error("the approval: {0}")]
    Approval(String),
    /// A ballot does not hold.
    #[error("the ballot of `{approver}`: {why}")]
    Ballot {
        /// Who is said to have cast it.
        approver: String,
        /// What is wrong with it.
        why: String,
    },
    /// The verifier gave no answer.
    #[error("{0}")]
    Verifier(String),
}

impl ReceiptError {
    fn entry(number: u64, why: impl Into<String>) -> Self {
        Self::Entry { number, why: why.into() }
    }

    fn approval(why: impl Into<String>) -> Self {
        Self::Approval(why.into())
    }

    fn ballot(approver: &str, why: impl Into<String>) -> Self {
        Self::Ballot { approver: approver.to_owned(), why: why.into() }
    }
}
