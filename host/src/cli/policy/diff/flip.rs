//! Compares two policies on the same attempts.

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::local_policy::LocalPolicy;
use super::super::verdict;
use crate::cli::output;
use crate::policy::Attempt;
use crate::policy::Verdict;

/// The kind of a difference between two verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Flip {
    /// From deny to approval or allow, or from approval to allow.
    Weaker,
    /// The opposite.
    Stricter,
    /// The requirement of an approval differs.
    Requirement,
    /// One of the two failed, or both for different reasons.
    Failure,
}

/// The compared policies, and the counts so far.
pub(super) struct Comparison {
    before: LocalPolicy,
    after: LocalPolicy,
    json: bool,
    compared: u64,
    weaker: u64,
    stricter: u64,
    requirement: u64,
    failure: u64,
    /// The same verdict by another rule, with another reason, or with other failed rules.
    other_rule: u64,
}

/// An attempt to evaluate, with a name for people.
pub(super) struct NamedAttempt<'a> {
    /// An approval's id, or a test's name.
    pub(super) name: &'a str,
    pub(super) attempt: &'a Attempt,
}

type Evaluated = Result<Verdict, String>;

impl Comparison {
    pub(super) fn new(before: LocalPolicy, after: LocalPolicy, json: bool) -> Self {
        Self {
            before,
            after,
            json,
            compared: 0,
            weaker: 0,
            stricter: 0,
            requirement: 0,
            failure: 0,
            other_rule: 0,
        }
    }

    /// Returns both policies, to access their rules.
    pub(super) fn policies(&mut self) -> [&mut LocalPolicy; 2] {
        [&mut self.before, &mut self.after]
    }

    /// Returns whether to print JSON.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    /// Returns the number of compared attempts.
    pub(super) fn compared(&self) -> u64 {
        self.compared
    }

    /// Returns the number of flips.
    pub(super) fn flips(&self) -> u64 {
        self.weaker + self.stricter + self.requirement + self.failure
    }

    /// Evaluates an attempt with both policies, and prints a flip.
    pub(super) fn compare(&mut self, named: &NamedAttempt<'_>) {
        let answers = (self.before.evaluate(named.attempt), self.after.evaluate(named.attempt));
        self.compared += 1;
        let Some(flip) = flip(&answers.0, &answers.1) else {
            self.other_rule += u64::from(answers.0 != answers.1);
            return;
        };
        *match flip {
            Flip::Weaker => &mut self.weaker,
            Flip::Stricter => &mut self.stricter,
            Flip::Requirement => &mut self.requirement,
            Flip::Failure => &mut self.failure,
        } += 1;
        let NamedAttempt { name, attempt } = named;
        if self.json {
            let output = json!({ "flip": {
                "kind": flip, "name": name, "agent": attempt.agent, "action": attempt.action,
                "before": as_json(&answers.0), "after": as_json(&answers.1),
            }});
            output::line(&output.to_string());
        } else {
            let (before, after) = (shown(&answers.0, flip), shown(&answers.1, flip));
            let name = name.replace('\n', " ");
            let Attempt { agent, action, .. } = attempt;
            let line =
                format!("{}: {name} ({agent}, {action}): {before} -> {after}", flip.as_str());
            output::painted(flip.style(), &line);
        }
    }

    /// Returns the counts in one line.
    pub(super) fn summary(&self, of: &str) -> String {
        let compared = usize::try_from(self.compared).unwrap_or(usize::MAX);
        let mut parts = vec![format!("compared {}", output::count(compared, of))];
        let counts = [
            (self.weaker, "weaker"),
            (self.stricter, "stricter"),
            (self.requirement, "with another requirement"),
            (self.failure, "without a verdict"),
            (self.other_rule, "the same by another rule or reason"),
        ];
        let counted = counts.into_iter().filter(|(count, _)| *count > 0);
        parts.extend(counted.map(|(count, what)| format!("{count} {what}")));
        if self.flips() == 0 {
            parts.push("nothing flips".to_owned());
        }
        parts.join(", ")
    }

