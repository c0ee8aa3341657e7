//! Callers: the holder of a token, or a local caller if the deployment has no tokens.

use std::sync::Arc;

use serde_json::json;
use signoff_core::glob::Glob;
use signoff_core::person::{AGENT_PREFIX, agent_of, same_person};

use crate::code::Code;
use crate::refusal::Refusal;
use crate::role::Role;

/// The actor of the server's own changes (expiry, key changes). Reserved: no token may use it.
pub(crate) const SYSTEM: &str = "system";

/// A caller. Without a token it acts as admin, and the agents and approvers that its requests name
/// are not authenticated.
#[derive(Clone, Debug)]
pub struct Caller {
    holder: Option<Arc<Holder>>,
    request_id: Option<String>,
}

/// The holder of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The token's id.
    pub token_id: String,
    /// The holder's name.
    pub subject: String,
    /// The roles of the token.
    pub roles: Vec<Role>,
    /// The agents it requests and executes for; `*` matches any run of characters. `None` means the
    /// one agent `NAME` if the subject is `agent:NAME`, and all agents otherwise.
    pub agents: Option<String>,
}

impl Caller {
    /// The caller of a deployment without tokens.
    pub fn local() -> Self {
        Self { holder: None, request_id: None }
    }

    /// The server itself.
    pub fn system() -> Self {
        Self::holding(Holder {
            token_id: String::new(),
            subject: SYSTEM.to_owned(),
            roles: vec![Role::Admin],
            agents: None,
        })
    }

    /// The holder of a token.
    pub fn holding(holder: Holder) -> Self {
        Self { holder: Some(Arc::new(holder)), request_id: None }
    }

    /// Sets the id of the caller's request.
    pub fn in_request(self, id: impl Into<String>) -> Self {
        Self { request_id: Some(id.into()), ..self }
    }

    /// Returns the request's id, for the audit log.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Returns the subject, for idempotency scopes and the audit log.
    pub fn subject(&self) -> &str {
        self.holder.as_ref().map_or("admin", |holder| &holder.subject)
    }

    /// Returns the subject that a token proves; `None` without a token.
    pub fn proven_subject(&self) -> Option<&str> {
        self.holder.as_ref().map(|holder| holder.subject.as_str())
    }

    /// Returns the id of the caller's token; `None` without a token.
    pub(crate) fn token_id(&self) -> Option<&str> {
        self.holder.as_ref().map(|holder| holder.token_id.as_str())
    }

    /// Returns whether the caller has a role. Without a token it has every role.
    pub fn has(&self, role: Role) -> bool {
        self.holder.as_ref().is_none_or(|holder| holder.roles.contains(&role))
    }

    /// Returns whether the caller has at least one of the roles.
    pub fn has_one_of(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.has(*role))
    }

    /// Returns whether the caller may read every approval.
    pub fn reads_all(&self) -> bool {
        self.has_one_of(&[Role::Approver, Role::Auditor, Role::Admin])
    }

    /// Returns whether the caller requests and executes for an agent.
    pub fn acts_for(&self, agent: &str) -> bool {
        let Some(holder) = &self.holder else { return true };
        match (&holder.agents, agent_of(&holder.subject)) {
            (Some(pattern), _) => Glob::new(pattern).is_ok_and(|glob| glob.matches(agent)),
            (None, Some(own)) => own == agent,
            (None, None) => true,
        }
    }

    /// Returns the only agent whose approvals the caller can list: an agent's token, or one for a
    /// single agent, lists those of its agent. `None` for a caller with more.
    pub(crate) fn only_agent(&self) -> Option<&str> {
        let holder = self.holder.as_ref().filter(|_| !self.reads_all())?;
        match &holder.agents {
            Some(pattern) => Some(pattern.as_str()).filter(|pattern| !pattern.contains('*')),
            None => agent_of(&holder.subject),
        }
    }

    /// Checks that the caller acts for an agent.
    ///
    /// Refusals: `forbidden`.
    pub(crate) fn must_act_for(&self, agent: &str) -> Result<(), Refusal> {
        if self.acts_for(agent) {
            return Ok(());
        }
        let detail = format!("this token does not act for the agent `{}`", agent.escape_debug());
        Err(Refusal::new(Code::FORBIDDEN, detail))
    }

    /// Returns whether the caller may read every approval of an agent. If not, it may still read
    /// those that it requested; see [`Self::requested`].
    pub(crate) fn reads_agent(&self, agent: &str) -> bool {
        let named = self
            .holder
            .as_ref()
            .is_some_and(|holder| holder.agents.is_some() || agent_of(&holder.subject).is_some());
        self.reads_all()
            || (self.has(Role::Executor) && self.acts_for(agent))
            || (self.has(Role::Requester) && named && self.acts_for(agent))
    }

    /// Returns whether the caller is the requester.
    pub(crate) fn requested(&self, requested_by: &str) -> bool {
        self.has(Role::Requester) && same_person(self.subject(), requested_by)
    }

    /// Returns the subject for a request or claim by an agent.
    pub(crate) fn as_agent(&self, agent: &str) -> String {
        self.proven_subject().map_or_else(|| format!("{AGENT_PREFIX}{agent}"), str::to_owned)
    }

    /// Returns subject and roles in the verifier's format, for a change that an agent's executor
    /// makes. Without a token the subject is the agent.
    pub(crate) fn actor_for(&self, agent: &str) -> serde_json::Value {
        let mut actor = self.actor();
        if let Some(actor) = actor.as_object_mut() {
            actor.insert("subject".to_owned(), self.as_agent(agent).into());
        }
        actor
    }

    /// Returns subject and roles in the verifier's format.
    pub(crate) fn actor(&self) -> serde_json::Value {
        let roles = self.holder.as_ref().map_or(&[Role::Admin][..], |holder| &holder.roles);
        json!({ "subject": self.subject(), "roles": roles })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acts_for(agents: Option<&str>, subject: &str, agent: &str) -> bool {
        let agents = agents.map(str::to_owned);
        let (token_id, subject) = (String::new(), subject.to_owned());
        let roles = vec![Role::Requester];
        Caller::holding(Holder { token_id, subject, roles, agents }).acts_for(agent)
    }

    #[test]
    fn only_a_star_is_a_wildcard_in_agents() {
        for (pattern, agent, acts) in [
            ("deploy-*", "deploy-web", true),
            ("deploy-*", "deploy-", true),
            ("deploy-*", "Deploy-web", false),
            ("deploy-*", "redeploy-web", false),
            ("*", "anything", true),
            ("a*c", "abbc", true),
            ("is-it?", "is-it?", true),
            ("is-it?", "is-it1", false),
            ("is-it?", "is-it", false),
            ("a[bc]", "ab", false),
            ("a\\*", "a*", false),
        ] {
            assert_eq!(acts_for(Some(pattern), "ci", agent), acts, "{pattern} {agent}");
        }
        assert!(acts_for(None, "agent:web", "web") && !acts_for(None, "agent:web", "api"));
        assert!(acts_for(Some("api"), "agent:web", "api"));
        assert!(acts_for(None, "ci", "web"));
    }
}
