//! The input of an evaluation.

/// An action that an agent is about to take. `context`, `plan` and `facts` are canonical JSON
/// texts, `now` is whole Unix seconds.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The agent.
    pub agent: &'a str,
    /// The action.
    pub action: &'a str,
    /// A JSON object.
    pub context: &'a str,
    /// A JSON object, if the executor has a plan.
    pub plan: Option<&'a str>,
    /// A JSON object: what the host knows about the attempt.
    pub facts: &'a str,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub now: u64,
}
