//! A question as it was asked: its parts, checked, and the approval that its context presents.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::json;
use serde_json::value::RawValue;
use signoff_core::object::Object;

use super::bodies::{Resource, Subject, Verb, present};
use crate::api::requests::Raw;
use crate::api::words::{read_member, without_carriage_return};
use crate::authzen::{Presented, Question};
use crate::code::Code;
use crate::refusal::Refusal;

/// The member of a context that presents an approval.
const APPROVAL: &str = "approval";
/// The member of a submission's context that tells approvers why.
const JUSTIFICATION: &str = "business_justification";

/// The parts of a question, as texts.
#[derive(Clone, Copy, Default, serde::Deserialize)]
pub(super) struct Parts<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) subject: Option<Raw<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) action: Option<Raw<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) resource: Option<Raw<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) context: Option<Raw<'a>>,
}

/// A question, and what its context says of the protocol.
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) presented: Option<Presented>,
    /// The question without the justification in its context, and the justification.
    pub(super) justified: Option<(Question, String)>,
}

/// The approval in a context. Its other members are for the one who presents it.
#[derive(serde::Deserialize)]
struct PresentedBody<'a> {
    id: String,
    #[serde(borrow, default, deserialize_with = "present")]
    state: Option<&'a RawValue>,
}

/// The members of an object, in order, without duplicates.
struct Members<'a>(Vec<(Cow<'a, str>, Raw<'a>)>);

impl<'a> Parts<'a> {
    /// Returns these parts, with those of `defaults` for the ones that are absent.
    pub(super) fn or(self, defaults: Self) -> Self {
        Self {
            subject: self.subject.or(defaults.subject),
            action: self.action.or(defaults.action),
            resource: self.resource.or(defaults.resource),
            context: self.context.or(defaults.context),
        }
    }

    /// Returns the size of the texts.
    pub(super) fn bytes(&self) -> usize {
        let parts = [self.subject, self.action, self.resource, self.context];
        parts.into_iter().flatten().map(|text| text.get().len()).sum()
    }

    /// Checks the parts that are there.
    ///
    /// Refusals: `request-invalid`.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if let Some(subject) = self.subject {
            read_member::<Object<Subject>>("subject", subject)?;
        }
        if let Some(action) = self.action {
            read_member::<Object<Verb>>("action", action)?;
        }
        if let Some(resource) = self.resource {
            read_member::<Object<Resource>>("resource", resource)?;
        }
        if let Some(context) = self.context {
            read_member::<Members<'_>>("context", context)?;
        }
        Ok(())
    }

    /// Returns the question.
    ///
    /// Refusals: `request-invalid` for a part that is absent or malformed.
    pub(super) fn asked(self) -> Result<Asked, Refusal> {
        self.read(false)
    }

    /// Returns the question, and the justification of an access request.
    ///
    /// Refusals: as [`Self::asked`], and `request-invalid` for a justification with a carriage return.
    pub(super) fn submitted(self) -> Result<Asked, Refusal> {
        self.read(true)
    }

    fn read(self, is_submitted: bool) -> Result<Asked, Refusal> {
        let required = |name: &str, part: Option<Raw<'a>>| {
            let missing =
                || Refusal::new(Code::REQUEST_INVALID, format!("body: missing field `{name}`"));
            part.ok_or_else(missing)
        };
        let subject = required("subject", self.subject)?;
        let action = required("action", self.action)?;
        let resource = required("resource", self.resource)?;
        let Object(Subject { id: agent, .. }) = read_member("subject", subject)?;
        let Object(Verb { name, .. }) = read_member("action", action)?;
        read_member::<Object<Resource>>("resource", resource)?;
        let Members(context) = match self.context {
            Some(context) => read_member("context", context)?,
            None => Members(Vec::new()),
        };
        let question = |left_out: &[&str]| Question {
            agent: agent.clone(),
            name: name.clone(),
            subject: subject.get().to_owned(),
            action: action.get().to_owned(),
            resource: resource.get().to_owned(),
            context: object_without(&context, left_out),
        };
        let member = |name: &str| context.iter().find(|(member, _)| member == name);
        let presented = member(APPROVAL).map(|(_, text)| presented(text)).transpose()?;
        let why = member(JUSTIFICATION).filter(|_| is_submitted);
        let why = why.and_then(|(_, text)| serde_json::from_str(text.get()).ok());
        let justified = why.map(|why: String| (question(&[APPROVAL, JUSTIFICATION]), why));
        let reason = justified.as_ref().map(|(_, why)| why.as_str());
        without_carriage_return(JUSTIFICATION, reason)?;
        Ok(Asked { question: question(&[APPROVAL]), presented, justified })
    }
}

impl Asked {
    /// Returns the question, if it presents no approval: a claim cannot be undone, so it is no part of
    /// a list.
    ///
    /// Refusals: `request-invalid`.
    pub(super) fn alone(self) -> Result<Question, Refusal> {
        match self.presented {
            None => Ok(self.question),
            Some(_) => Err(Refusal::new(
                Code::REQUEST_INVALID,
                "context: approval: present it to the evaluation of one question, /access/v1/evaluation",
            )),
        }
    }
}

/// Reads the approval in a context.
///
/// Refusals: `request-invalid`.
fn presented(text: &RawValue) -> Result<Presented, Refusal> {
    let Object(PresentedBody { id, state }) = read_member("context: approval", text)?;
    // A state that is no text is none of this server's. As an empty one it fails to verify.
    let state = state.map(|state| serde_json::from_str(state.get()).unwrap_or_default());
    Ok(Presented { id, state })
}

/// Returns an object as text, without some of its members.
fn object_without(members: &[(Cow<'_, str>, Raw<'_>)], left_out: &[&str]) -> String {
    let kept = members.iter().filter(|(name, _)| !left_out.contains(&name.as_ref()));
    let kept: Vec<String> =
        kept.map(|(name, value)| format!("{}:{}", json!(name), value.get())).collect();
    format!("{{{}}}", kept.join(","))
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut members, mut seen) = (Vec::new(), HashSet::new());
        while let Some((name, value)) = map.next_entry::<Cow<'de, str>, &RawValue>()? {
            if !seen.insert(name.to_string()) {
                return Err(A::Error::custom("duplicate member"));
            }
            members.push((name, value));
        }
        Ok(Members(members))
    }
}
