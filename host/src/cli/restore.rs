//! `signoff restore`: puts a checked backup in the place of the store.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use serde_json::json;

use super::backup::{checked, draft_of, existing, hold, unwritable};
use super::output;
use super::transport::Target;
use super::{Exit, Global, exit::Failure};
use crate::ledger::rfc3339;
use crate::start::WITNESS_SETTING;
use crate::store::redb::{CheckIntegrity, Checked, OpenMode, RedbStore};
use crate::store::{RowKind, Store, StoreError, Trust};

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// Replace the store that exists; its server must be stopped
    #[arg(long)]
    force: bool,
    /// The audience that the backup must have
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
}

const EXAMPLES: &str = "Examples:
  signoff restore /backup/signoff.redb --store /var/lib/signoff/signoff.redb
  signoff restore /backup/signoff.redb --force --audience payments
  signoff serve --witness /mnt/other/checkpoint --accept-rollback   # the next start

Put the keyring back first: a backup that none of its log keys signed is refused. What was approved,
claimed or revoked after the backup is not in it. --accept-rollback therefore expires every unfinished
approval and revokes every token.";

pub(super) fn run(args: &RestoreArgs, global: &Global, target: &Target) -> Result<Exit, Failure> {
    let Target::Store(store) = target else {
        return Err(Failure::usage(
            "restore writes a store file: leave out --server, and unset SIGNOFF_SERVER",
        ));
    };
    let existing = existing(store, args.force)?;
    let exists = existing.is_some();
    let trust = crate::keys::trust(&global.key_source(&global.config()?));
    let replaced = existing.as_deref().map(|path| Replaced::hold(path, &trust)).transpose()?;
    // A link to the store stays a link.
    let path = existing.unwrap_or_else(|| store.clone());
    let (draft, name) = draft_of(&path)?;
    copy(&args.file, draft.file()?)?;
    let found = checked(&draft, &trust).map_err(|e| {
        let is_untrusted =
            matches!(e.downcast_ref(), Some(StoreError::Untrusted(_) | StoreError::Unsigned(_)));
        let hint = match is_untrusted {
            true => {
                "; if its log key was rotated or revoked since, put the keyring of that time in place (docs/operations.md)"
            }
            false => "",
        };
        anyhow!("`{}` is refused, and nothing changed: {e:#}{hint}", args.file.display())
    })?;
    let expected = [args.audience.as_deref(), replaced.as_ref().and_then(Replaced::audience)];
    for expected in expected.into_iter().flatten() {
        if found.audience != expected {
            return Err(Failure::Failed(anyhow!(
                "`{}` is of audience `{}`, expected `{expected}`; nothing changed",
                args.file.display(),
                found.audience
            )));
        }
    }
    if exists {
        draft.own_as(&path.metadata()?).with_context(|| unwritable(&path))?;
    }
    let placed = if exists { draft.replace(&name) } else { draft.create(&name) };
    placed.with_context(|| unwritable(&path))?;
    drop(replaced);
    let witness = witness_of(&path, trust)?;
    report(&path, &found, witness.as_deref(), global.json);
    Ok(Exit::Done)
}

/// The store that is replaced, locked against servers and commands.
enum Replaced {
    Open(RedbStore),
    /// It does not open.
    Unopened {
        _held: File,
        audience: Option<String>,
    },
}

impl Replaced {
    /// Refuses a store that a server holds, and one of which that cannot be found out. A damaged one is
    /// replaced unread; of one that is not trusted, only the audience is read.
    fn hold(path: &Path, trust: &Trust) -> Result<Self> {
        let why = match RedbStore::open(path, OpenMode::Write, CheckIntegrity::No, trust.clone()) {
            Ok(store) => return Ok(Self::Open(store)),
            Err(why) => why,
        };
        if matches!(why, StoreError::Io(_)) {
            bail!("cannot find out whether a server holds `{}`: {why}", path.display());
        }
        // Before it is locked, also against reading.
        let audience = match why {
            StoreError::Untrusted(_) | StoreError::Unsigned(_) => {
                RedbStore::audience_untrusted(path).ok()
            }
            _ => None,
        };
        let held = hold(path, path)?;
        output::note(&format!("the store that is replaced does not open: {why}"));
        Ok(Self::Unopened { _held: held, audience })
    }

    fn audience(&self) -> Option<&str> {
        match self {
            Self::Open(store) => Some(store.audience()),
            Self::Unopened { audience, .. } => audience.as_deref(),
        }
    }
}

/// Copies a backup, which stays unchanged.
fn copy(from: &Path, mut to: File) -> Result<()> {
    let cannot = || format!("cannot read `{}`", from.display());
    let meta = from.metadata().with_context(cannot)?;
    ensure!(meta.is_file(), "`{}` is not a file", from.display());
    let mut from = File::open(from).with_context(cannot)?;
    io::copy(&mut from, &mut to).context("cannot copy the backup next to the store")?;
    Ok(())
}

/// Returns the witness that the restored log records.
fn witness_of(path: &Path, trust: Trust) -> Result<Option<String>> {
    let store = RedbStore::open(path, OpenMode::Read, CheckIntegrity::No, trust)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let row = runtime.block_on(store.row(RowKind::Setting, WITNESS_SETTING))?;
    let value = row.and_then(|row| serde_json::from_str::<serde_json::Value>(&row.value).ok());
    Ok(value.and_then(|value| value.get("path")?.as_str().map(str::to_owned)))
}

fn report(path: &Path, found: &Checked, witness: Option<&str>, json: bool) {
    let store = path.display().to_string();
    let Checked { audience, root, at, signed, examined } = found;
    if json {
        let shown = json!({
            "store": store,
            "audience": audience,
            "approvals": examined.approvals,
            "entries": examined.entries,
            "root": hex::encode(root),
            "last_entry_at": rfc3339(*at),
            "signed": signed,
            "witness": witness,
        });
        output::line(&shown.to_string());
        return;
    }
    output::line(&format!(
        "restored {store}: {} approvals and {} audit entries of audience {audience}, the last of {}",
        examined.approvals,
        examined.entries,
        rfc3339(*at)
    ));
    let file = witness.unwrap_or("FILE");
    let new = if witness.is_some() { "" } else { " --new-witness" };
    output::line("next:");
    let (store, file) = (output::shell_word(&store), output::shell_word(file));
    output::line(&format!(
        "  signoff serve --store {store} --witness {file}{new} --accept-rollback"
    ));
    output::line(
        "It expires every unfinished approval, since one may have been claimed after the backup, and revokes every token, since one may have been revoked after it (--keep-token ID keeps one).",
    );
    if witness.is_some() {
        output::line(
            "On another machine, for a drill, use `--witness ./checkpoint --new-witness --accept-rollback`: that witness belongs to the real server.",
        );
    }
    note_owner(path);
    if witness.is_none() {
        output::note(
            "the log records no witness: a plain `signoff serve` also starts, and would let approvals be claimed a second time",
        );
    }
}

/// A store of root in the folder of a server's user does not open for that server.
fn note_owner(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let (Ok(file), Ok(of_folder)) = (path.metadata(), folder.metadata()) else { return };
    if file.uid() != of_folder.uid() {
        output::note(&format!(
            "the store belongs to user {}, its folder to user {}: if the server runs as that user, run `chown --reference={} {}`",
            file.uid(),
            of_folder.uid(),
            output::shell_word(&folder.display().to_string()),
            output::shell_word(&path.display().to_string())
        ));
    }
}
