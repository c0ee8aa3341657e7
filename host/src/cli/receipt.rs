//! `signoff receipt`: all that proves one approval, in a file, and checking it without the server.

use std::fs::File;
use std::io::{Read, Write, stdin};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::destination::Destination;
use super::transport::Transport;
use super::trust::{self, TrustArgs, Verdict};
use super::{Exit, Global, exit::Failure, output};
use crate::audit::receipt::{self, BallotReport, Proof, RECEIPT_BYTES_MAX, Report};
use crate::engine::{Allocation, Cache};
use crate::verifier::Verifier;

#[derive(Subcommand)]
pub(super) enum ReceiptCommand {
    /// Write an approval's receipt: who asked, who signed, who claimed, with proofs from the log
    Export(ExportArgs),
    /// Check a receipt, without any server
    Verify(VerifyArgs),
}

#[derive(Args)]
pub(super) struct ExportArgs {
    /// The approval's id, or a unique prefix of it
    id: String,
    /// Where to; standard output if left out
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: Destination,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The receipt, or - for standard input
    file: String,
    #[command(flatten)]
    trust: TrustArgs,
}

pub(super) fn run(
    command: &ReceiptCommand,
    global: &Global,
    open: impl FnOnce() -> Result<Transport, Failure>,
) -> Result<Exit, Failure> {
    match command {
        ReceiptCommand::Export(args) => export(args, &open()?),
        ReceiptCommand::Verify(args) => verify(args, global),
    }
}

/// A receipt that does not verify is not written.
fn export(args: &ExportArgs, transport: &Transport) -> Result<Exit, Failure> {
    let id = transport.resolve(&args.id)?;
    let receipt = transport.get(&format!("/api/v1/approvals/{id}/receipt"))?;
    let keys = trust::named(transport)?;
    if keys.is_empty() {
        Err(anyhow!("no key signs this log; `signoff key generate --use log` makes one"))?;
    }
    receipt::verify(&receipt, &keys, transport.verifier())
        .context("the server's receipt does not verify")?;
    let mut out = args.output.create()?;
    writeln!(out, "{receipt}")?;
    out.keep()?;
    if args.output.is_file() {
        if transport.json {
            let made = json!({ "file": args.output.to_string(), "approval_id": id });
            output::line(&made.to_string());
        } else {
            output::line(&format!("wrote the receipt of {id} to {}", args.output));
        }
    }
    Ok(Exit::Done)
}

fn verify(args: &VerifyArgs, global: &Global) -> Result<Exit, Failure> {
    let trusted = args.trust.keys()?;
    let receipt = read(&args.file)?;
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    match receipt::verify(&receipt, &trusted, &verifier) {
        Err(error) => Ok(Verdict::wrong(&error, global.json)),
        Ok(report) => Ok(tell(&report, global.json)),
    }
}

/// The file, and a little more than the longest receipt of one that is longer.
fn read(path: &str) -> Result<String, Failure> {
    let source: Box<dyn Read> = if path == "-" {
        Box::new(stdin().lock())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot read `{path}`"))?)
    };
    let mut text = String::new();
    let read = source.take(RECEIPT_BYTES_MAX as u64 + 1).read_to_string(&mut text);
    read.with_context(|| format!("cannot read `{path}`"))?;
    Ok(text)
}

fn tell(report: &Report, json: bool) -> Exit {
    let verdict = Verdict::of(report.signer.as_ref());
    if json {
        let mut told = json!(report);
        if let Value::Object(told) = &mut told {
            told.insert("verdict".to_owned(), json!(verdict.as_str()));
        }
        output::line(&told.to_string());
        return verdict.exit();
    }
    let field = |name: &str, value: &str| output::line(&format!("{name:<13}{}", one_line(value)));
    output::line(&format!("{}: {} is {}", verdict.sentence(), report.approval_id, report.status));
    field("audience", &report.audience);
    field("agent", &report.agent);
    field("action", &report.action);
    field("reason", report.reason.as_deref().unwrap_or("-"));
    field("requested", &format!("{} by {}", report.requested_at, report.requested_by));
    field("expires", &report.expires_at);
    field("digest", &report.context_hash);
    if let Some(plan_hash) = &report.plan_hash {
        field("plan digest", plan_hash);
    }
    for ballot in &report.ballots {
        field("ballot", &ballot_line(ballot, verdict));
        if let Some(comment) = &ballot.comment {
            field("comment", comment);
        }
    }
    field("requirement", &requirement(report));
    if let Some(execution) = &report.execution {
        let (id, by, at) = (&execution.id, &execution.claimed_by, &execution.claimed_at);
        field("execution", &format!("{id} {} by {by} at {at}", execution.outcome));
    }
    field("log", &format!("{} of {} entries", report.entries, report.checkpoint_size));
    if let Some(signer) = &report.signer {
        field("signer", &signer.to_string());
    }
    verdict.exit()
}

fn ballot_line(ballot: &BallotReport, verdict: Verdict) -> String {
    let proof = match (ballot.proof, verdict) {
        (Proof::Verified, Verdict::Verified) => "signature verified",
        // Whose key that is only the log says, and nobody vouches for the log.
        (Proof::Verified, Verdict::Consistent) => "signature fits the key in the receipt",
        (Proof::Attested, _) => "attested by the log",
    };
    let BallotReport { decision, approver, at, key_id, algorithm, .. } = ballot;
    format!("{decision} by {approver} at {at} ({algorithm} key {key_id}): {proof}")
}

fn requirement(report: &Report) -> String {
    let approvers = match report.threshold {
        1 => "1 approver".to_owned(),
        many => format!("{many} approvers"),
    };
    let groups: String =
        report.groups.iter().map(|(group, least)| format!(", {least} of {group}")).collect();
    let met = if report.requirement_met { "met" } else { "not met" };
    format!("{approvers}{groups}: {met}")
}

fn one_line(text: &str) -> String {
    output::safe(text).replace('\n', "\n             ")
}
