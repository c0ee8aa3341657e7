//! The order of the members of a rules file.

/// Returns the position of a member in a list; others come last.
pub(super) fn position(list: &[&str], member: &str) -> usize {
    list.iter().position(|listed| *listed == member).unwrap_or(list.len())
}
