//! The bodies of requests. AuthZEN requires that unknown members are ignored; duplicate ones are
//! refused.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use signoff_core::object::Object;
use utoipa::ToSchema;

use super::asked::Parts;
use crate::api::requests::Raw;
use crate::api::shown::JsonObject;
use crate::api::words::read_member;
use crate::code::Code;
use crate::refusal::Refusal;

/// Most bytes of all questions of a call, with the defaults that each one uses.
const QUESTIONS_BYTES_MAX: usize = 16 << 20;

/// Who asks. Other members are part of the question too.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccessSubject)]
pub(super) struct Subject {
    /// The type, such as `agent` or `user`.
    #[serde(rename = "type")]
    pub(super) _kind: String,
    /// The agent of the approval.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) id: String,
    /// Attributes.
    #[serde(rename = "properties", default, deserialize_with = "object")]
    #[schema(value_type = Option<JsonObject>)]
    _properties: (),
}

/// What is to be done. Other members are part of the question too.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccessAction)]
pub(super) struct Verb {
    /// The action of the approval.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(super) name: String,
    /// Attributes.
    #[serde(rename = "properties", default, deserialize_with = "object")]
    #[schema(value_type = Option<JsonObject>)]
    _properties: (),
}

/// What it is done to. Other members are part of the question too.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccessResource)]
pub(super) struct Resource {
    /// The type.
    #[serde(rename = "type")]
    _kind: String,
    /// The id.
    #[serde(rename = "id")]
    _id: String,
    /// Attributes.
    #[serde(rename = "properties", default, deserialize_with = "object")]
    #[schema(value_type = Option<JsonObject>)]
    _properties: (),
}

/// A question.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccessEvaluationRequest)]
pub(super) struct EvaluationBody<'a> {
    /// Who asks.
    #[serde(borrow)]
    #[schema(value_type = Subject)]
    subject: Raw<'a>,
    /// What is to be done.
    #[serde(borrow)]
    #[schema(value_type = Verb)]
    action: Raw<'a>,
    /// What it is done to.
    #[serde(borrow)]
    #[schema(value_type = Resource)]
    resource: Raw<'a>,
    /// The environment. Its member `approval` is that of an approved task: `{id, state}` and the
    /// members that came with them.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Option<JsonObject>)]
    context: Option<Raw<'a>>,
}

/// Questions, with defaults for their members.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccessEvaluationsRequest)]
pub(super) struct EvaluationsBody<'a> {
    /// The subject of questions without one.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Option<Subject>)]
    subject: Option<Raw<'a>>,
    /// The action of questions without one.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Option<Verb>)]
    action: Option<Raw<'a>>,
    /// The resource of questions without one.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Option<Resource>)]
    resource: Option<Raw<'a>>,
    /// The context of questions without one.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Option<JsonObject>)]
    context: Option<Raw<'a>>,
    /// The questions: at most 64 objects with `subject`, `action`, `resource` and `context`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<JsonObject>>, max_items = 64)]
    evaluations: Vec<Raw<'a>>,
    /// Options.
    #[serde(default, deserialize_with = "some")]
    options: Option<Options>,
}

/// How questions are evaluated. Unknown options are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccessEvaluationsOptions)]
pub(super) struct Options {
    /// When to stop; default `execute_all`.
    #[serde(default)]
    evaluations_semantic: Semantic,
}

/// After which decision the rest of the questions is left out.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AccessEvaluationsSemantic)]
pub(super) enum Semantic {
    /// None.
    #[default]
    ExecuteAll,
    /// The first denial.
    DenyOnFirstDeny,
    /// The first permission.
    PermitOnFirstPermit,
}

/// A request for an approval.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccessRequestSubmission)]
pub(super) struct SubmissionBody<'a> {
    /// As in the evaluation.
    #[serde(borrow)]
    #[schema(value_type = Subject)]
    subject: Raw<'a>,
    /// As in the evaluation.
    #[serde(borrow)]
    #[schema(value_type = Verb)]
    action: Raw<'a>,
    /// As in the evaluation.
    #[serde(borrow)]
    #[schema(value_type = Resource)]
    resource: Raw<'a>,
    /// As in the evaluation. A text `business_justification` may be added: it becomes the reason of the
    /// approval.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Option<JsonObject>)]
    context: Option<Raw<'a>>,
    /// What the evaluation answered.
    #[serde(deserialize_with = "signoff_core::object::object")]
    pub(super) denial: Denial,
    /// Wishes.
    #[serde(default, deserialize_with = "some")]
    pub(super) requested_access: Option<RequestedAccess>,
    /// Who sends it; for information. `actor` is refused: this server cannot verify it.
    #[serde(default, deserialize_with = "some")]
    pub(super) client: Option<SubmittingClient>,
    /// Refused: no endpoint is registered. Poll `status_endpoint`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<JsonObject>)]
    pub(super) callback: Option<Raw<'a>>,
    /// Refused: send one request for each.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<JsonObject>>)]
    pub(super) items: Option<Raw<'a>>,
}

