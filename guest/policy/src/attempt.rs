//! What a policy is asked.

/// What an agent is about to do. `context`, `plan` and `facts` are canonical JSON texts, `now` whole
/// unix seconds.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Who would run it.
    pub agent: &'a str,
    /// What would be run.
    pub action: &'a str,
    /// A JSON object.
    pub context: &'a str,
    /// A JSON object, where the executor has a plan.
    pub plan: Option<&'a str>,
    /// A JSON object: what the host knows of the attempt.
    pub facts: &'a str,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub now: u64,
}
