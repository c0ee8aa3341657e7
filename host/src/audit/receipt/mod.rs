//! Receipts: the complete proof of one approval, in one file that can be verified with the binary
//! alone.
//!
//! ```text
//! {"format":2,"kind":"signoff-receipt","audience":"default",
//!  "approval":{…},
//!  "entries":[{"number":7,"entry":"{…}","proof":["…hex…"]}],
//!  "checkpoint":"signoff/default\n20852\n…"}
//! ```
//!
//! The host assembles a receipt ([`choose`], [`assemble`]) and prints what it proves; every rule is
//! implemented by the verifier (`receipt.verify` in `wit/receipt.wit`). A receipt shows the
//! approval as of its checkpoint: an expiry that is not logged yet changes neither its status nor
//! its outcome. `approval` has only those members of the API's approval that the receipt can prove:
//! a comment only if an Ed25519 signature covers it, and no detail of an outcome.
//!
//! A receipt proves that what it contains happened before its checkpoint. It does not prove that
//! nothing else happened: a later withdrawal or key revocation is found only in the whole log
//! (`signoff audit export`).

mod assemble;
mod collect;
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

/// The receipt file.
#[derive(Serialize, Deserialize)]
struct Receipt {
    format: u32,
    kind: String,
    audience: String,
    approval: Box<RawValue>,
    entries: Vec<Line>,
    checkpoint: String,
}

/// An entry of the log with its inclusion proof.
#[derive(Serialize, Deserialize)]
struct Line {
    number: u64,
    entry: String,
    proof: Vec<String>,
}

/// An error of assembling a receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The approval is not in the API's format.
    #[error("the approval: {0}")]
    Approval(String),
    /// An entry is malformed.
    #[error("entry {number}: {why}")]
    Entry {
        /// Its number.
        number: u64,
        /// The reason.
        why: String,
    },
}
