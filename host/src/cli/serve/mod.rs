//! `signoff serve`: serves the HTTP API over a store file.

mod announce;
mod certificates;
mod events;
mod health;
mod opening;
mod running;
mod server_settings;
mod service_manager;
mod signals;

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;

use self::opening::KeyringFile;
use self::service_manager::ServiceManager;
use self::signals::Files;
use super::setting_args::SettingArgs;
use super::transport::Target;
use super::{Exit, Global, exit::Failure};
use crate::config::Effective;
use crate::keys::KeyError;
use crate::server::{self, Exposure, ListenAddress};
use crate::settings::Listener;
use crate::start::Accepted;
use crate::start::WitnessFile;

pub(super) use self::opening::{Opened, not_lost};
pub(super) use self::running::{Running, Setup, StartArgs};
pub(super) use self::server_settings::ServerSettings;
pub(super) use self::signals::interruption;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    settings: SettingArgs,
    /// Create a missing store even though the keyring has a log key
    #[arg(long)]
    create_store: bool,
    /// Create the first witness of this store
    #[arg(long)]
    new_witness: bool,
    /// Accept a store that does not extend its witness, and expire every unfinished approval
    #[arg(long)]
    accept_rollback: bool,
    /// Accept a store whose head is not signed by a log key even though the keyring has one, and
    /// expire every unfinished approval
    #[arg(long)]
    accept_unsigned: bool,
    /// Accept settings that are weaker than the recorded ones; the error message shows their digest
    #[arg(long, value_name = "DIGEST")]
    accept_weaker_settings: Option<String>,
    /// Accept a clock more than 30 days after the last audit entry; expires unfinished approvals
    #[arg(long)]
    accept_clock: bool,
}

const EXAMPLES: &str = "Examples:
  signoff serve
  signoff serve --listen 127.0.0.1:8787 --listen unix:/run/user/1000/signoff.sock
  signoff serve --listen :8443 --tls-cert tls.pem --tls-key tls.key
  signoff serve --config /etc/signoff/signoff.toml                  # all of it in a file
  signoff serve --witness /mnt/other/checkpoint --new-witness   # the first start with a witness
  signoff serve --witness /mnt/other/checkpoint                 # every later one
  signoff serve --witness /mnt/other/checkpoint --accept-rollback   # after a restore from a backup

A flag takes precedence over its variable, and this over the settings file: docs/settings.md has all
of them, `signoff config show` those in force. What is accepted at a start (--new-witness, --accept-…)
is recorded in the audit log, and only a flag accepts it, never a file or a variable.";

pub(super) fn run(args: &ServeArgs, global: &Global, target: &Target) -> Result<Exit, Failure> {
    let Target::Store(store) = target else {
        return Err(Failure::usage(
            "serve works on a store file: leave out --server, and unset SIGNOFF_SERVER",
        ));
    };
    log_to_stderr(global.json);
    let manager = ServiceManager::of_environment();
    let file = global.settings_file()?;
    let settings = ServerSettings::of(&Effective::of(&args.settings.given, &file))?;
    args.check(&settings)?;
    let config = file.config();
    let keys = global.key_source(&config);
    // Before anything is created: a server cannot run without keys.
    keys.load().map_err(|e| absent_keys(e, store, &global.keyring()))?;
    let tls = settings.tls()?;
    let witness = settings.witness.as_ref().map(WitnessFile::at);
    let keyring = global.keyring();
    let keyring = KeyringFile { path: &keyring, has_command: config.keys.command.is_some() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let trust = args.trust(&keys)?;
        let endpoints = server::resolve(&settings.listen).await?;
        let addresses = || endpoints.iter().flatten();
        let is_local = addresses().all(ListenAddress::is_local);
        let mut exposure = settings.exposure(is_local, store, trust.clone()).await?;
        addresses().try_for_each(|address| exposure.allows(address))?;
        let opened = args.open(&settings, store, &keys, &keyring, trust).await?;
        exposure.unauthenticated = opened.unauthenticated.is_some();
        let mut listeners = Vec::new();
        for addresses in &endpoints {
            listeners.extend(server::bind_all(addresses, exposure).await?);
        }
        // Before the address is printed: a caller that knows it may stop the server right away.
        let interruption = interruption()?;
        let start = args.started(is_local, exposure, witness.as_ref());
        let setup = Setup { opened, keys, config, start, tls };
        let running = Running::start(setup, listeners).await?;
        let certificates = running.certificates.clone();
        let service = Arc::clone(&running.service);
        let health = health::report(manager.clone(), Arc::clone(&service), running.url.clone());
        signals::on_hangup(Files { certificates, service, manager: manager.clone() })?;
        running.announce(global.json, store).await;
        manager.ready().await;
        tokio::spawn(health);
        if !settings.quiet {
            tokio::spawn(events::print(Arc::clone(&running.service), global.json));
        }
        interruption.await;
        manager.stopping().await;
        running.stop().await;
        Ok(Exit::Done)
    })
}

/// Says which keys a store has lost. Without a store it is a first start, for which [`KeyError::None`]
/// has the advice: here `signoff init` would make keys that verify nothing of this store.
fn absent_keys(error: KeyError, store: &Path, keyring: &Path) -> anyhow::Error {
    if error != KeyError::None || !store.exists() {
        return error.into();
    }
    anyhow!(
        "no keys: there is no keyring `{}`, and neither SIGNOFF_HMAC_SECRET nor HMAC_SECRET is set; `{}` exists, so there were keys: restore the keyring, or name it with --keyring, SIGNOFF_KEYRING or `file` below `[keys]`; new keys would verify nothing that the old ones signed",
        keyring.display(),
        store.display()
    )
}

/// Writes one line for each failure of the server to stderr; JSON with `--json`.
fn log_to_stderr(json: bool) {
    let lines = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        // A log that cannot be written must not end a request: the default is to panic.
        .log_internal_errors(false)
        .with_ansi(false);
    // A second server of one process, as in a test, has the first one's.
    let _ = if json { lines.json().flatten_event(true).try_init() } else { lines.try_init() };
}

impl ServeArgs {
    /// Checks that what is accepted has something to accept.
    fn check(&self, settings: &ServerSettings) -> Result<(), Failure> {
        let given =
            [(self.new_witness, "--new-witness"), (self.accept_rollback, "--accept-rollback")];
        match given.iter().find(|(given, _)| *given && settings.witness.is_none()) {
            None => Ok(()),
            Some((_, flag)) => Err(Failure::usage(format!(
                "{flag} needs a witness: --witness FILE, SIGNOFF_WITNESS, or `file` below `[witness]` in the settings"
            ))),
        }
    }

    /// Returns the arguments of the start.
    fn started<'a>(
        &self,
        is_local: bool,
        exposure: Exposure,
        witness: Option<&'a WitnessFile>,
    ) -> StartArgs<'a> {
        StartArgs {
            listener: Listener {
                loopback: is_local,
                tls: exposure.tls,
                behind_proxy: exposure.behind_proxy,
            },
            witness,
            new_witness: self.new_witness,
            accept: Accepted {
                rollback: self.accept_rollback,
                clock: self.accept_clock,
                weaker_settings: self.accept_weaker_settings.clone(),
            },
        }
    }
}
