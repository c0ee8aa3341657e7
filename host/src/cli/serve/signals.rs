//! Signals of a server: SIGHUP reloads files, SIGINT and SIGTERM stop it.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::certificates::Certificates;
use super::service_manager::ServiceManager;
use crate::cli::output;
use crate::service::Service;

/// What a server reloads from files on SIGHUP.
pub(super) struct Files {
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) service: Arc<Service>,
    pub(super) manager: ServiceManager,
}

impl Files {
    /// Reloads the keys and reports the result. If they cannot be read, every decision is refused
    /// until they can.
    async fn read_keys_again(&self) {
        match self.service.keys.reload().await {
            Ok(()) => output::note("keys reloaded"),
            Err(refusal) => {
                output::note(&format!("{refusal}; every decision is refused until this is fixed"));
            }
        }
    }
}

/// Installs a SIGHUP handler that reloads the files.
pub(super) fn on_hangup(files: Files) -> Result<()> {
    let mut hangups = signal(SignalKind::hangup()).context("cannot watch for SIGHUP")?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            files.manager.reloading().await;
            // Sequentially: concurrent reloads could leave the older of two certificates in use.
            if let Some(certificates) = files.certificates.clone() {
                let _ = tokio::task::spawn_blocking(move || certificates.reload()).await;
            }
            files.read_keys_again().await;
            files.manager.ready().await;
        }
    });
    Ok(())
}

/// Installs handlers for SIGINT and SIGTERM. The future resolves at the first signal.
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
