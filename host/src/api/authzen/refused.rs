//! Refusals in the words of AuthZEN: the status that it requires, and the problem types of its profile.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::problem::ProblemType;
use crate::authzen::Unrequestable;
use crate::code::Code;
use crate::refusal::Refusal;

/// A refused call.
pub(in crate::api) struct Refused(Response);

/// Returns the status of a code below `/access/v1`: 400 for what is malformed, and those of the
/// profile's problem types. The codes are the same as everywhere.
pub(in crate::api) fn status_of(code: Code) -> u16 {
    match code {
        Code::IDEMPOTENCY_KEY_REUSED => 409,
        Code::REQUEST_TOO_OLD => 410,
        Code::POLICY_DENIED => 400,
        Code { status: 415 | 422, .. } => 400,
        other => other.status,
    }
}

impl Refused {
    /// Returns the refusal with a problem type.
    pub(super) fn typed(refusal: Refusal, kind: Option<ProblemType>) -> Self {
        let status = StatusCode::from_u16(status_of(refusal.code));
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self(refusal.response_as(status, kind))
    }

    /// Returns the refusal of a call that concerns a task.
    pub(super) fn of_task(refusal: Refusal) -> Self {
        let kind = match refusal.code {
            Code::NOT_FOUND => Some(ProblemType::UnknownTask),
            Code::ALREADY_DECIDED | Code::ALREADY_EXECUTED | Code::EXPIRED => {
                Some(ProblemType::InvalidTaskState)
            }
            Code::IDEMPOTENCY_KEY_REUSED => Some(ProblemType::DuplicateRequest),
            _ => None,
        };
        Self::typed(refusal, kind)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::typed(refusal, None)
    }
}

impl From<Unrequestable> for Refused {
    fn from(refused: Unrequestable) -> Self {
        let kind = match &refused {
            Unrequestable::Unbound(_) => Some(ProblemType::InvalidDenialBinding),
            Unrequestable::Late(_) => Some(ProblemType::ExpiredDenial),
            Unrequestable::NotRequestable(_) => Some(ProblemType::NotRequestable),
            Unrequestable::Other(refusal) if refusal.code == Code::IDEMPOTENCY_KEY_REUSED => {
                Some(ProblemType::DuplicateRequest)
            }
            Unrequestable::Other(_) => None,
        };
        Self::typed(refused.refusal(), kind)
    }
}

/// Takes over what an extractor refused.
impl From<Response> for Refused {
    fn from(response: Response) -> Self {
        let refusal = response.extensions().get::<Refusal>();
        // A body that is too large has a status of its own.
        match refusal.filter(|refusal| refusal.code.status == response.status().as_u16()) {
            Some(refusal) => refusal.clone().into(),
            None => Self(response),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.0
    }
}
