//! The log of callers who were not authenticated: a line for each, but only so many.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use signoff_core::deceptive::in_one_line;

use super::{Connection, RequestId};
use crate::rate::Rate;
use crate::refusal::Refusal;

/// Limits the lines about callers who were not authenticated: one of them sends thousands of
/// requests a second.
#[derive(Debug)]
pub(super) struct Denials {
    start: Instant,
    rate: Mutex<Rate>,
}

impl Default for Denials {
    fn default() -> Self {
        Self { start: Instant::now(), rate: Mutex::new(Rate::new(0)) }
    }
}

impl Denials {
    /// Logs one line with the address and, where it is known, the token's id.
    pub(super) fn log(
        &self,
        refusal: &Refusal,
        connection: Option<&Connection>,
        request_id: Option<&RequestId>,
        operation: &str,
    ) {
        let now = self.start.elapsed().as_secs();
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unlogged) = rate.take(now) else { return };
        drop(rate);
        let address = connection.and_then(|connection| connection.address());
        tracing::warn!(
            address = address.map_or_else(|| "unix".to_owned(), |address| address.to_string()),
            request_id = request_id.map(RequestId::as_str).unwrap_or_default(),
            operation,
            cause = in_one_line(&refusal.reason()),
            unlogged,
            "unauthenticated"
        );
    }
}
