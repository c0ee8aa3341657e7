//! The watchdog: increments an engine's epoch, so that a call that runs too long is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Result;
use wasmtime::Engine;

use super::config::TICK;

/// Increments the epoch until it is dropped.
pub(super) struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    /// Starts a watchdog for an engine.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub(super) fn start(engine: &Engine) -> Result<Self> {
        let watching = Arc::new(AtomicBool::new(true));
        let (engine, goes_on) = (engine.weak(), Arc::clone(&watching));
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            while goes_on.load(Ordering::Relaxed) {
                thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                engine.increment_epoch();
            }
        })?;
        Ok(Self(watching))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
