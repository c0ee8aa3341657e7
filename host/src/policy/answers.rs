//! What the template answers at the bench, as types.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine::{Decision, Requirement};

/// What is known of a rules file that loads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Loaded {
    /// The policy's name.
    pub name: String,
    /// How many rules it has.
    pub rules: usize,
    /// How many tests it has.
    pub tests: usize,
    /// The names of the facts that its rules read, in ascending order.
    #[serde(default)]
    pub facts: Vec<String>,
    /// Warnings.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

/// One thing to tell the author of a rules file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Problem {
    /// Whether the file can be loaded in spite of it.
    pub severity: Severity,
    /// The rule it is about.
    pub rule: Option<String>,
    /// Line in the rules file.
    pub line: usize,
    /// Column in the line.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The line's text.
    pub source: String,
}

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is loaded.
    Warning,
}

/// What keeps a rules file from being loaded; at least one is an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Problems {
    /// In the order they stand in the file.
    pub problems: Vec<Problem>,
}

/// How one rule that concerns an attempt answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Trace {
    /// The rule's id.
    pub rule: String,
    /// The rule's verdict.
    pub verdict: Decision,
    /// Where it is in the rules file.
    pub line: usize,
    /// Whether it counted.
    pub matched: bool,
    /// What the condition gave: `true`, `false`, `error`, or `none` where there is none.
    pub when: String,
    /// Why the condition could not be worked out.
    pub error: Option<String>,
}

/// What the tests of a rules file showed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Tested {
    /// Each test, in the order of the file.
    pub cases: Vec<Case>,
    /// Rules that a test fired.
    pub fired: Vec<String>,
    /// Rules that none did.
    pub unfired: Vec<String>,
    /// Whether the default decided in one.
    pub default_fired: bool,
}

/// One test.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Case {
    /// The test's name.
    pub name: String,
    /// Where it is in its file.
    pub line: usize,
    /// Whether all that it expects came.
    pub passed: bool,
    /// What was asked.
    pub attempt: Asked,
    /// What it expects; none of a part is no expectation.
    pub expected: Outcome,
    /// What came.
    pub got: Outcome,
    /// How each rule that concerns it answered.
    pub why: Vec<Trace>,
}

/// An attempt that a test makes. `context` and `plan` are JSON texts, not yet canonical.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Asked {
    /// Who would run it.
    pub agent: String,
    /// What would be run.
    pub action: String,
    /// About what.
    pub context: String,
    /// How exactly.
    pub plan: Option<String>,
    /// What the host knows of it, canonical.
    pub facts: String,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub now: u64,
}

/// A verdict, or what is expected of one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Outcome {
    /// Whether it may run.
    pub decision: Decision,
    /// The rule that decided.
    pub rule: Option<String>,
    /// What an approval takes.
    pub requirement: Option<Requirement>,
    /// Why.
    pub reason: Option<String>,
}

impl Tested {
    /// How many tests failed.
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.passed).count()
    }
}

impl Case {
    /// What came otherwise than expected, a sentence each.
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
