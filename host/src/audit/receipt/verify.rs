//! Checking a receipt with nothing but the binary.

use serde::Serialize;

use super::ballots::{LoggedKeys, are_enough, check};
use super::entry::Entry;
use super::shown::{Requirement, Shown};
use super::story::{Step, agrees, follow};
use super::{FORMAT, KIND, Line, RECEIPT_BYTES_MAX, Receipt, ReceiptError};
use crate::audit::checkpoint::{self, Checkpoint};
use crate::audit::log_key::{LogKey, origin};
use crate::audit::tree::{Hash, PROOF_HASHES_MAX, check_inclusion, leaf};
use crate::verifier::{self, DecisionArgs, Failure, Statement, Verifier};

/// What a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The deployment's name.
    pub audience: String,
    /// The approval.
    pub approval_id: String,
    /// Its status at the checkpoint.
    pub status: String,
    /// Who asked to act.
    pub agent: String,
    /// What was asked for.
    pub action: String,
    /// Why.
    pub reason: Option<String>,
    /// Who requested it.
    pub requested_by: String,
    /// When.
    pub requested_at: String,
    /// When it ends, or ended.
    pub expires_at: String,
    /// The digest of the context.
    pub context_hash: String,
    /// The digest of the plan, where there is one.
    pub plan_hash: Option<String>,
    /// How many approvers it takes.
    pub threshold: u32,
    /// How many of each group.
    pub groups: std::collections::BTreeMap<String, u32>,
    /// Whether the ballots are what it takes.
    pub requirement_met: bool,
    /// Every decision cast.
    pub ballots: Vec<BallotReport>,
    /// Who claimed it, and how that ended.
    pub execution: Option<ExecutionReport>,
    /// How many entries of the log were checked.
    pub entries: usize,
    /// The size of the log at the checkpoint.
    pub checkpoint_size: u64,
    /// The trusted key that signed the checkpoint; none if no key was trusted.
    #[serde(serialize_with = "key_text")]
    pub signer: Option<LogKey>,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BallotReport {
    /// Who decided.
    pub approver: String,
    /// `approved` or `rejected`.
    pub decision: String,
    /// What they said, where their signature covers it.
    pub comment: Option<String>,
    /// When.
    pub at: String,
    /// `v1` or `v2`.
    pub profile: String,
    /// The key that made it.
    pub key_id: String,
    /// The key's algorithm.
    pub algorithm: String,
    /// The key's groups when it was cast.
    pub groups: Vec<String>,
    /// What the receipt proves of it.
    pub proof: Proof,
}

/// How far a ballot is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Its signature was verified here.
    Verified,
    /// The log says that it was verified: whoever could verify an HMAC here could make one.
    Attested,
}

/// The single use of the approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExecutionReport {
    /// Its id.
    pub id: String,
    /// Who claimed it.
    pub claimed_by: String,
    /// When.
    pub claimed_at: String,
    /// `claimed`, `succeeded`, `failed` or `unknown`.
    pub outcome: String,
    /// When the outcome was reported.
    pub settled_at: Option<String>,
}

/// Checks a receipt. With no trusted key it is only held against itself.
///
/// # Errors
///
/// The first thing wrong. In this order: the form; the checkpoint, its signature and name; each
/// entry's place in the tree; the approval's context, plan and digests; the steps of the log, and
/// whether the approval is what they come to; each ballot; the requirement.
pub fn verify(
    receipt: &str,
    trusted: &[LogKey],
    verifier: &Verifier,
) -> Result<Report, ReceiptError> {
    let receipt = read(receipt)?;
    let (checkpoint, signer) = vouched(&receipt, trusted)?;
    included(&receipt.entries, &checkpoint)?;
    let (steps, keys) = entries(&receipt.entries)?;
    let shown = Shown::of_receipt(receipt.approval.get())?;
    let statement = reviewed(&receipt, &shown, verifier)?;
    let story = follow(&steps, &shown)?;
    agrees(&story, &shown)?;
    keys.are_needed(&shown)?;
    let cast = shown.ballots.iter().zip(&story.ballots);
    let ballots = cast
        .map(|(ballot, step)| check(ballot, step, &keys, &statement, verifier))
        .collect::<Result<Vec<_>, _>>()?;
    let requirement_met = are_enough(&shown, &story, &keys);
    if !requirement_met && steps.iter().any(|(_, entry)| entry.to == "approved") {
        return Err(ReceiptError::approval(
            "the log calls it approved, and its ballots are not what it takes",
        ));
    }
    let entries = receipt.entries.len();
    Ok(report(shown, ballots, requirement_met, entries, checkpoint.size, signer))
}

