//! Failures of the server, with their causes, which callers do not see.

use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use signoff_core::deceptive::in_one_line;

use crate::api::RequestId;
use crate::api::problem::FailureReason;
use crate::code::Code;
use crate::refusal::Refusal;

/// The log of failures.
#[derive(Debug, Default)]
pub(in crate::api) struct Failures {
    /// The reason that `/readyz` gave last, if it was not ready.
    unready: Mutex<Option<String>>,
}

impl Failures {
    /// Logs one line with the cause of a response, if it is a failure.
    pub(super) fn log(
        &self,
        response: &Response,
        method: &'static str,
        route: &'static str,
        request_id: Option<&RequestId>,
    ) {
        if !self.is_to_log(route, response) {
            return;
        }
        let code = response.extensions().get::<Code>().map_or("none", |code| code.text);
        let cause = in_one_line(reason(response).unwrap_or_default());
        tracing::error!(
            request_id = request_id.map(RequestId::as_str),
            method,
            route,
            status = response.status().as_u16(),
            code,
            cause,
            "request failed"
        );
    }

    /// Returns whether to log a response as a failure. `/readyz` needs no token and is called every
    /// few seconds, so its failures are logged once for each cause.
    fn is_to_log(&self, route: &str, response: &Response) -> bool {
        if route != "/readyz" {
            return response.status().is_server_error();
        }
        let reason = reason(response).map(str::to_owned);
        let mut unready = self.unready.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *unready != reason;
        *unready = reason;
        changed && unready.is_some()
    }
}

/// Returns the whole reason of a failure.
fn reason(response: &Response) -> Option<&str> {
    response.extensions().get::<FailureReason>().map(|FailureReason(reason)| reason.as_str())
}

/// Replaces the response of a time limit, a 503 without a code, with a refusal.
pub(in crate::api) async fn answered_in_time(response: Response) -> Response {
    let timed_out = response.status() == StatusCode::SERVICE_UNAVAILABLE
        && response.extensions().get::<Code>().is_none();
    match timed_out {
        true => Refusal::new(Code::STORE_UNAVAILABLE, "no answer in time").into_response(),
        false => response,
    }
}
