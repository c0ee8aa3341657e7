//! Opens the store of a server, and creates a log key if the keyring has none.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use signoff_core::deceptive::in_one_line;

use super::{ServeArgs, ServerSettings};
use crate::cli::transport::AUDIENCE_DEFAULT;
use crate::keys::{self, KeyError, KeySource, Keys, NewKey, Usage};
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::store::{Store, Trust};

/// The keyring file, in which a log key can be created.
pub(super) struct KeyringFile<'a> {
    pub(super) path: &'a Path,
    /// Whether a command provides keys. If so, a missing keyring file is not created.
    pub(super) has_command: bool,
}

/// An opened store of a server, and how its rows are authenticated.
pub(in crate::cli) struct Opened {
    pub(in crate::cli) store: Arc<RedbStore>,
    pub(in crate::cli) trust: Trust,
    /// Why rows are not authenticated, if they are not.
    pub(in crate::cli) unauthenticated: Option<String>,
}

impl ServeArgs {
    /// Returns the trust settings of the store.
    pub(super) fn trust(&self, keys: &Arc<KeySource>) -> Result<Trust> {
        let trust = crate::keys::trust(keys);
        // Without a log key, heads are unsigned anyway.
        if self.accept_unsigned && has_log_key(&keys.current()?) {
            return Ok(trust.accepting_unsigned_for_now());
        }
        Ok(trust)
    }

    /// Opens or creates the store, and then creates a log key if there is none. In this order,
    /// because an unsigned store does not open once there is a log key: a key that was created
    /// before a failed start would prevent the next one.
    pub(super) async fn open(
        &self,
        settings: &ServerSettings,
        store: &Path,
        keys: &Arc<KeySource>,
        keyring: &KeyringFile<'_>,
        trust: Trust,
    ) -> Result<Opened> {
        let current = keys.current()?;
        let had_log_key = has_log_key(&current);
        if !self.create_store {
            not_lost(store, &current)?;
        }
        ensure!(
            !had_log_key || current.log_key().is_some(),
            "no log key of the keyring is active with its private half, so nothing can be written; restore its entry, or promote another one with `signoff key promote` (create it with `signoff key generate --use log --status verify-only`)"
        );
        // Checked before a store is created: a new store does not extend a witness that has seen
        // another, and a refused start writes nothing.
        if let Some(witness) = &settings.witness {
            ensure!(
                self.accept_rollback
                    || store.try_exists().unwrap_or(true)
                    || fs::metadata(witness).map_or(0, |file| file.len()) == 0,
                "no store at `{}`, but the witness `{}` has seen one; find it, or use a new witness for a new store",
                store.display(),
                witness.display()
            );
        }
        let made = self.create_store && !store.try_exists().unwrap_or(true);
        let audience = settings.audience.as_deref();
        let mode = OpenMode::Create { audience: audience.unwrap_or(AUDIENCE_DEFAULT).to_owned() };
        let opened = RedbStore::open(store, mode, CheckIntegrity::Yes, trust.clone())?;
        ensure!(
            audience.is_none_or(|audience| audience == opened.audience()),
            "the audience of `{}` is `{}`, not `{}`: signatures for one deployment are not valid in another; name the right store, or leave the audience out",
            store.display(),
            opened.audience(),
            audience.unwrap_or_default()
        );
        if made {
            let detail = format!(
                "created a new, empty store for audience `{}`: until a token exists (`signoff token create`), every caller on this machine is admin",
                opened.audience()
            );
            tracing::warn!(detail, "store created");
        }
        if opened.head().await?.signed {
            trust.sign_from_now_on();
        }
        let unauthenticated = match had_log_key {
            true => None,
            false => match make_log_key(keyring) {
                Ok(()) => {
                    // Signed immediately: an unsigned store does not open once there is a log key.
                    opened.sign_head().await?;
                    None
                }
                Err(why) => Some(why),
            },
        };
        Ok(Opened { store: Arc::new(opened), trust, unauthenticated })
    }
}

/// Refuses to create a store if the keyring has a log key: then there was a store, and it is
/// missing. A new one would have no tokens, no recorded settings and no witness.
pub(in crate::cli) fn not_lost(store: &Path, keys: &Keys) -> Result<()> {
    ensure!(
        !has_log_key(keys) || store.try_exists().unwrap_or(true),
        "no store at `{}`, and the keyring has a log key, so there was one; find it, or create a new one with `signoff serve --create-store`",
        store.display()
    );
    Ok(())
}

/// Returns whether there is a trusted log key.
fn has_log_key(keys: &Keys) -> bool {
    !keys.log_public().is_empty()
}

/// Creates a log key in the keyring file and reports it.
///
/// Errors: the reason why no key was created.
fn make_log_key(keyring: &KeyringFile<'_>) -> Result<(), String> {
    let KeyringFile { path, has_command } = keyring;
    if *has_command && !path.exists() {
        return Err(
            "the keys come from a command, which prints no log key; create one with `signoff key generate --use log` and add it there"
                .to_owned(),
        );
    }
    let new = NewKey { usage: Some(Usage::Log), ..NewKey::default() };
    let made = keys::edit(path, |keyring| {
        let log_keys = keyring.described().filter(|(key, _)| key.usage == Usage::Log.as_str());
        if log_keys.count() > 0 {
            let why = "every log key of the keyring is revoked; create a new one with `signoff key generate --use log`";
            return Err(KeyError::Entry(why.to_owned()));
        }
        keyring.generate(new)
    });
    let made = made.map_err(|e| e.to_string())?;
    let detail = format!(
        "created log key `{}` in `{}`: it signs the audit log, which authenticates the store; keep the keyring where users who can write the store cannot read it",
        made.id,
        path.display()
    );
    tracing::info!(detail = in_one_line(&detail), "log key created");
    Ok(())
}
