//! `signoff store prune`: archives the receipts of old approvals, removes the approvals, and compacts the
//! file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};

use super::super::progress::Progress;
use super::super::receipt::Expected;
use super::super::transport::{Access, Transport};
use super::super::{Exit, context, exit::Failure, output, trust};
use super::archive::Archive;
use super::compact;
use crate::api::{PrunableList, PrunableShown, PrunedShown};
use crate::log_key::LogKey;

/// Receipts in memory before they are written, in bytes.
const ARCHIVED_AT_ONCE: usize = 16 << 20;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct PruneArgs {
    /// How long ago the last change must be: 90d, 24h
    #[arg(long, value_name = "TIME", value_parser = context::seconds)]
    older_than: i64,
    /// Append the receipt of each approval to this file, one per line, before it is removed
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Count what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "Examples:
  signoff store prune --older-than 90d --dry-run
  signoff store prune --older-than 90d --archive /archive/receipts.jsonl
  grep '\"id\":\"appr_01k7r0000000000000000000a0\"' /archive/receipts.jsonl | tail -n 1 |
    signoff receipt verify - --trust @log.keys

Only final approvals: rejected, expired, withdrawn, or executed with an outcome, also if it is unknown.
The audit log keeps every entry about them. An interrupted command goes on where it was; a receipt may
then be twice in the archive. Without --archive nothing proves a removed approval but the log.";

/// What was done.
#[derive(Default)]
struct Done {
    by_status: BTreeMap<String, u64>,
    pruned: u64,
    skipped: u64,
    damaged: u64,
    /// Approvals whose receipt does not verify; they stay.
    unproven: u64,
}

pub(super) fn run(args: &PruneArgs, transport: &Transport) -> Result<Exit, Failure> {
    let older_than = u64::try_from(args.older_than)
        .map_err(|_| Failure::usage("--older-than must not be negative"))?;
    transport.keep_open()?;
    let mut archive = match (&args.archive, args.dry_run) {
        (Some(path), false) => Some((Archive::open(path)?, log_keys(transport)?)),
        _ => None,
    };
    let mut done = Done::default();
    let mut progress = Progress::new(if args.dry_run { "found" } else { "pruned" }, "approvals");
    let mut cursor: Option<String> = None;
    loop {
        let after = cursor.as_ref().map(|cursor| format!("&cursor={cursor}"));
        let path = format!(
            "/api/v1/store/prunable?older_than_seconds={older_than}{}",
            after.unwrap_or_default()
        );
        let page: PrunableList = transport.parse(&transport.get(&path)?)?;
        done.damaged += page.damaged;
        for prunable in &page.items {
            *done.by_status.entry(prunable.status.clone()).or_default() += 1;
        }
        if args.dry_run {
            done.pruned += page.items.len() as u64;
        } else {
            let archive = archive.as_mut().map(|(archive, keys)| (archive, keys.as_slice()));
            prune(&page.items, older_than, archive, &mut done, transport)?;
        }
        progress.report(done.pruned);
        super::super::list::next(&mut cursor, page.next_cursor)?;
        if cursor.is_none() {
            break;
        }
    }
    drop(progress);
    let compacts = !args.dry_run && done.pruned > 0;
    let compacted = if compacts { Some(compact::compact(transport)?) } else { None };
    if transport.json {
        let shown = json!({
            "dry_run": args.dry_run,
            "pruned": done.pruned,
            "by_status": done.by_status,
            "skipped": done.skipped,
            "damaged": done.damaged,
            "unproven": done.unproven,
            "compacted": compacted,
        });
        output::line(&shown.to_string());
    } else {
        done.print(args.dry_run);
        compacted.iter().for_each(|compacted| output::line(&compact::words(compacted)));
    }
    let is_whole = done.damaged == 0 && done.unproven == 0;
    Ok(if is_whole { Exit::Done } else { Exit::Failed })
}

fn log_keys(transport: &Transport) -> Result<Vec<LogKey>, Failure> {
    let keys = trust::named(transport)?;
    if keys.is_empty() {
        Err(anyhow!(
            "no key signs this log, so there are no receipts to archive; create one with `signoff key generate --use log`"
        ))?;
    }
    Ok(keys)
}

/// Archives a page of approvals, then removes those whose receipt is on disk.
fn prune(
    page: &[PrunableShown],
    older_than: u64,
    archive: Option<(&mut Archive, &[LogKey])>,
    done: &mut Done,
    transport: &Transport,
) -> Result<(), Failure> {
    let Some((archive, keys)) = archive else {
        return remove(page, older_than, done, transport);
    };
    let (mut lines, mut archived) = (String::new(), Vec::<PrunableShown>::new());
    for prunable in page {
        match receipt(prunable, keys, transport)? {
            Ok(receipt) => {
                lines.push_str(&receipt);
                lines.push('\n');
                archived.push(prunable.clone());
            }
            Err(why) => {
                done.unproven += 1;
                output::note(&format!("{} stays: {why}", prunable.id));
            }
        }
        if lines.len() > ARCHIVED_AT_ONCE {
            archive.append(&lines)?;
            remove(&archived, older_than, done, transport)?;
            lines.clear();
            archived.clear();
        }
    }
    archive.append(&lines)?;
    remove(&archived, older_than, done, transport)
}

/// Returns the receipt of an approval, or why it proves nothing.
fn receipt(
    prunable: &PrunableShown,
    keys: &[LogKey],
    transport: &Transport,
) -> Result<Result<String, String>, Failure> {
    let id = prunable.id.as_str();
    let receipt = match transport.get(&format!("/api/v1/approvals/{id}/receipt")) {
        Err(Failure::Refused { problem, .. }) => return Ok(Err(problem.detail)),
        receipt => receipt?,
    };
    let expected = Expected { log_keys: keys, id: Some(id), audience: None, keys: &[] };
    Ok(match expected.report(&receipt, transport.verifier()) {
        Ok(_) if receipt.contains('\n') => Err("its receipt has more than one line".to_owned()),
        Ok(_) => Ok(receipt),
        Err(failure) => Err(format!("its receipt does not verify: {failure}")),
    })
}

fn remove(
    approvals: &[PrunableShown],
    older_than: u64,
    done: &mut Done,
    transport: &Transport,
) -> Result<(), Failure> {
    if approvals.is_empty() {
        return Ok(());
    }
    let items: Vec<Value> =
        approvals.iter().map(|item| json!({ "id": item.id, "entry": item.entry })).collect();
    let body = json!({ "older_than_seconds": older_than, "approvals": items });
    let answer = transport.post("/api/v1/store/prune", body.to_string(), Access::Write)?;
    let PrunedShown { pruned, skipped } = transport.parse(&answer)?;
    done.pruned += pruned;
    done.skipped += skipped;
    Ok(())
}

impl Done {
    fn print(&self, dry_run: bool) {
        let what = if dry_run { "would remove" } else { "removed" };
        let by_status: Vec<String> =
            self.by_status.iter().map(|(status, n)| format!("{n} {status}")).collect();
        let found = match by_status.is_empty() {
            true => String::new(),
            false => format!(" (found {})", by_status.join(", ")),
        };
        output::line(&format!("{what} {} approvals{found}", self.pruned));
        for (number, why) in [
            (self.skipped, "were changed meanwhile and stay"),
            (self.damaged, "do not match the audit log and stay; run `signoff doctor`"),
            (self.unproven, "have no receipt that verifies and stay"),
        ] {
            if number > 0 {
                output::note(&format!("{number} approvals {why}"));
            }
        }
    }
}
