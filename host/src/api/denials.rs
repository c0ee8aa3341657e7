//! The log of callers who were not authenticated: a line for each, but only so many.

use signoff_core::deceptive::in_one_line;

use super::{Connection, RequestId};
use crate::logging::Limited;
use crate::refusal::Refusal;

/// Limits the lines about callers who were not authenticated: one of them sends thousands of
/// requests a second.
#[derive(Debug, Default)]
pub(super) struct Denials(Limited);

impl Denials {
    /// Logs one line with the address and, where it is known, the token's id.
    pub(super) fn log(
        &self,
        refusal: &Refusal,
        connection: Option<&Connection>,
        request_id: Option<&RequestId>,
        operation: &str,
    ) {
        let Some(unlogged) = self.0.take() else { return };
        tracing::warn!(
            peer = connection.map(Connection::peer),
            request_id = request_id.map(RequestId::as_str),
            operation,
            cause = in_one_line(&refusal.reason()),
            unlogged = (unlogged > 0).then_some(unlogged),
            "unauthenticated"
        );
    }
}
