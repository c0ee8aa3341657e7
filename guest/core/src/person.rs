//! Persons: who counts as the same one. What is signed and shown keeps its spelling; comparisons go
//! through [`same_person`].

/// What the subject of an agent begins with, in any case.
pub const AGENT_PREFIX: &str = "agent:";

/// Whether two subjects or approvers are one: their names fold to the same ASCII case.
pub fn same_person(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// The agent's name in a subject that begins with [`AGENT_PREFIX`], in any case; `None` for a person.
pub fn agent_of(subject: &str) -> Option<&str> {
    let (prefix, agent) = subject.split_at_checked(AGENT_PREFIX.len())?;
    same_person(prefix, AGENT_PREFIX).then_some(agent)
}

/// A subject without [`AGENT_PREFIX`].
pub fn bare(subject: &str) -> &str {
    agent_of(subject).unwrap_or(subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_case_does_not_make_two_persons_of_one() {
        assert!(same_person("CEO@example.com", "ceo@Example.com"));
        assert!(!same_person("ceo@example.com", "ceo@example.co"));
        // Only ASCII folds: names are ASCII.
        assert!(!same_person("É", "é"));
    }

    #[test]
    fn an_agent_is_one_in_any_case() {
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
