//! `signoff receipt`: exports the proof of one approval to a file, and verifies it offline.

use std::fs::File;
use std::io::{IsTerminal, Read, Write, stdin, stdout};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use signoff_core::decision::Decision;

use super::destination::Destination;
use super::screen::Screen;
use super::transport::Transport;
use super::trust::{self, TrustArgs, Verdict};
use super::{Exit, Global, exit::Failure, output};
use crate::audit::receipt::{BallotReport, Proof, RECEIPT_BYTES_MAX, Report};
use crate::engine::{Allocation, Cache};
use crate::keys::Keys;
use crate::log_key::LogKey;
use crate::verifier::{self, Accepted, Key, ReceiptArgs, Verifier};

#[derive(Subcommand)]
pub(super) enum ReceiptCommand {
    /// Write an approval's receipt: request, ballots and claim, with proofs from the log
    Export(ExportArgs),
    /// Verify a receipt, without a server
    Verify(VerifyArgs),
}

#[derive(Args)]
pub(super) struct ExportArgs {
    /// The approval's id, or a unique prefix of it
    id: String,
    /// The output file, or - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: Destination,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The receipt, or - for standard input
    file: String,
    #[command(flatten)]
    trust: TrustArgs,
    /// A keyring with approvers' keys: a ballot's key in it must be the key in the log, and its
    /// approver, groups and status are used instead of the log's
    #[arg(long, value_name = "KEYRING")]
    keys: Option<PathBuf>,
    /// The id of the approval that the receipt must prove
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The audience that the receipt must have
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
}

/// The accepted profiles of ballots in a receipt. The report says what each ballot proves.
const PROFILES: [&str; 2] = ["v1", "v2"];

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

/// Writes a receipt only if it verifies.
fn export(args: &ExportArgs, transport: &Transport) -> Result<Exit, Failure> {
    let id = transport.resolve(&args.id)?;
    let receipt = transport.get(&format!("/api/v1/approvals/{id}/receipt"))?;
    let keys = trust::named(transport)?;
    if keys.is_empty() {
        Err(anyhow!("no key signs this log; create one with `signoff key generate --use log`"))?;
    }
    let expected = Expected { log_keys: &keys, id: Some(&id), audience: None, keys: &[] };
    expected
        .report(&receipt, transport.verifier())
        .map_err(|e| anyhow!("the server's receipt does not verify: {}", failure_text(&e)))?;
    let mut out = args.output.create_private()?;
    // No trailing line feed in a file: the exact file is verified.
    write!(out, "{receipt}")?;
    if !args.output.is_file() && stdout().is_terminal() {
        writeln!(out)?;
    }
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
    let keyring = args.keys.as_deref().map(Keys::load).transpose()?;
    let receipt = read(&args.file)?;
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    let expected = Expected {
        log_keys: &trusted,
        id: args.id.as_deref(),
        audience: args.audience.as_deref(),
        keys: keyring.as_ref().map(Keys::entries).unwrap_or_default(),
    };
    match expected.report(&receipt, &verifier) {
        Err(verifier::Failure::Rejected(r)) if r.code == "request-invalid" => {
            Err(Failure::usage(r.message))
        }
        Err(error) => Ok(Verdict::wrong(&failure_text(&error), global.json)),
        Ok(report) => Ok(print_report(&report, global.json)),
    }
}

/// The expectations of a receipt, and the trusted keys.
pub(super) struct Expected<'a> {
    pub(super) log_keys: &'a [LogKey],
    pub(super) id: Option<&'a str>,
    pub(super) audience: Option<&'a str>,
    pub(super) keys: &'a [Key],
}

impl Expected<'_> {
    pub(super) fn report(
        &self,
        receipt: &str,
        verifier: &Verifier,
    ) -> Result<Report, verifier::Failure> {
        let log_keys: Vec<String> = self.log_keys.iter().map(ToString::to_string).collect();
        let args = ReceiptArgs {
            receipt,
            log_keys: &log_keys,
            id: self.id,
            audience: self.audience,
            accepted: Accepted { keys: self.keys, profiles: &PROFILES.map(str::to_owned) },
            checkpoint: None,
            consistency: &[],
        };
        Report::of(verifier, &args)
    }
}

/// Returns why a receipt does not verify.
fn failure_text(failure: &verifier::Failure) -> String {
    match failure {
        verifier::Failure::Rejected(rejection) => rejection.message.clone(),
        verifier::Failure::Trapped(_) => failure.to_string(),
    }
}

/// Reads a file, at most one byte more than the longest receipt.
fn read(path: &str) -> Result<String, Failure> {
    let source: Box<dyn Read> = if path == "-" {
        Box::new(stdin().lock())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot read `{path}`"))?)
    };
    let mut text = String::new();
    let read = source.take(RECEIPT_BYTES_MAX as u64 + 1).read_to_string(&mut text);
    read.with_context(|| format!("cannot read `{path}`"))?;
    // A line of an archive ends with a line feed, which is no part of the receipt.
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

fn print_report(report: &Report, json: bool) -> Exit {
    let verdict = Verdict::of(report.signer.is_some());
    if json {
        let mut output = json!(report);
        if let Value::Object(members) = &mut output {
            members.insert("verdict".to_owned(), json!(verdict.as_str()));
        }
        output::line(&output.to_string());
        return verdict.exit();
    }
    let mut screen = Screen::new();
    screen.heading(&format!("{}: {} is {}", verdict.sentence(), report.approval_id, report.status));
    let mut field = |name: &str, value: &str| screen.field(name, value);
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
    if let Some(at) = &report.erased_at {
        field("erased", at);
    }
    field("log", &format!("{} of {} entries", report.entries, report.checkpoint_size));
    if let Some(signer) = &report.signer {
        field("signer", signer);
    }
    screen.print();
    verdict.exit()
}

fn ballot_line(ballot: &BallotReport, verdict: Verdict) -> String {
    let proof = match (ballot.proof, verdict) {
        (Proof::Pinned, _) => "signature verified with the key given",
        (Proof::Logged, Verdict::Verified) => "signature verified with the key in the log",
        // Only the log says whose key that is, and the log is not authenticated.
        (Proof::Logged, Verdict::Consistent) => "signature fits the key in the receipt",
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
    let is_attested = |ballot: &&BallotReport| {
        ballot.decision == Decision::Approved.as_str() && ballot.proof == Proof::Attested
    };
    let attested = report.ballots.iter().filter(is_attested).count();
    let met = match (report.requirement_met, attested) {
        (false, _) => "not met".to_owned(),
        (true, 0) => "met".to_owned(),
        (true, 1) => "met; 1 approval is attested by the log alone".to_owned(),
        (true, _) => format!("met; {attested} approvals are attested by the log alone"),
    };
    format!("{approvers}{groups}: {met}")
}
