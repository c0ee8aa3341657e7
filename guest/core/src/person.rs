//! Comparison of person names. Signed and shown names keep their spelling; comparisons use
//! [`same_person`].

/// Prefix of an agent's subject, matched ignoring ASCII case.
pub const AGENT_PREFIX: &str = "agent:";

/// Returns whether two subjects or approvers are the same person: their names are equal ignoring
/// ASCII case.
pub fn same_person(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Returns the agent's name in a subject with [`AGENT_PREFIX`] (ignoring ASCII case); `None` for a
/// person.
pub fn agent_of(subject: &str) -> Option<&str> {
    let (prefix, agent) = subject.split_at_checked(AGENT_PREFIX.len())?;
    same_person(prefix, AGENT_PREFIX).then_some(agent)
}

/// Returns a subject without [`AGENT_PREFIX`].
pub fn bare(subject: &str) -> &str {
    agent_of(subject).unwrap_or(subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persons_are_compared_ignoring_ascii_case() {
        assert!(same_person("CEO@example.com", "ceo@Example.com"));
        assert!(!same_person("ceo@example.com", "ceo@example.co"));
        // Only ASCII letters fold, because names are ASCII.
        assert!(!same_person("É", "é"));
    }

    #[test]
    fn the_agent_prefix_is_matched_ignoring_case() {
        for subject in ["agent:deployer", "Agent:deployer", "AGENT:deployer"] {
            assert_eq!(agent_of(subject), Some("deployer"));
            assert_eq!(bare(subject), "deployer");
        }
        for subject in ["", "agent", "agen:t", "agént:x", "deployer", "deployer@agent:x"] {
            assert_eq!(agent_of(subject), None, "{subject}");
            assert_eq!(bare(subject), subject);
        }
        assert_eq!(agent_of("agent:"), Some(""));
    }
}
