//! What an approval asks for, and the request digest: the one value by which a signature covers all
//! of it.

use serde::Serialize;

use crate::context;
use crate::record::{Requirement, to_json};
use crate::rejection::Rejection;
use crate::time::UnixSeconds;

/// Everything about a request but its id, audience and expiry, which a statement names by
/// themselves. What is absent is null.
#[derive(Serialize)]
pub(crate) struct Asked<'a> {
    pub(crate) format: u32,
    pub(crate) agent: &'a str,
    pub(crate) action: &'a str,
    pub(crate) context_hash: &'a str,
    pub(crate) plan_hash: Option<&'a str>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) requested_by: &'a str,
    pub(crate) requested_at: UnixSeconds,
    pub(crate) requirement: &'a Requirement,
    pub(crate) policy: Option<&'a str>,
    pub(crate) rule: Option<&'a str>,
}

impl Asked<'_> {
    /// The context digest of the JSON object of these members.
    ///
    /// Rejections: `request-invalid` where it is longer than a context can be, as no request that
    /// was opened is.
    pub(crate) fn digest(&self) -> Result<String, Rejection> {
        context::digest(&to_json(self)?)
            .map_err(|e| Rejection::request(format!("the request has no digest: {e}")))
    }
}
