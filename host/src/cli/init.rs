//! `signoff init`: creates a keyring and a store.

use std::path::Path;

use anyhow::anyhow;
use clap::Args;
use serde_json::json;
use signoff_core::name::Identifier;

use super::transport::{AUDIENCE_DEFAULT, Target, Transport};
use super::{Exit, Global, exit::Failure, output, token};
use crate::api::TokenShown;
use crate::keys::trust;
use crate::keys::{KeyError, make_keyring};
use crate::store::Trust;
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};

/// The subject of the first token.
const ADMIN: &str = "admin";

#[derive(Args)]
pub(super) struct InitArgs {
    /// The deployment's name, fixed for this store; signatures for one deployment are invalid in
    /// another [default: default]
    #[arg(long, value_parser = audience)]
    audience: Option<String>,
}

pub(super) fn run(args: &InitArgs, global: &Global, target: &Target) -> Result<Exit, Failure> {
    let Target::Store(store) = target else {
        return Err(Failure::usage(
            "init creates a store file: leave out --server, and unset SIGNOFF_SERVER",
        ));
    };
    let keyring = global.keyring();
    // Checked before the store is created, so that nothing is created partially; checked again on
    // creation, so that nothing is overwritten.
    if keyring.exists() {
        return Err(KeyError::Exists(keyring.display().to_string()).into());
    }
    // A store whose log is signed belongs to another keyring.
    let audience = match store.try_exists() {
        Ok(false) => None,
        _ => Some(open(store, args.audience.as_deref(), Trust::none())?),
    };
    let made = make_keyring(&keyring)?;
    // Its log key signs the store from now on.
    let trust = trust(&global.key_source(&global.config()?)).accepting_unsigned();
    let audience = open(store, audience.as_deref().or(args.audience.as_deref()), trust)?;
    let token = first_token(target, global)?;
    if global.json {
        let output = json!({
            "store": output::json_path(store),
            "keyring": output::json_path(&keyring),
            "key_id": made.secret,
            "log_key_id": made.log,
            "audience": audience,
            "admin_token": token.as_ref().and_then(|made| made.token.as_deref()),
        });
        output::line(&output.to_string());
        return Ok(Exit::Done);
    }
    let flags = if store.as_os_str() == "./signoff.redb" {
        String::new()
    } else {
        format!(" --store {}", store.display())
    };
    output::line(&format!("created {} (audience {audience})", store.display()));
    output::line(&format!(
        "created {} (keys {} and {}, mode 0600: keep it out of git)",
        keyring.display(),
        made.secret,
        made.log
    ));
    if let Some(made) = &token {
        output::line(&format!(
            "created {} (admin, for {}): a server of this store requires tokens. This one is shown only once:",
            made.id, made.subject
        ));
        output::line(&format!(
            "  export SIGNOFF_TOKEN={}",
            made.token.as_deref().unwrap_or_default()
        ));
    }
    output::line("next:");
    output::line(&format!(
        "  signoff request{flags} --agent demo --action deploy --context '{{\"version\":\"1.2.3\"}}' --reason 'try it'"
    ));
    output::line(&format!("  signoff approve{flags} --approver you@example.com"));
    output::line(&format!("  signoff serve{flags}"));
    Ok(Exit::Done)
}

/// Creates the first token, which can create others, if the store has none yet.
fn first_token(target: &Target, global: &Global) -> Result<Option<TokenShown>, Failure> {
    let transport = Transport::new(target, global)?;
    if token::any(&transport)? {
        return Ok(None);
    }
    let made = token::make(&transport, ADMIN, &["admin".to_owned()], None, None)?;
    transport.parse(&made).map(Some)
}

/// Opens or creates a store. Returns its audience.
fn open(path: &Path, audience: Option<&str>, trust: Trust) -> Result<String, Failure> {
    let mode = OpenMode::Create { audience: audience.unwrap_or(AUDIENCE_DEFAULT).to_owned() };
    let store = RedbStore::open(path, mode, CheckIntegrity::No, trust)?;
    match audience.filter(|audience| *audience != store.audience()) {
        None => Ok(store.audience().to_owned()),
        Some(other) => Err(Failure::Failed(anyhow!(
            "`{}` already exists, and its audience is `{}`, not `{other}`",
            path.display(),
            store.audience()
        ))),
    }
}

fn audience(text: &str) -> Result<String, String> {
    if Identifier::fits(text) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 128 printable ASCII characters without spaces".to_owned())
}
