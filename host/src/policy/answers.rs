//! The template's responses to the rules runtime.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::policy::{Decision, Requirement};

/// A summary of a loaded rules file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Loaded {
    /// The policy's name.
    pub name: String,
    /// The number of rules.
    pub rules: usize,
    /// The number of tests.
    pub tests: usize,
    /// The names of the facts that its rules read, in ascending order.
    #[serde(default)]
    pub facts: Vec<String>,
    /// Warnings.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

/// One diagnostic for the author of a rules file. Lines and columns count from 1, columns in
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Problem {
    /// Whether it prevents loading the file.
    pub severity: Severity,
    /// The rule it concerns.
    pub rule: Option<String>,
    /// Line in the rules file.
    pub line: usize,
    /// Column in the line.
    pub column: usize,
    /// The message.
    pub message: String,
    /// The line's text.
    pub source: String,
}

/// The severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is loaded.
    Warning,
}

/// The problems of a rules file that cannot be loaded; at least one is an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Problems {
    /// The problems, in the order of the file.
    pub problems: Vec<Problem>,
}

/// The evaluation of one rule that applies to an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Trace {
    /// The rule's id.
    pub rule: String,
    /// The rule's verdict.
    pub verdict: Decision,
    /// Its line in the rules file.
    pub line: usize,
    /// Whether it matched.
    pub matched: bool,
    /// The result of its condition: `true`, `false`, `error`, or `none` if it has none.
    pub when: String,
    /// Why the condition failed to evaluate.
    pub error: Option<String>,
}

/// The results of a rules file's tests.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Tested {
    /// Each test, in the order of the file.
    pub cases: Vec<Case>,
    /// Rules that decided in at least one test.
    pub fired: Vec<String>,
    /// Rules that decided in no test.
    pub unfired: Vec<String>,
    /// Whether the default decided in at least one test.
    pub default_fired: bool,
}

/// The result of one test.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Case {
    /// The test's name.
    pub name: String,
    /// Its line in its file.
    pub line: usize,
    /// Whether all its expectations were met.
    pub passed: bool,
    /// The evaluated attempt.
    pub attempt: TestAttempt,
    /// The expected verdict; unset parts are not compared.
    pub expected: Outcome,
    /// The actual verdict.
    pub got: Outcome,
    /// The evaluation of each rule that applies.
    pub why: Vec<Trace>,
}

/// The attempt of a test. `context` and `plan` are JSON texts, not yet canonical.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct TestAttempt {
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The context.
    pub context: String,
    /// The plan.
    pub plan: Option<String>,
    /// The host's facts, canonical.
    pub facts: String,
    /// The time, in seconds since 1970-01-01T00:00:00Z.
    pub now: u64,
}

/// A verdict, or an expectation of one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Outcome {
    /// The decision.
    pub decision: Decision,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The requirement of an approval.
    pub requirement: Option<Requirement>,
    /// The reason.
    pub reason: Option<String>,
}

impl Tested {
    /// Returns the number of failed tests.
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.passed).count()
    }
}

impl Case {
    /// Returns a message for each unmet expectation.
    pub fn differs(&self) -> Vec<String> {
        let Self { expected, got, .. } = self;
        let mut differs = Vec::new();
        let mut part = |name: &str, wanted: Option<String>, got: Option<String>| {
            if let Some(wanted) = wanted.filter(|wanted| Some(wanted) != got.as_ref()) {
                let got = got.map_or_else(|| "none".to_owned(), |got| format!("`{got}`"));
                differs.push(format!("{name}: expected `{wanted}`, got {got}"));
            }
        };
        let written =
            |requirement: &Requirement| serde_json::to_string(requirement).unwrap_or_default();
        part("decision", Some(expected.decision.to_string()), Some(got.decision.to_string()));
        part("rule", expected.rule.clone(), got.rule.clone());
        part(
            "requirement",
            expected.requirement.as_ref().map(written),
            got.requirement.as_ref().map(written),
        );
        part("reason", expected.reason.clone(), got.reason.clone());
        differs
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for Problem { severity, line, column, message, .. } in &self.problems {
            write!(f, "{between}{line}:{column}: {severity}: {message}")?;
            between = "\n";
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
