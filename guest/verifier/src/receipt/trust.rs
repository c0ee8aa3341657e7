//! What the caller trusts: log keys, its own checkpoint, and approvers' keys.

use signoff_core::log::checkpoint::{Checkpoint, open};
use signoff_core::log::key::{LogKey, origin};
use signoff_core::log::tree::{Hash, check_consistency};

use super::file::hashes;
use super::{Verify, invalid, untrusted};
use crate::limits::{LOG_KEY_BYTES_MAX, LOG_KEYS_MAX};
use crate::name::{ApprovalId, Identifier, check_length};
use crate::rejection::{Code, Rejection};

/// The validated arguments other than the receipt.
pub(super) struct Trust {
    log_keys: Vec<LogKey>,
    id: Option<ApprovalId>,
    audience: Option<Identifier>,
    pinned: Option<Pinned>,
}

/// A checkpoint that the caller holds, and the consistency proof between it and the receipt's.
struct Pinned {
    checkpoint: Checkpoint,
    consistency: Vec<Hash>,
}

impl Trust {
    /// Validates the arguments.
    ///
    /// Rejections: `request-invalid`, `limit-exceeded`; `receipt-untrusted` if none of the log keys
    /// signed the caller's checkpoint.
    pub(super) fn read(args: &Verify<'_>) -> Result<Self, Rejection> {
        if args.log_keys.len() > LOG_KEYS_MAX {
            return Err(Rejection::limit(format!(
                "{} log keys, the limit is {LOG_KEYS_MAX}",
                args.log_keys.len()
            )));
        }
        let log_keys = args.log_keys.iter().map(|text| log_key(text)).collect::<Result<_, _>>()?;
        let mut trust = Self {
            log_keys,
            id: args.id.as_deref().map(ApprovalId::new).transpose()?,
            audience: args
                .audience
                .as_deref()
                .map(|name| Identifier::new("audience", name))
                .transpose()?,
            pinned: None,
        };
        trust.pinned = trust.pinned(args)?;
        Ok(trust)
    }

    fn pinned(&self, args: &Verify<'_>) -> Result<Option<Pinned>, Rejection> {
        let consistency = hashes(args.consistency.as_deref().unwrap_or_default())
            .map_err(|why| Rejection::request(format!("the consistency proof {why}")))?;
        let Some(note) = &args.checkpoint else {
            if consistency.is_empty() {
                return Ok(None);
            }
            return Err(Rejection::request("a consistency proof without a checkpoint"));
        };
        let checkpoint = Checkpoint::unverified(note)
            .map_err(|e| Rejection::request(format!("checkpoint: {e}")))?;
        if !self.log_keys.is_empty() {
            open(note, &self.log_keys).map_err(|e| untrusted(format!("checkpoint: {e}")))?;
        }
        Ok(Some(Pinned { checkpoint, consistency }))
    }

    /// Checks that a receipt is of the approval and the audience that the caller expects.
    ///
    /// Rejections: 1. `not-found` for another approval 2. `audience-mismatch`
    pub(super) fn expects(&self, id: &str, audience: &str) -> Result<(), Rejection> {
        if let Some(expected) = self.id.as_ref().filter(|expected| expected.as_str() != id) {
            return Err(Rejection::new(
                Code::NotFound,
                format!("the receipt is of `{id}`, not of `{expected}`"),
            ));
        }
        match self.audience.as_ref().filter(|expected| expected.as_str() != audience) {
            None => Ok(()),
            Some(expected) => Err(Rejection::new(
                Code::AudienceMismatch,
                format!("the receipt is of the audience `{audience}`, not of `{expected}`"),
            )),
        }
    }

    /// Returns the checkpoint of a receipt of this audience, and the trusted key that signed it;
    /// `None` if the caller trusts no key.
    ///
    /// Rejections: 1. `receipt-invalid` for anything but a checkpoint of the audience's log
    /// 2. `receipt-untrusted` if no trusted key signed it 3. `receipt-untrusted` if it is not
    /// connected to the caller's checkpoint.
    pub(super) fn verify_checkpoint(
        &self,
        note: &str,
        audience: &str,
    ) -> Result<(Checkpoint, Option<LogKey>), Rejection> {
        let checkpoint = Checkpoint::unverified(note).map_err(|e| of_checkpoint(&e))?;
        let log = origin(audience);
        if checkpoint.origin != log {
            let found = &checkpoint.origin;
            let why = format!("the receipt is of `{log}`, but its checkpoint is of `{found}`");
            return Err(invalid(why));
        }
        let signer = if self.log_keys.is_empty() {
            None
        } else {
            let opened = open(note, &self.log_keys);
            Some(opened.map_err(|e| untrusted(format!("the checkpoint: {e}")))?.signer)
        };
        if let Some(pinned) = &self.pinned {
            pinned.connects(&checkpoint)?;
        }
        Ok((checkpoint, signer))
    }
}

impl Pinned {
    /// Rejections: `receipt-untrusted`.
    fn connects(&self, receipt: &Checkpoint) -> Result<(), Rejection> {
        let pinned = &self.checkpoint;
        if pinned.origin != receipt.origin {
            let (theirs, ours) = (&receipt.origin, &pinned.origin);
            return Err(untrusted(format!("the given checkpoint is of `{ours}`, not `{theirs}`")));
        }
        let (older, newer) =
            if pinned.size <= receipt.size { (pinned, receipt) } else { (receipt, pinned) };
        check_consistency(older.size, &older.root, newer.size, &newer.root, &self.consistency)
            .map_err(|e| untrusted(format!("the checkpoint of {} entries: {e}", pinned.size)))
    }
}

/// Rejections: `limit-exceeded`, `request-invalid`.
fn log_key(text: &str) -> Result<LogKey, Rejection> {
    check_length("log key", text, LOG_KEY_BYTES_MAX)?;
    text.parse().map_err(|e| Rejection::request(format!("log key: {e}")))
}

fn of_checkpoint(e: &signoff_core::log::checkpoint::CheckpointError) -> Rejection {
    invalid(format!("the checkpoint: {e}"))
}
