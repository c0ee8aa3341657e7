//! Parameters of a request: the approval's id in the path, and the query.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::Uri;
use axum::http::request::Parts;

use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;

/// The approval's id in the path. `None` for a malformed id, which is treated as not found.
pub(super) struct Id(pub(super) Option<ApprovalId>);

/// A call without query parameters: one that is given would have no effect.
pub(super) struct NoQuery;

/// A part of the path other than an approval's id. Empty, which no name is, if it is not UTF-8.
pub(super) struct Part(pub(super) String);

/// Query parameters, each at most once.
pub(super) struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(text.ok().and_then(|Path(text)| ApprovalId::parse(&text))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Part {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(text.map(|Path(text)| text).unwrap_or_default()))
    }
}

impl NoQuery {
    /// Refuses a query.
    ///
    /// Refusals: `request-invalid`.
    pub(super) fn check(uri: &Uri) -> Result<Self, Refusal> {
        match uri.query() {
            None | Some("") => Ok(Self),
            Some(_) => Err(Refusal::new(
                Code::REQUEST_INVALID,
                "this call has no query parameters; its arguments are in the body, if it has one",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Self::check(&parts.uri)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let invalid = |detail: String| Refusal::new(Code::REQUEST_INVALID, detail);
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|e| invalid(format!("query: {e}")))?;
        let mut params = BTreeMap::new();
        for (name, value) in pairs {
            if let Some(twice) = params.insert(name.clone(), value).map(|_| name) {
                return Err(invalid(format!("`{}` is given twice", twice.escape_debug())));
            }
        }
        Ok(Self(params))
    }
}

impl Params {
    /// Returns the value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the value of a required parameter.
    ///
    /// Refusals: `request-invalid`.
    pub(super) fn required(&self, name: &str) -> Result<String, Refusal> {
        self.get(name).map(str::to_owned).ok_or_else(|| {
            Refusal::new(Code::REQUEST_INVALID, format!("`{name}` is required in the query"))
        })
    }

    /// Refuses parameters that a call does not accept.
    ///
    /// Refusals: `request-invalid`.
    pub(super) fn known(&self, names: &[&str]) -> Result<(), Refusal> {
        match self.0.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(Refusal::new(
                Code::REQUEST_INVALID,
                format!(
                    "unknown query parameter `{}`, expected {}",
                    name.escape_debug(),
                    names.join(", ")
                ),
            )),
        }
    }

    /// Parses a whole number up to a limit.
    ///
    /// Refusals: `request-invalid`, `limit-exceeded`.
    pub(super) fn number(&self, name: &str, max: u64) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number: u64 = text.parse().map_err(|_| {
            Refusal::new(
                Code::REQUEST_INVALID,
                format!("`{name}` must be a whole number up to {max}"),
            )
        })?;
        if number > max {
            return Err(Refusal::new(
                Code::LIMIT_EXCEEDED,
                format!("`{name}` is {number}, the limit is {max}"),
            ));
        }
        Ok(Some(number))
    }
}
