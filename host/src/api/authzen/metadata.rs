//! The handler of the metadata of a policy decision point.

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Handled;
use super::base::Base;
use crate::api::params::NoQuery;
use crate::api::reply::json_answer;
use crate::ledger::json_text;
use crate::refusal::Refusal;

const REQUESTS: &str = "urn:openid:authzen:capability:access-request";

/// The metadata of a policy decision point.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PdpMetadata {
    /// The URL of the server.
    #[schema(format = "uri")]
    pub policy_decision_point: String,
    /// Where to evaluate one question.
    #[schema(format = "uri")]
    pub access_evaluation_endpoint: String,
    /// Where to evaluate several.
    #[schema(format = "uri")]
    pub access_evaluations_endpoint: String,
    /// Where to request an approval.
    #[schema(format = "uri")]
    pub access_request_endpoint: String,
    /// URNs of what the server can do.
    pub capabilities: Vec<String>,
}

/// Get the metadata of this policy decision point (AuthZEN).
///
/// The URLs begin with the name that the client sent as `Host`.
#[utoipa::path(get, path = "/.well-known/authzen-configuration", tag = "authzen", operation_id = "get_pdp_metadata",
    responses((status = 200, description = "Where the endpoints are.", body = PdpMetadata)))]
pub(in crate::api) async fn metadata(base: Base, query: Result<NoQuery, Refusal>) -> Handled {
    query?;
    Ok(shown(&base))
}

fn shown(base: &Base) -> Response {
    let metadata = PdpMetadata {
        policy_decision_point: base.as_str().to_owned(),
        access_evaluation_endpoint: base.url("/access/v1/evaluation"),
        access_evaluations_endpoint: base.url("/access/v1/evaluations"),
        access_request_endpoint: base.url("/access/v1/requests"),
        capabilities: vec![REQUESTS.to_owned()],
    };
    json_answer(200, json_text(&metadata))
}
