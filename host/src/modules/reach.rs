//! Requirements of a policy that nobody can meet: requests under such a rule are refused with
//! `requirement-unmeetable`, which is better known before the first one.

use signoff_core::authoring::RuleRequirement;

use super::{Active, Modules, Slot};
use crate::keys::Keys;
use crate::policy::Policy;

/// Requirements that are shown.
const SHOWN_MAX: usize = 16;

impl Modules {
    /// Returns a phrase for each requirement that a policy describes and that the approvers with a
    /// key cannot meet. Empty if the policy describes none, or no keyring can be read.
    pub(super) fn unmeetable(&self, policy: &Policy) -> Vec<String> {
        let Ok(keys) = self.keys.current() else { return Vec::new() };
        let short =
            policy.requirements().iter().filter_map(|rule| self.unmeetable_rule(&keys, rule));
        short.take(SHOWN_MAX).collect()
    }

    fn unmeetable_rule(&self, keys: &Keys, rule: &RuleRequirement) -> Option<String> {
        let required = rule.requirement.clone().stricter(&self.floor.requirement());
        let short = keys.short_of(&self.accept, required)?;
        Some(format!("rule `{}` requires {short}", rule.rule))
    }

    /// Returns the phrases of [`Self::unmeetable`] for the active module of a slot.
    pub(super) fn unmeetable_now(&self, slot: Slot) -> Vec<String> {
        match (slot, self.policy_now().active) {
            (Slot::Policy, Active::Policy(policy)) => self.unmeetable(&policy),
            _ => Vec::new(),
        }
    }
}
