//! The content of a request and its digest: the one value by which a signature covers all of it.

use serde::Serialize;

use crate::context;
use crate::record::{Requirement, to_json};
use crate::rejection::Rejection;
use crate::time::UnixSeconds;

/// Every field of a request except its id, audience and expiry, which a statement names itself.
/// Absent fields are null.
#[derive(Serialize)]
pub(crate) struct RequestContent<'a> {
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

impl RequestContent<'_> {
    /// Returns the context digest of the JSON object of these members.
    ///
    /// Rejections: `request-invalid` if the object is longer than a context may be, which no opened
    /// request is.
    pub(crate) fn digest(&self) -> Result<String, Rejection> {
        context::digest(&to_json(self)?)
            .map_err(|e| Rejection::request(format!("the request has no digest: {e}")))
    }
}
