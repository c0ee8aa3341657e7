//! The signals of a server: SIGHUP reads files again, SIGINT and SIGTERM end it.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::output;
use crate::server::Tls;
use crate::service::Service;

/// What a server reads from files again when it is told to.
pub(super) struct Files {
    pub(super) tls: Option<Tls>,
    pub(super) service: Arc<Service>,
}

impl Files {
    /// Reads keys again and says what came of it. Keys that cannot be read decide nothing until they
    /// can be.
    async fn read_keys_again(&self) {
        match self.service.reload_keys().await {
            Ok(()) => output::note("keys read again"),
            Err(refusal) => {
                output::note(&format!("{refusal}; nothing is decided until this is mended"));
            }
        }
    }

    /// Reads the certificate again and says what came of it; a broken one leaves the old.
    fn read_again(&self) {
        match self.tls.as_ref().map(|tls| (tls, tls.reload())) {
            None => {}
            Some((tls, Ok(()))) => {
                output::note(&format!("TLS certificate read again: {}", tls.fingerprint()));
            }
            Some((tls, Err(e))) => {
                output::note(&format!("{e}; the certificate {} stays", tls.fingerprint()));
            }
        }
    }
}

/// Watches for SIGHUP from now on, and reads files again at each.
pub(super) fn on_hangup(files: Files) -> Result<()> {
    let mut hangups = signal(SignalKind::hangup()).context("cannot watch for SIGHUP")?;
    let files = Arc::new(files);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let files = Arc::clone(&files);
            // One after the other: two at a time could leave the older of two certificates.
            let certificates = Arc::clone(&files);
            let _ = tokio::task::spawn_blocking(move || certificates.read_again()).await;
            files.read_keys_again().await;
        }
    });
    Ok(())
}

/// Watches for SIGINT and SIGTERM from now on, and resolves at the first.
pub(in crate::cli) fn interruption() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
