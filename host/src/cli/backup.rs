//! `signoff backup`: a copy of the store, checked before it gets its name.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde_json::json;

use super::output::{self, count};
use super::progress::Progress;
use super::transport::Transport;
use super::trust::{self, TrustArgs};
use super::{Exit, exit::Failure};
use crate::folder::{Draft, Folder};
use crate::ledger::rfc3339;
use crate::service::StoredTexts;
use crate::store::redb::{Checked, RedbStore};
use crate::store::{GivenLogKeys, Trust};

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BackupArgs {
    /// The file to write, of mode 0600
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

const EXAMPLES: &str = "Examples:
  signoff backup --server https://signoff.example /backup/signoff-2026-11-30.redb
  signoff backup --store /var/lib/signoff/signoff.redb /backup/signoff.redb   # no server runs
  signoff audit key > log.keys
  signoff backup --trust @log.keys /backup/signoff.redb   # trusts these keys, not the server

The copy is one commit of a running server, which goes on meanwhile. Not in it: the keyring, the settings,
certificates and the witness. Keep the keyring and the settings too, elsewhere: without its log key the
store does not open. Whoever has the file can read every context in it.";

pub(super) fn run(args: &BackupArgs, transport: &Transport) -> Result<Exit, Failure> {
    let path = args.file.as_path();
    let replaced = existing(path, args.force)?;
    if let (Some(replaced), Some(store)) = (&replaced, transport.store_path()) {
        refuse_own_store(replaced, store, path)?;
    }
    // Held until the new file is in place, so that no server opens the old one meanwhile.
    let _held = replaced.map(|replaced| hold(&replaced, path)).transpose()?;
    let given = args.trust.keys()?;
    let shown = if given.is_empty() { trust::named(transport)? } else { Vec::new() };
    let trusts_server = given.is_empty();
    let keys = if trusts_server { shown } else { given };
    let (draft, name) = draft_of(path)?;
    let mut out = draft.file().with_context(|| unwritable(path))?;
    let mut progress = Progress::new("received", "MiB");
    let mut bytes = 0;
    transport.download("/api/v1/store/backup", "{}".to_owned(), |piece| {
        out.write_all(piece).with_context(|| unwritable(path))?;
        bytes += piece.len() as u64;
        progress.report(bytes >> 20);
        Ok(())
    })?;
    drop(progress);
    let trust = Trust::new(Arc::new(GivenLogKeys(keys)));
    let checked = checked(&draft, &trust)
        .map_err(|e| anyhow!("the backup is refused, and nothing was written: {e:#}"))?;
    // The check closes the file, which may shorten it.
    bytes = draft.file()?.metadata()?.len();
    let placed = if args.force { draft.replace(&name) } else { draft.create(&name) };
    placed.with_context(|| unwritable(path))?;
    report(path, bytes, &checked, trusts_server, transport.json);
    Ok(Exit::Done)
}

/// Returns the file that is replaced; `None` if there is none. Refuses, before anything is copied, one
/// that must stay, and what is not a file.
pub(super) fn existing(path: &Path, force: bool) -> Result<Option<PathBuf>> {
    if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    let real = path
        .canonicalize()
        .with_context(|| format!("cannot find what the link `{}` leads to", path.display()))?;
    let meta = real.metadata().with_context(|| unwritable(path))?;
    ensure!(meta.is_file(), "`{}` is not a file; choose another name", path.display());
    ensure!(force, "`{}` already exists; --force replaces it", path.display());
    Ok(Some(real))
}

/// Refuses to replace the store by its own backup.
fn refuse_own_store(replaced: &Path, store: &Path, path: &Path) -> Result<()> {
    let file = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    ensure!(
        file(replaced) != file(store),
        "`{}` is the store itself; choose another file",
        path.display()
    );
    Ok(())
}

/// Locks a file as a store is locked, so that no server and no command opens it until the handle is
/// dropped.
///
/// # Errors
///
/// A server or command holds it, or it cannot be read.
pub(super) fn hold(file: &Path, path: &Path) -> Result<File> {
    let handle = File::open(file)
        .with_context(|| format!("cannot find out whether a server holds `{}`", path.display()))?;
    match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(handle),
        Err(Errno::WOULDBLOCK) => {
            bail!(
                "a server or command holds `{}`; stop it first, or choose another file",
                path.display()
            )
        }
        Err(error) => Err(error).with_context(|| {
            format!("cannot find out whether a server holds `{}`", path.display())
        }),
    }
}

/// Creates an unfinished file next to a path. Returns the path's name, too.
pub(super) fn draft_of(path: &Path) -> Result<(Draft, std::ffi::OsString)> {
    let (folder, name) = Folder::of(path).with_context(|| unwritable(path))?;
    let draft = folder.nameless_draft(&name, 0o600).with_context(|| unwritable(path))?;
    Ok((draft, name))
}

/// Checks a copy: every page, the log and its signed head, and every row against the log.
pub(super) fn checked(draft: &Draft, trust: &Trust) -> Result<Checked> {
    // A missing stored answer means that nobody asked before; it is no difference.
    let texts = StoredTexts { now: u64::MAX };
    let checked = RedbStore::check(draft.file()?, "the copy", trust, &texts)?;
    if let Some(first) = checked.examined.differences.first() {
        let rows = count(usize::try_from(checked.examined.differing).unwrap_or(usize::MAX), "row");
        return Err(anyhow!("{rows} differ from its audit log, such as {first}"));
    }
    Ok(checked)
}

fn report(path: &Path, bytes: u64, checked: &Checked, trusts_server: bool, json: bool) {
    let file = path.display().to_string();
    let Checked { audience, root, at, signed, examined } = checked;
    if json {
        let shown = json!({
            "file": file,
            "bytes": bytes,
            "audience": audience,
            "approvals": examined.approvals,
            "entries": examined.entries,
            "root": hex::encode(root),
            "last_entry_at": rfc3339(*at),
            "signed": signed,
            "log_key": if !signed { "none" } else if trusts_server { "server" } else { "given" },
        });
        output::line(&shown.to_string());
        return;
    }
    output::line(&format!(
        "wrote {bytes} bytes to {file}: {} approvals and {} audit entries of audience {audience}, root {}",
        examined.approvals,
        examined.entries,
        hex::encode(root)
    ));
    output::note(match (signed, trusts_server) {
        (false, _) => "no log key signs this log: an edit of the backup would not be noticed",
        (true, true) => {
            "its head is signed by a key that the server names; give --trust to trust only yours"
        }
        (true, false) => "its head is signed by a log key that you gave",
    });
    output::note(
        "not in it: keyring, settings, certificates, witness; keep keyring and settings elsewhere",
    );
}

pub(super) fn unwritable(path: &Path) -> String {
    format!("cannot write `{}`", path.display())
}
