//! The attempt: what an executor is about to run.

use std::borrow::Cow;

use serde::Deserialize;

use crate::limits::WIRE_BYTES_MAX;
use crate::name::{ExecutionId, Identifier, check_length};
use crate::object;
use crate::rejection::Rejection;

/// An attempt with validated names. Context and plan are validated when they are compared.
pub(super) struct Attempt<'a> {
    pub(super) agent: Identifier,
    pub(super) action: Identifier,
    pub(super) context: Cow<'a, str>,
    pub(super) plan: Option<Cow<'a, str>>,
    pub(super) execution_id: Option<ExecutionId>,
}

impl<'a> Attempt<'a> {
    /// Parses an attempt: `{agent, action, context, plan?, execution_id?}`.
    ///
    /// Rejections: `limit-exceeded`, `request-invalid`.
    pub(super) fn read(text: &'a str) -> Result<Self, Rejection> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields<'a> {
            #[serde(borrow)]
            agent: Cow<'a, str>,
            #[serde(borrow)]
            action: Cow<'a, str>,
            #[serde(borrow)]
            context: Cow<'a, str>,
            #[serde(borrow, default)]
            plan: Option<Cow<'a, str>>,
            #[serde(borrow, default)]
            execution_id: Option<Cow<'a, str>>,
        }
        check_length("attempt", text, WIRE_BYTES_MAX)?;
        let fields: Fields<'_> = object::parse("attempt", text)?;
        Ok(Self {
            agent: Identifier::new("agent", fields.agent)?,
            action: Identifier::new("action", fields.action)?,
            context: fields.context,
            plan: fields.plan,
            execution_id: fields.execution_id.map(ExecutionId::new).transpose()?,
        })
    }
}
