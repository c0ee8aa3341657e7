//! What a policy enforcement point asks, as an action of the guardrails.

use crate::guardrails::Action;

/// A question: may this subject do this to this resource? The parts are JSON texts as they were sent:
/// the verifier canonicalizes them, and refuses duplicate members at every depth.
#[derive(Clone, Debug)]
pub struct Question {
    /// `subject.id`: the agent.
    pub agent: String,
    /// `action.name`: the action.
    pub name: String,
    /// The whole subject.
    pub subject: String,
    /// The whole action.
    pub action: String,
    /// The whole resource.
    pub resource: String,
    /// The context without `approval`.
    pub context: String,
}

impl Question {
    /// Returns the context that is evaluated and approved: everything that was asked.
    pub(super) fn text(&self) -> String {
        let Self { subject, action, resource, context, .. } = self;
        format!(
            "{{\"subject\":{subject},\"action\":{action},\"resource\":{resource},\"context\":{context}}}"
        )
    }

    /// Returns the action that it asks for.
    pub(super) fn as_action(&self) -> Action {
        Action {
            agent: self.agent.clone(),
            action: self.name.clone(),
            context: self.text().into(),
            plan: None,
        }
    }
}