/// What an evaluation answered.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccessDenial)]
pub(super) struct Denial {
    /// `context.evaluation_id`.
    #[serde(default)]
    pub(super) evaluation_id: Option<String>,
    /// `context.access_request.expires_at`. The server's own time counts.
    #[schema(format = DateTime)]
    pub(super) expires_at: String,
    /// Refused: this server makes none.
    #[serde(default)]
    pub(super) binding_token: Option<String>,
}

/// What the requester wishes.
#[derive(Deserialize, ToSchema)]
#[schema(as = RequestedAccess)]
pub(super) struct RequestedAccess {
    /// Until when the approval is to last; at most 7 days. The policy may shorten it.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub(super) requested_until: Option<String>,
    /// `true` is refused: no approval is faster than others.
    #[serde(default)]
    pub(super) emergency: bool,
}

/// The program that sends a request.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccessRequestClient)]
pub(super) struct SubmittingClient {
    /// Refused.
    #[serde(default)]
    #[schema(value_type = Option<JsonObject>)]
    pub(super) actor: Option<serde::de::IgnoredAny>,
}

/// A cancellation. Its members are for information.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccessRequestCancellation)]
pub(super) struct CancellationBody {
    /// A code.
    #[serde(rename = "reason", default)]
    _reason: Option<String>,
    /// A note.
    #[serde(rename = "comment", default)]
    _comment: Option<String>,
}

impl<'a> EvaluationBody<'a> {
    /// Returns the parts of the question.
    pub(super) fn parts(&self) -> Parts<'a> {
        let Self { subject, action, resource, context } = *self;
        Parts { subject: Some(subject), action: Some(action), resource: Some(resource), context }
    }
}

impl<'a> SubmissionBody<'a> {
    /// Returns the parts of the question.
    pub(super) fn parts(&self) -> Parts<'a> {
        let Self { subject, action, resource, context, .. } = *self;
        Parts { subject: Some(subject), action: Some(action), resource: Some(resource), context }
    }
}

impl<'a> EvaluationsBody<'a> {
    /// Returns the parts that are defaults.
    pub(super) fn defaults(&self) -> Parts<'a> {
        let Self { subject, action, resource, context, .. } = *self;
        Parts { subject, action, resource, context }
    }

    /// Returns when to stop.
    pub(super) fn semantic(&self) -> Semantic {
        self.options.as_ref().map(|options| options.evaluations_semantic).unwrap_or_default()
    }

    /// Returns the parts of the questions, each with the defaults of the whole. They are texts of the
    /// body, so that a large default is held once.
    ///
    /// Refusals: `limit-exceeded` for too many questions, or too large ones; `request-invalid` for a
    /// malformed default, or a question that is no object.
    pub(super) fn questions(&self, max: usize) -> Result<Vec<Parts<'a>>, Refusal> {
        if self.evaluations.len() > max {
            let detail = format!(
                "body: evaluations: {} questions, the limit is {max}",
                self.evaluations.len()
            );
            return Err(Refusal::new(Code::LIMIT_EXCEEDED, detail));
        }
        self.defaults().check()?;
        let (mut questions, mut bytes) = (Vec::with_capacity(self.evaluations.len()), 0);
        for (number, text) in self.evaluations.iter().enumerate() {
            let Object(parts): Object<Parts<'a>> =
                read_member(&format!("evaluations[{number}]"), text)?;
            let parts = parts.or(self.defaults());
            bytes += parts.bytes();
            questions.push(parts);
        }
        if bytes > QUESTIONS_BYTES_MAX {
            let detail = format!(
                "body: evaluations: {bytes} bytes with the defaults of each question, the limit is {QUESTIONS_BYTES_MAX}"
            );
            return Err(Refusal::new(Code::LIMIT_EXCEEDED, detail));
        }
        Ok(questions)
    }
}

impl Semantic {
    /// Returns whether no more questions are evaluated after this decision.
    pub(super) fn ends_at(self, decision: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !decision,
            Self::PermitOnFirstPermit => decision,
        }
    }
}

/// Deserializes a member that may be absent, and that is kept as text also if it is null.
pub(super) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Raw<'de>>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Deserializes a member that may be absent, but not null.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    signoff_core::object::object(deserializer).map(Some)
}

/// Checks that a member is an object.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    signoff_core::object::object::<serde::de::IgnoredAny, _>(deserializer).map(drop)
}