    pub(super) fn as_json(&self) -> Value {
        json!({
            "compared": self.compared, "flips": self.flips(), "weaker": self.weaker,
            "stricter": self.stricter, "requirement": self.requirement, "failure": self.failure,
            "other_rule": self.other_rule,
        })
    }
}

impl Flip {
    fn as_str(self) -> &'static str {
        match self {
            Self::Weaker => "weaker",
            Self::Stricter => "stricter",
            Self::Requirement => "requirement",
            Self::Failure => "failure",
        }
    }

    /// Returns the style on a terminal: a weaker verdict and a failure must not be overlooked.
    fn style(self) -> Style {
        let (style, colour) = match self {
            Self::Weaker | Self::Failure => (Style::new().bold(), AnsiColor::Red),
            Self::Stricter | Self::Requirement => (Style::new(), AnsiColor::Yellow),
        };
        style.fg_color(Some(colour.into()))
    }
}

/// Returns how two results differ for the agent, if they do.
fn flip(before: &Evaluated, after: &Evaluated) -> Option<Flip> {
    let (before, after) = match (before, after) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(before), Err(after)) if before == after => return None,
        _ => return Some(Flip::Failure),
    };
    match after.decision.cmp(&before.decision) {
        std::cmp::Ordering::Less => Some(Flip::Weaker),
        std::cmp::Ordering::Greater => Some(Flip::Stricter),
        std::cmp::Ordering::Equal => {
            // No requirement and an empty one are the same.
            let requirement = |verdict: &Verdict| verdict.requirement.clone().unwrap_or_default();
            (requirement(before) != requirement(after)).then_some(Flip::Requirement)
        }
    }
}

fn shown(answer: &Evaluated, flip: Flip) -> String {
    match answer {
        Err(why) => why.clone(),
        Ok(verdict) if flip == Flip::Requirement => {
            let needs = verdict.requirement.as_ref().map(verdict::needs).unwrap_or_default();
            let needs = if needs.is_empty() { "nothing in particular".to_owned() } else { needs };
            format!("{} ({needs})", verdict::short(verdict))
        }
        Ok(verdict) => verdict::short(verdict),
    }
}

fn as_json(answer: &Evaluated) -> Value {
    match answer {
        Ok(verdict) => json!(verdict),
        Err(why) => json!({ "error": why }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::policy::{Decision, Requirement};

    fn verdict(text: &str) -> Evaluated {
        let mut words = text.split(' ');
        let Some(decision) = Decision::parse(words.next().unwrap()) else {
            return Err(text.to_owned());
        };
        let ttl_seconds = words.next().map(|ttl| ttl.parse().unwrap());
        let requirement = (decision == Decision::RequireApproval)
            .then(|| Requirement { ttl_seconds, ..Requirement::default() });
        Ok(Verdict { decision, rule: None, reason: None, requirement, failed: Vec::new() })
    }

    #[test]
    fn each_pair_of_answers_is_a_flip_of_its_kind() {
        let table = "
            allow                | allow                | -
            allow                | require_approval     | stricter
            allow                | deny                 | stricter
            require_approval     | deny                 | stricter
            deny                 | require_approval     | weaker
            deny                 | allow                | weaker
            require_approval     | allow                | weaker
            require_approval     | require_approval     | -
            require_approval 60  | require_approval 60  | -
            require_approval     | require_approval 60  | requirement
            require_approval 60  | require_approval 30  | requirement
            trapped              | allow                | failure
            deny                 | trapped              | failure
            trapped              | trapped              | -
            trapped              | out of fuel          | failure";
        for row in table.trim().lines() {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [before, after, kind] = cells.as_slice() else { panic!("{row}") };
            let flip = flip(&verdict(before), &verdict(after)).map_or("-", Flip::as_str);
            assert_eq!(flip, *kind, "{row}");
        }
    }
}
