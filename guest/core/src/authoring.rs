//! The reports of the policy template to authors of rules: problems, traces and the results of
//! tests. The template writes these types and the host reads them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::requirement::PartialRequirement;
use crate::verdict::Decision;

/// An action that a policy evaluates, in a request to the template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The agent.
    pub agent: String,
    /// The action.
    pub action: String,
    /// The context: JSON, canonical unless it is from a test.
    pub context: String,
    /// The plan, as the context.
    #[serde(default)]
    pub plan: Option<String>,
    /// Facts from the host that no agent can influence: canonical JSON.
    pub facts: String,
    /// The time, in seconds since 1970-01-01T00:00:00Z.
    pub now: u64,
}

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
    pub facts: Vec<String>,
    /// What its rules require of approvers.
    pub requirements: Vec<RuleRequirement>,
    /// Warnings.
    pub problems: Vec<Problem>,
}

/// Members of a rules file, in the order in which tools write them.
pub const FILE_MEMBERS: [&str; 9] =
    ["format", "name", "default", "include", "const", "ttl", "context", "rule", "test"];

/// Members of a `[[rule]]`, in the order in which tools write them.
pub const RULE_MEMBERS: [&str; 10] = [
    "id",
    "agent",
    "action",
    "ignore_case",
    "when",
    "verdict",
    "ttl",
    "threshold",
    "groups",
    "reason",
];

/// Members of a `[[test]]`, in the order in which tools write them.
pub const TEST_MEMBERS: [&str; 11] = [
    "name",
    "agent",
    "action",
    "context",
    "plan",
    "facts",
    "now",
    "expect",
    "rule",
    "requirement",
    "reason",
];

/// What begins the line before an included file in the text of a rules file. TOML and JSON do not have
/// its first character.
pub const INCLUDE_MARK: &str = "\u{1e}# include: ";

/// Returns a rules file and the files that it includes, each with its path, as one text. A file that
/// does not end with a line feed gets one.
#[must_use]
pub fn joined<'f>(rules: &str, included: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    let mut text = rules.to_owned();
    for (path, body) in included {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(INCLUDE_MARK);
        text.push_str(path);
        text.push('\n');
        text.push_str(body);
    }
    text
}

/// Returns the rules file of a text that contains the files that it includes.
#[must_use]
pub fn without_includes(text: &str) -> &str {
    text.split_once(INCLUDE_MARK).map_or(text, |(rules, _)| rules)
}

/// A file that a rules file includes, and where it names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Include {
    /// Its path, relative to the rules file.
    pub path: String,
    /// Line in the rules file.
    pub line: usize,
    /// Column in the line.
    pub column: usize,
}

/// A requirement with a threshold above 1 or with groups, and the first rule that has it. A policy's
/// description lists them as `requirements`, so that a host can say which ones nobody can meet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct RuleRequirement {
    /// The rule's id.
    pub rule: String,
    /// Its line in the rules file.
    pub line: usize,
    /// The requirement.
    pub requirement: PartialRequirement,
}

/// One problem to report to the author of a rules file. Lines and columns count from 1, columns in
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Problem {
    /// Whether it prevents loading the file.
    pub severity: Severity,
    /// The included file that it is in, as the rules file names it; `None` for the rules file itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The rule that it concerns.
    pub rule: Option<String>,
    /// Line in its file.
    pub line: usize,
    /// Column in the line.
    pub column: usize,
    /// What is wrong.
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

/// The evaluation of one rule that concerns an attempt.
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Tested {
    /// Each test, in the order of the file.
    pub cases: Vec<TestedCase>,
    /// Rules that matched in at least one test, in the order of the file.
    pub fired: Vec<String>,
    /// Rules that matched in no test.
    pub unfired: Vec<String>,
    /// Whether the default decided in at least one test.
    pub default_fired: bool,
}

/// The result of one test.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct TestedCase {
    /// The test's name.
    pub name: String,
    /// Its line in its file.
    pub line: usize,
    /// Whether all its expectations were met.
    pub passed: bool,
    /// The attempt, so that it can be evaluated with another policy.
    pub attempt: Attempt,
    /// The expected verdict; unset members are not compared.
    pub expected: Expected,
    /// The actual verdict.
    pub got: Expected,
    /// The evaluation of each rule that concerns the attempt.
    pub why: Vec<Trace>,
}

/// The verdict that a test expects, or the same members of the actual verdict.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Expected {
    /// The decision.
    pub decision: Decision,
    /// The rule that decides.
    pub rule: Option<String>,
    /// The requirement of an approval, compared as a whole.
    pub requirement: Option<PartialRequirement>,
    /// The reason, with its placeholders filled.
    pub reason: Option<String>,
}

impl Tested {
    /// Returns the number of failed tests.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.passed).count()
    }
}

impl TestedCase {
    /// Returns a message for each unmet expectation.
    #[must_use]
    pub fn differs(&self) -> Vec<String> {
        let Self { expected, got, .. } = self;
        let mut differs = Vec::new();
        let mut part = |name: &str, wanted: Option<String>, got: Option<String>| {
            if let Some(wanted) = wanted.filter(|wanted| Some(wanted) != got.as_ref()) {
                let got = got.map_or_else(|| "none".to_owned(), |got| format!("`{got}`"));
                differs.push(format!("{name}: expected `{wanted}`, got {got}"));
            }
        };
        let written = |requirement: &PartialRequirement| {
            serde_json::to_string(requirement).unwrap_or_default()
        };
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