fn read(text: &str) -> Result<Receipt, ReceiptError> {
    if text.len() > RECEIPT_BYTES_MAX {
        return Err(ReceiptError::Form("it is longer than 16 MiB".to_owned()));
    }
    let receipt: Receipt =
        serde_json::from_str(text).map_err(|e| ReceiptError::Form(e.to_string()))?;
    if receipt.format != FORMAT || receipt.kind != KIND {
        let (format, kind) = (receipt.format, receipt.kind);
        return Err(ReceiptError::Form(format!("it is a `{kind}` of format {format}")));
    }
    Ok(receipt)
}

/// The checkpoint, and the trusted key that signed it.
fn vouched(
    receipt: &Receipt,
    trusted: &[LogKey],
) -> Result<(Checkpoint, Option<LogKey>), ReceiptError> {
    let (checkpoint, signer) = if trusted.is_empty() {
        (Checkpoint::unverified(&receipt.checkpoint)?, None)
    } else {
        let opened = checkpoint::open(&receipt.checkpoint, trusted)?;
        (opened.checkpoint, Some(opened.signer))
    };
    let log = origin(&receipt.audience);
    if checkpoint.origin == log {
        return Ok((checkpoint, signer));
    }
    Err(ReceiptError::Origin { log, checkpoint: checkpoint.origin })
}

/// Whether every entry is in the tree, each once and in order.
fn included(lines: &[Line], checkpoint: &Checkpoint) -> Result<(), ReceiptError> {
    let mut before = 0;
    for line in lines {
        let wrong = |why: String| ReceiptError::entry(line.number, why);
        let Some(index) = line.number.checked_sub(1).filter(|_| line.number > before) else {
            return Err(wrong("the entries are not in the order of the log".to_owned()));
        };
        before = line.number;
        if line.proof.len() > PROOF_HASHES_MAX {
            return Err(wrong("its proof is longer than any".to_owned()));
        }
        let proof = line.proof.iter().map(|text| hash(text)).collect::<Option<Vec<_>>>();
        let proof = proof.ok_or_else(|| wrong("its proof is not of hashes in hex".to_owned()))?;
        let leaf = leaf(line.entry.as_bytes());
        check_inclusion(&leaf, index, checkpoint.size, &checkpoint.root, &proof)
            .map_err(|e| wrong(e.to_string()))?;
    }
    Ok(())
}

/// A hash in the one way to write it.
fn hash(text: &str) -> Option<Hash> {
    let hash: Hash = hex::decode(text).ok()?.try_into().ok()?;
    (hex::encode(hash) == text).then_some(hash)
}

fn entries(lines: &[Line]) -> Result<(Vec<Step>, LoggedKeys), ReceiptError> {
    let (mut steps, mut keys) = (Vec::new(), Vec::new());
    for line in lines {
        match Entry::read(line.number, &line.entry)? {
            Entry::Approval(entry) => steps.push((line.number, entry)),
            Entry::Key(key) => keys.push((line.number, key)),
        }
    }
    Ok((steps, LoggedKeys(keys)))
}

/// What a decision of the approval signs, as this process's own verifier works it out from what is
/// shown: it digests the context, the plan and the request again.
fn reviewed(
    receipt: &Receipt,
    shown: &Shown,
    verifier: &Verifier,
) -> Result<Statement, ReceiptError> {
    if shown.audience != receipt.audience {
        let why = format!("it is of `{}`, the receipt of `{}`", shown.audience, receipt.audience);
        return Err(ReceiptError::approval(why));
    }
    let (text, context) = (receipt.approval.get(), shown.context.get());
    let approval = verifier::Shown { approval: text, context, plan: shown.plan() };
    // Any decision by anybody: the ballots put in their own.
    let anybody =
        DecisionArgs { decision: "approved", approver: "nobody", key_id: "", comment: "" };
    let reviewed = verifier.review(&approval, &anybody);
    reviewed.map_err(|failure| match failure {
        Failure::Rejected(rejection) => ReceiptError::approval(rejection.message),
        Failure::Trapped(why) => ReceiptError::Verifier(why),
    })
}

fn report(
    shown: Shown,
    ballots: Vec<BallotReport>,
    requirement_met: bool,
    entries: usize,
    checkpoint_size: u64,
    signer: Option<LogKey>,
) -> Report {
    let Requirement { threshold, groups, .. } = shown.requirement;
    Report {
        audience: shown.audience,
        approval_id: shown.id,
        status: shown.status,
        agent: shown.agent,
        action: shown.action,
        reason: shown.reason,
        requested_by: shown.requested_by,
        requested_at: shown.requested_at,
        expires_at: shown.expires_at,
        context_hash: shown.context_hash,
        plan_hash: shown.plan_hash,
        threshold,
        groups,
        requirement_met,
        ballots,
        execution: shown.execution.map(|execution| ExecutionReport {
            id: execution.id,
            claimed_by: execution.claimed_by,
            claimed_at: execution.claimed_at,
            outcome: execution.outcome,
            settled_at: execution.settled_at,
        }),
        entries,
        checkpoint_size,
        signer,
    }
}

fn key_text<S: serde::Serializer>(key: &Option<LogKey>, to: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(ToString::to_string).serialize(to)
}
