//! Opens the store of a server, and makes the log key where the keyring has none.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};

use super::ServeArgs;
use crate::cli::output;
use crate::keys::{self, KeyError, KeySource, Keys, NewKey, Usage};
use crate::service;
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::store::{Store, Trust};

/// Where a log key can be made.
pub(super) struct KeyringFile<'a> {
    pub(super) path: &'a Path,
    /// Whether a command gives the keys: then a key in a file is not the operator's way.
    pub(super) has_command: bool,
}

/// A store for a server, and who authenticates its rows.
pub(in crate::cli) struct Opened {
    pub(in crate::cli) store: Arc<RedbStore>,
    pub(in crate::cli) trust: Trust,
    /// Why rows are not authenticated, where they are not.
    pub(in crate::cli) unauthenticated: Option<String>,
}

impl ServeArgs {
    /// What the store is opened with.
    pub(super) fn trust(&self, keys: &Arc<KeySource>) -> Result<Trust> {
        let trust = service::trust(keys);
        // Without a log key an unsigned head is what there is.
        if self.accept_unsigned && has_log_key(&keys.current()?) {
            return Ok(trust.accepting_unsigned_for_now());
        }
        Ok(trust)
    }

    /// Opens the store, or makes it, and makes a log key where there is none. The store comes first: a
    /// key beside a store that cannot be opened would only keep that one from starting later.
    pub(super) async fn open(
        &self,
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
            "no log key of the keyring is active with its private half, so nothing could be written; bring its entry back, or `signoff key promote` another one (`signoff key generate --use log --status verify-only` makes it)"
        );
        // A refused start writes nothing, and an empty store extends no witness.
        if let Some(witness) = &self.witness {
            ensure!(
                self.accept_rollback
                    || store.try_exists().unwrap_or(true)
                    || fs::metadata(witness).map_or(0, |file| file.len()) == 0,
                "no store at `{}`, and the witness `{}` saw one; look for it, or give a new store a witness of its own",
                store.display(),
                witness.display()
            );
        }
        let made = self.create_store && !store.try_exists().unwrap_or(true);
        let mode = OpenMode::Create { audience: self.audience.clone() };
        let opened = RedbStore::open(store, mode, CheckIntegrity::Yes, trust.clone())?;
        if made {
            output::note(&format!(
                "made a new, empty store for audience `{}`: until `signoff token create` makes a token, everybody on this machine is admin",
                opened.audience()
            ));
        }
        if opened.head().await?.signed {
            trust.sign_from_now_on();
        }
        let unauthenticated = match had_log_key {
            true => None,
            false => match make_log_key(keyring) {
                Ok(()) => {
                    // At once: beside a key, a store that nobody signed does not open.
                    opened.sign_head().await?;
                    None
                }
                Err(why) => Some(why),
            },
        };
        Ok(Opened { store: Arc::new(opened), trust, unauthenticated })
    }
}

/// Refuses to make a store where there was one: beside a keyring that has a log key. An empty store
/// would have no token, no recorded setting and no witness.
pub(in crate::cli) fn not_lost(store: &Path, keys: &Keys) -> Result<()> {
    ensure!(
        !has_log_key(keys) || store.try_exists().unwrap_or(true),
        "no store at `{}`, and the keyring has a log key, so there was one; look for it, or make a new one with `signoff serve --create-store`",
        store.display()
    );
    Ok(())
}

/// Whether there is a key whose signature of the log counts.
fn has_log_key(keys: &Keys) -> bool {
    !keys.log_public().is_empty()
}

/// Makes a log key in the keyring file and says so.
///
/// Errors: why there is none.
fn make_log_key(keyring: &KeyringFile<'_>) -> Result<(), String> {
    let KeyringFile { path, has_command } = keyring;
    if *has_command && !path.exists() {
        return Err(
            "a command gives the keys, and it gives no log key; `signoff key generate --use log` makes one to put there"
                .to_owned(),
        );
    }
    let new = NewKey { usage: Some(Usage::Log), ..NewKey::default() };
    let made = keys::edit(path, |keyring| {
        let log_keys = keyring.described().filter(|(key, _)| key.usage == Usage::Log.as_str());
        if log_keys.count() > 0 {
            let why = "every log key of the keyring is revoked; `signoff key generate --use log` makes a new one";
            return Err(KeyError::Entry(why.to_owned()));
        }
        keyring.generate(new)
    });
    let made = made.map_err(|e| e.to_string())?;
    output::note(&format!(
        "made log key `{}` in `{}`: it signs the audit log, which authenticates the store; keep the keyring where those who can write the store cannot read it",
        made.id,
        path.display()
    ));
    Ok(())
}
