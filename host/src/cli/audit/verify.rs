//! `signoff audit verify`: verifies an exported log offline.

use std::io::{BufReader, Read, stdin};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::super::progress::Progress;
use super::super::trust::{TrustArgs, Verdict};
use super::super::{Exit, Global, context, exit::Failure, output};
use crate::audit::export::{self, Expected, Report};
use signoff_core::log::checkpoint::{self, Checkpoint};

/// Size of the read buffer in bytes.
const BUFFER_BYTES: usize = 256 << 10;

#[derive(Args)]
pub(in super::super) struct VerifyArgs {
    /// The exported log, or - for standard input
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// A checkpoint saved earlier: the log must begin with the entries it covers
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<String>,
}

pub(super) fn run(args: &VerifyArgs, global: &Global) -> Result<Exit, Failure> {
    let trusted = args.trust.keys()?;
    let saved = match &args.checkpoint {
        None => None,
        Some(path) => {
            let note = context::file(path)?;
            let read = if trusted.is_empty() {
                Checkpoint::unverified(&note)
            } else {
                checkpoint::open(&note, &trusted).map(|opened| opened.checkpoint)
            };
            Some(read.with_context(|| format!("the saved checkpoint in `{path}`"))?)
        }
    };
    let expected = Expected { trusted, saved };
    let mut progress = Progress::new("checked", "entries");
    let report = export::verify(file(args)?, &expected, |entries| progress.report(entries));
    drop(progress);
    match report {
        Ok(report) => Ok(print_report(&report, &expected, global.json)),
        Err(error) => Ok(Verdict::wrong(&error, global.json)),
    }
}

fn file(args: &VerifyArgs) -> Result<BufReader<Box<dyn Read>>, Failure> {
    let file: Box<dyn Read> = if args.file.as_os_str() == "-" {
        Box::new(stdin().lock())
    } else {
        let name = args.file.display();
        Box::new(std::fs::File::open(&args.file).with_context(|| format!("cannot read `{name}`"))?)
    };
    Ok(BufReader::with_capacity(BUFFER_BYTES, file))
}

fn print_report(report: &Report, expected: &Expected, json: bool) -> Exit {
    let verdict = Verdict::of(report.signer.is_some());
    let saved = expected.saved.as_ref().map(|saved| saved.size);
    let signer = report.signer.as_ref().map(ToString::to_string);
    if json {
        let report = json!({
            "verdict": verdict.as_str(),
            "audience": report.audience,
            "entries": report.entries,
            "root": hex::encode(report.root),
            "bytes": report.bytes,
            "signed": report.checkpoint.is_some(),
            "signer": signer,
            "extends": saved,
        });
        output::line(&report.to_string());
        return verdict.exit();
    }
    let of = format!("{} entries of `{}`", report.entries, output::safe(&report.audience));
    output::line(&format!("{}: {of}", verdict.sentence()));
    output::line(&format!("root     {}", hex::encode(report.root)));
    if let Some(signer) = signer {
        output::line(&format!("signer   {signer}"));
    }
    if let Some(saved) = saved {
        output::line(&format!("extends  the saved checkpoint of {saved} entries"));
    }
    verdict.exit()
}
