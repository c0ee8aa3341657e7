//! `signoff serve`: serves the HTTP API over a store file.

mod announce;
mod certificates;
mod events;
mod health;
mod log_settings;
mod opening;
mod running;
mod server_settings;
mod service_manager;
mod signals;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use self::events::Events;
use self::opening::KeyringFile;
use self::service_manager::ServiceManager;
use self::signals::Files;
use super::setting_args::SettingArgs;
use super::transport::Target;
use super::{Exit, Global, exit::Failure};
use crate::config::{Config, Effective};
use crate::keys::KeyError;
use crate::logging::Log;
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
    /// Accept a store that does not extend its witness, or with --new-witness a restored one: expire
    /// every unfinished approval and revoke every token
    #[arg(long)]
    accept_rollback: bool,
    /// The token that --accept-rollback does not revoke. Without it, stop the server after this start,
    /// and create the first one with `signoff token create` on the store file
    #[arg(long, value_name = "ID", requires = "accept_rollback")]
    keep_token: Option<String>,
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

/// How long the end of the process waits for reads that hang.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "Examples:
  signoff serve
  signoff serve --listen 127.0.0.1:8787 --listen unix:/run/user/1000/signoff.sock
  signoff serve --listen :8443 --tls-cert tls.pem --tls-key tls.key
  signoff serve --config /etc/signoff/signoff.toml                  # all of it in a file
  signoff serve --witness /mnt/other/checkpoint --new-witness   # the first start with a witness
  signoff serve --witness /mnt/other/checkpoint                 # every later one
  signoff serve --witness /mnt/other/checkpoint --accept-rollback   # after `signoff restore`
  signoff serve --witness /mnt/other/checkpoint --accept-rollback --keep-token tok_01k…

A flag takes precedence over its variable, and this over the settings file: docs/settings.md has all
of them, `signoff config show` those in force. What is accepted at a start (--new-witness, --accept-…)
is recorded in the audit log, and only a flag accepts it, never a file or a variable.";

pub(super) fn run(args: &ServeArgs, global: &Global, target: &Target) -> Result<Exit, Failure> {
    let Target::Store(store) = target else {
        return Err(Failure::usage(
            "serve works on a store file: leave out --server, and unset SIGNOFF_SERVER",
        ));
    };
    let file = global.settings_file()?;
    let settings = ServerSettings::of(&Effective::of(&args.settings.given, &file))?;
    args.check(&settings)?;
    let log = Log::install(settings.log.format(global.json), settings.log.level());
    let served = serve(args, &settings, &file.config(), global, store);
    log.flush();
    served
}

fn serve(
    args: &ServeArgs,
    settings: &ServerSettings,
    config: &Config,
    global: &Global,
    store: &Path,
) -> Result<Exit, Failure> {
    let manager = ServiceManager::of_environment();
    let keys = global.key_source(config);
    // Before anything is created: a server cannot run without keys.
    keys.load().map_err(|e| absent_keys(e, store, &global.keyring()))?;
    let tls = settings.tls()?;
    let witness = settings.witness.as_ref().map(WitnessFile::at);
    let keyring = global.keyring();
    let keyring = KeyringFile { path: &keyring, has_command: config.keys.command.is_some() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let trust = args.trust(&keys)?;
        let endpoints = server::resolve(&settings.listen).await?;
        let addresses = || endpoints.iter().flatten();
        let is_local = addresses().all(ListenAddress::is_local);
        let mut exposure = settings.exposure(is_local, store, trust.clone()).await?;
        addresses().try_for_each(|address| exposure.allows(address))?;
        let opened = args.open(settings, store, &keys, &keyring, trust).await?;
        exposure.unauthenticated = opened.unauthenticated.is_some();
        let mut listeners = Vec::new();
        for addresses in &endpoints {
            listeners.extend(server::bind_all(addresses, exposure).await?);
        }
        // Before the address is printed: a caller that knows it may stop the server right away.
        let interruption = interruption()?;
        let start = args.started(is_local, exposure, witness.as_ref());
        let config = config.clone();
        let setup = Setup { opened, keys, config, start, tls };
        let running = Running::start(setup, listeners).await?;
        let certificates = running.certificates.clone();
        let service = Arc::clone(&running.service);
        let health = health::report(manager.clone(), Arc::clone(&service), running.url.clone());
        signals::on_hangup(Files { certificates, service, manager: manager.clone() })?;
        running.log_ready().await;
        if settings.log.prints_start(global.json) {
            running.announce(global.json, store).await;
        }
        manager.ready().await;
        tokio::spawn(health);
        let events = match settings.log.prints_events() {
            true => Some(Events::start(Arc::clone(&running.service), global.json)?),
            false => None,
        };
        let signal = interruption.await;
        manager.stopping().await;
        running.stop(signal).await;
        if let Some(events) = events {
            events.finish().await;
        }
        tracing::info!("stopped");
        Ok(Exit::Done)
    });
    // A read that hangs, as of a file on a lost network mount, does not hold up the end.
    runtime.shutdown_timeout(SHUTDOWN_TIME_MAX);
    served
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
                keep_token: self.keep_token.clone(),
                clock: self.accept_clock,
                weaker_settings: self.accept_weaker_settings.clone(),
            },
        }
    }
}
