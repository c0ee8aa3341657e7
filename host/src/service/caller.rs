//! Who calls: a token's holder, or somebody on this machine where there are no tokens.

use std::sync::Arc;

use serde_json::json;
use signoff_core::glob::Glob;
use signoff_core::person::{AGENT_PREFIX, agent_of, same_person};

use crate::role::Role;

/// Who acts where nobody asked: time, keys that changed. No token is anybody's of this name.
pub(super) const SYSTEM: &str = "system";

/// Who calls. Without tokens the caller acts as admin, and agents and approvers are who the request
/// says.
#[derive(Clone, Debug)]
pub struct Caller {
    holder: Option<Arc<Holder>>,
    request_id: Option<String>,
}

/// Whom a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The token's id.
    pub token_id: String,
    /// Who holds it.
    pub subject: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// Which agents it asks and executes for, `*` for any run of characters; none is all of them,
    /// or for the subject `agent:NAME` that one.
    pub agents: Option<String>,
}

impl Caller {
    /// The caller where there are no tokens.
    pub fn local() -> Self {
        Self { holder: None, request_id: None }
    }

    /// This process itself.
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

    /// The same caller in a request.
    pub fn in_request(self, id: impl Into<String>) -> Self {
        Self { request_id: Some(id.into()), ..self }
    }

    /// The request's id, for the audit.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The subject, for scopes and the audit.
    pub fn subject(&self) -> &str {
        self.holder.as_ref().map_or("admin", |holder| &holder.subject)
    }

    /// The subject that a token proves; none where there are no tokens.
    pub fn proven_subject(&self) -> Option<&str> {
        self.holder.as_ref().map(|holder| holder.subject.as_str())
    }

    /// The id of the caller's token; none where there are no tokens.
    pub(super) fn token_id(&self) -> Option<&str> {
        self.holder.as_ref().map(|holder| holder.token_id.as_str())
    }

    /// Whether the caller has a role; without tokens, every one.
    pub fn has(&self, role: Role) -> bool {
        self.holder.as_ref().is_none_or(|holder| holder.roles.contains(&role))
    }

    /// Whether the caller has one of some roles.
    pub fn has_one_of(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.has(*role))
    }

    /// Whether the caller may read whatever there is.
    pub fn reads_all(&self) -> bool {
        self.has_one_of(&[Role::Approver, Role::Auditor, Role::Admin])
    }

    /// Whether the caller asks and executes for an agent.
    pub fn acts_for(&self, agent: &str) -> bool {
        let Some(holder) = &self.holder else { return true };
        match (&holder.agents, agent_of(&holder.subject)) {
            (Some(pattern), _) => Glob::new(pattern).is_ok_and(|glob| glob.matches(agent)),
            (None, Some(own)) => own == agent,
            (None, None) => true,
        }
    }

    /// Whether the caller may read an approval of an agent, as far as that tells; else it depends on
    /// who requested it, see [`Self::requested`].
    pub(super) fn reads_agent(&self, agent: &str) -> bool {
        let named = self
            .holder
            .as_ref()
            .is_some_and(|holder| holder.agents.is_some() || agent_of(&holder.subject).is_some());
        self.reads_all()
            || (self.has(Role::Executor) && self.acts_for(agent))
            || (self.has(Role::Requester) && named && self.acts_for(agent))
    }

    /// Whether the caller is the requester.
    pub(super) fn requested(&self, requested_by: &str) -> bool {
        self.has(Role::Requester) && same_person(self.subject(), requested_by)
    }

    /// The subject of a request or claim by an agent.
    pub(super) fn as_agent(&self, agent: &str) -> String {
        self.proven_subject().map_or_else(|| format!("{AGENT_PREFIX}{agent}"), str::to_owned)
    }

    /// Who acts and with which roles, as the verifier reads it.
    pub(super) fn actor(&self) -> serde_json::Value {
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
    fn a_pattern_names_agents_and_only_a_star_stands_for_others() {
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
