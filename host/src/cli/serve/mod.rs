//! `signoff serve`: the HTTP API over a store file.

mod announce;
mod events;
mod running;
mod signals;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use self::running::Witnessed;
use self::signals::Files;
use super::transport::{AUDIENCE_DEFAULT, Target};
use super::{Exit, Global, exit::Failure};
use crate::server::{self, Exposure, Tls};
use crate::service;
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::store::{StoreError, Trust};
use crate::witness::WitnessFile;

pub(super) use self::running::{Running, Setup};
pub(super) use self::signals::interruption;

#[derive(Args)]
pub(super) struct ServeArgs {
    /// The address to listen on; another than loopback needs tokens and an encrypted way
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// The certificate to speak TLS with, PEM, its issuers after it; SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM, mode 0600
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// A reverse proxy terminates TLS in front of this server; needs tokens, also on loopback
    #[arg(long)]
    behind_proxy: bool,
    /// The deployment's name, if the store is made now
    #[arg(long, default_value = AUDIENCE_DEFAULT)]
    audience: String,
    /// Keep the last checkpoint of the audit in this file, outside the store: a store that does not
    /// extend it does not start
    #[arg(long, value_name = "PATH")]
    witness: Option<PathBuf>,
    /// Start with a store that does not extend its witness, and expire every unfinished approval
    #[arg(long, requires = "witness")]
    accept_rollback: bool,
    /// Print no line an event
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(args: &ServeArgs, global: &Global, target: &Target) -> Result<Exit, Failure> {
    let Target::Store(store) = target else {
        return Err(Failure::usage("serve works on a store file; it takes no --server"));
    };
    let config = global.config()?;
    let keys = global.key_source(&config);
    // Before anything is made: a server without keys is none.
    keys.load()?;
    let tls = args.tls()?;
    let witness = args.witness.as_ref().map(|path| Witnessed {
        file: WitnessFile::at(path),
        accept_rollback: args.accept_rollback,
    });
    let audience = &args.audience;
    let setup = Setup { store, audience, keys, config, witness, tls: tls.clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener =
            server::bind(args.listen, args.exposure(store, service::trust(&keys)).await?).await?;
        // Before the address is told: whoever knows it may also end the server.
        let interruption = interruption()?;
        let running = Running::start(setup, listener).await?;
        signals::on_hangup(Files { tls, service: Arc::clone(&running.service) })?;
        running.announce(global.json, store).await;
        if !args.quiet {
            tokio::spawn(events::tell(Arc::clone(&running.service), global.json));
        }
        interruption.await;
        running.stop().await;
        Ok(Exit::Done)
    })
}

impl ServeArgs {
    /// What makes it safe to listen elsewhere than on loopback. Whether tokens are required only
    /// the store knows.
    async fn exposure(&self, store: &Path, trust: Trust) -> Result<Exposure> {
        let tokens = (self.behind_proxy || !self.listen.ip().is_loopback())
            && match RedbStore::open(store, OpenMode::Read, CheckIntegrity::No, trust) {
                Err(StoreError::Missing(_)) => false,
                store => service::tokens_required(&store?).await?,
            };
        let tls = self.tls_cert.is_some();
        Ok(Exposure { tokens, tls, behind_proxy: self.behind_proxy })
    }

    fn tls(&self) -> Result<Option<Tls>, Failure> {
        match (&self.tls_cert, &self.tls_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(Tls::load(certificate, key)?)),
            (Some(_), None) => Err(Failure::usage(
                "--tls-cert needs --tls-key: give the file of the certificate's private key",
            )),
            (None, Some(_)) => Err(Failure::usage(
                "--tls-key needs --tls-cert: give the file of the key's certificate",
            )),
        }
    }
}
