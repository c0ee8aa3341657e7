//! The settings of one server, typed.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::log_settings::LogSettings;
use crate::cli::exit::Failure;
use crate::config::{Effective, Setting, Source};
use crate::server::{Endpoint, Exposure, Tls};
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::store::{StoreError, Trust};

/// The settings of one server.
#[derive(Debug)]
pub(in crate::cli) struct ServerSettings {
    pub(in crate::cli) listen: Vec<Endpoint>,
    pub(in crate::cli) behind_proxy: bool,
    /// The deployment's name, if one was given. A store that exists must have it.
    pub(super) audience: Option<String>,
    /// The files of the certificate and its key.
    pub(in crate::cli) tls: Option<(PathBuf, PathBuf)>,
    pub(in crate::cli) witness: Option<PathBuf>,
    pub(super) log: LogSettings,
}

impl ServerSettings {
    /// Reads them from the settings in force. Errors: a certificate without a key, or a key without a
    /// certificate.
    pub(in crate::cli) fn of(effective: &Effective) -> Result<Self, Failure> {
        let listen: Result<Vec<Endpoint>, _> =
            effective.words("server.listen").iter().map(|text| text.parse()).collect();
        let (cert, key) = (effective.path("tls.cert"), effective.path("tls.key"));
        let tls = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert.to_owned(), key.to_owned())),
            (None, None) => None,
            (Some(_), None) => return Err(half(effective, "tls.cert", "tls.key")),
            (None, Some(_)) => return Err(half(effective, "tls.key", "tls.cert")),
        };
        Ok(Self {
            listen: listen?,
            behind_proxy: effective.is_on("server.behind_proxy"),
            audience: match effective.source("server.audience") {
                Source::Default => None,
                _ => effective.words("server.audience").first().cloned(),
            },
            tls,
            witness: effective.path("witness.file").map(Path::to_owned),
            log: LogSettings::of(effective),
        })
    }

    /// Loads the certificate.
    pub(in crate::cli) fn tls(&self) -> Result<Option<Tls>, Failure> {
        let load = |(cert, key): &(PathBuf, PathBuf)| Tls::load(cert, key);
        Ok(self.tls.as_ref().map(load).transpose()?)
    }

    /// Returns the protections of this server. Whether tokens are required is read from the store.
    pub(super) async fn exposure(
        &self,
        is_local: bool,
        store: &Path,
        trust: Trust,
    ) -> Result<Exposure> {
        let tokens = (self.behind_proxy || !is_local)
            && match RedbStore::open(store, OpenMode::Read, CheckIntegrity::No, trust) {
                Err(StoreError::Missing(_)) => false,
                store => crate::identity::tokens_required(&store?).await?,
            };
        let (tls, behind_proxy) = (self.tls.is_some(), self.behind_proxy);
        Ok(Exposure { tokens, tls, behind_proxy, unauthenticated: false })
    }
}

/// The failure of one half of a pair without the other, in the terms in which it was given.
fn half(effective: &Effective, given: &'static str, missing: &'static str) -> Failure {
    let flag =
        |name| Setting::named(name).and_then(|setting| setting.flag).map_or("", |flag| flag.long);
    let what = match missing {
        "tls.key" => "the file of the certificate's private key",
        _ => "the file of the key's certificate",
    };
    match effective.source(given) {
        Source::File { line, .. } => Failure::Failed(anyhow::anyhow!(
            "the settings have {given} (line {line}) without {missing}: add {what}"
        )),
        _ => Failure::usage(format!("--{} needs --{}: give {what}", flag(given), flag(missing))),
    }
}
