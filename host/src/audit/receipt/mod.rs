//! Receipts: everything that proves one approval, in one file that the binary alone can verify.
//!
//! ```text
//! {"format":2,"kind":"signoff-receipt","audience":"default",
//!  "approval":{…},
//!  "entries":[{"number":7,"entry":"{…}","proof":["…hex…"]}],
//!  "checkpoint":"signoff/default\n20852\n…"}
//! ```
//!
//! The host gathers a receipt ([`choose`], [`assemble`]) and prints what it proves; every rule is the
//! verifier's (`receipt.verify` in `wit/receipt.wit`). What a receipt holds is what the log had at its
//! checkpoint; status and outcome are the log's too, so that time alone changes neither until it is
//! logged. `approval` has those members of the API's approval that something in the receipt holds: a
//! comment only where an Ed25519 signature covers it, and no detail of an outcome.
//!
//! A receipt proves that what it contains happened before its checkpoint. It never proves that nothing
//! else happened: a later withdrawal, or a key that was revoked, is found only in the whole log
//! (`signoff audit export`).

mod assemble;
mod entry;
mod report;
mod shown;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use assemble::{Logged, assemble, choose, keys_named};
pub use report::{BallotReport, ExecutionReport, Proof, Report};
pub use signoff_core::limits::RECEIPT_BYTES_MAX;

const FORMAT: u32 = 2;
const KIND: &str = "signoff-receipt";

/// The file.
#[derive(Serialize, Deserialize)]
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
struct Line {
    number: u64,
    entry: String,
    proof: Vec<String>,
}

/// Why a receipt cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The approval is not as the API shows one.
    #[error("the approval: {0}")]
    Approval(String),
    /// An entry cannot be read.
    #[error("entry {number}: {why}")]
    Entry {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        why: String,
    },
}
