//! The receipt file: its form and limits, and whether its entries are in the tree of its
//! checkpoint.

use serde::Deserialize;
use serde_json::value::RawValue;
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::tree::{Hash, PROOF_HASHES_MAX, check_inclusion, leaf, read_hash};

use super::{entry_invalid, invalid};
use crate::limits::{RECEIPT_BYTES_MAX, RECEIPT_ENTRIES_MAX};
use crate::object::{self, objects};
use crate::rejection::Rejection;

/// The only format that is read.
const FORMAT: u32 = 2;
const KIND: &str = "signoff-receipt";

/// A receipt whose form is validated. Nothing in it is verified yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File<'a> {
    format: u32,
    kind: String,
    pub(super) audience: String,
    #[serde(borrow)]
    pub(super) approval: &'a RawValue,
    #[serde(deserialize_with = "objects")]
    pub(super) entries: Vec<Line>,
    pub(super) checkpoint: String,
}

/// An entry of the log, and the proof that it is in the tree of the checkpoint.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// The number of the entry. The first entry of a log has number 1.
    pub(super) number: u64,
    /// Its text, byte for byte.
    pub(super) entry: String,
    /// 64 lower-case hex characters each, lowest hash first.
    proof: Vec<String>,
}

impl<'a> File<'a> {
    /// Parses a receipt: one JSON object, without white space before or after it.
    ///
    /// Rejections: 1. `limit-exceeded` for more than 16 MiB 2. `receipt-invalid`
    /// 3. `limit-exceeded` for more than 4096 entries.
    pub(super) fn read(text: &'a str) -> Result<Self, Rejection> {
        if text.len() > RECEIPT_BYTES_MAX {
            return Err(Rejection::limit(format!(
                "the receipt is {} bytes, the limit is {RECEIPT_BYTES_MAX}",
                text.len()
            )));
        }
        if !(text.starts_with('{') && text.ends_with('}')) {
            return Err(invalid("expected one JSON object, with nothing before or after it"));
        }
        let file: Self = object::parse("receipt", text).map_err(|e| invalid(e.message))?;
        if (file.format, file.kind.as_str()) != (FORMAT, KIND) {
            return Err(invalid(format!(
                "expected a `{KIND}` of format {FORMAT}, found a `{}` of format {}",
                file.kind, file.format
            )));
        }
        if file.entries.len() > RECEIPT_ENTRIES_MAX {
            return Err(Rejection::limit(format!(
                "the receipt has {} entries, the limit is {RECEIPT_ENTRIES_MAX}",
                file.entries.len()
            )));
        }
        Ok(file)
    }

    /// Verifies that every entry is in the tree of a checkpoint, each once and in order.
    ///
    /// Rejections: `receipt-invalid`.
    pub(super) fn is_in(&self, checkpoint: &Checkpoint) -> Result<(), Rejection> {
        let mut before = 0;
        for line in &self.entries {
            let wrong = |why: &str| entry_invalid(line.number, why);
            if line.number <= before {
                return Err(wrong("the entries are not in the order of the log"));
            }
            before = line.number;
            let leaf = leaf(line.entry.as_bytes());
            // A number is above the previous one, so it cannot be 0.
            let index = line.number.saturating_sub(1);
            check_inclusion(&leaf, index, checkpoint.size, &checkpoint.root, &line.proof()?)
                .map_err(|e| wrong(&e.to_string()))?;
        }
        Ok(())
    }
}

impl Line {
    fn proof(&self) -> Result<Vec<Hash>, Rejection> {
        hashes(&self.proof).map_err(|why| entry_invalid(self.number, &format!("its proof {why}")))
    }
}

/// Parses the hashes of a proof.
///
/// # Errors
///
/// A message that says what is wrong, as the end of a sentence.
pub(super) fn hashes(texts: &[String]) -> Result<Vec<Hash>, String> {
    if texts.len() > PROOF_HASHES_MAX {
        return Err(format!("has {} hashes, the limit is {PROOF_HASHES_MAX}", texts.len()));
    }
    let hashes = texts.iter().map(|text| read_hash(text)).collect::<Option<Vec<_>>>();
    hashes.ok_or_else(|| "has a hash that is not 64 lower-case hex characters".to_owned())
}
