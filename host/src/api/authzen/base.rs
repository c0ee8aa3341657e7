//! The URL under which a client reaches the server, for the URLs in answers.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::Refused;
use crate::api::App;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;

/// The start of URLs in an answer: `https://pdp.example.com`. The name is the one that the client sent;
/// only this client gets it back.
pub(in crate::api) struct Base(String);

impl Base {
    /// Returns the URL of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Returns the URL itself.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the URL of a task.
    pub(super) fn task(&self, id: ApprovalId) -> String {
        self.url(&format!("/access/v1/requests/{id}"))
    }
}

impl FromRequestParts<App> for Base {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let sent = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = sent.or_else(|| parts.uri.authority().map(|named| named.as_str()));
        // A command that works on a store file sends none.
        let host = host.unwrap_or("localhost");
        let fits = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
        if !(1..=256).contains(&host.len()) || !host.bytes().all(fits) {
            let detail = "`Host` cannot be part of a URL";
            return Err(Refusal::new(Code::REQUEST_INVALID, detail).into());
        }
        let scheme = if app.is_encrypted { "https" } else { "http" };
        Ok(Self(format!("{scheme}://{host}")))
    }
}
