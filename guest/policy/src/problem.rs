//! What is wrong with a rules file, and where.

use serde::Serialize;

/// One thing to tell the author of a rules file. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether the file can be loaded in spite of it.
    pub severity: Severity,
    /// The rule it is about.
    pub rule: Option<String>,
    /// Line in the rules file.
    pub line: usize,
    /// Column in the line, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The line's text.
    pub source: String,
}

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is loaded.
    Warning,
}

impl Problem {
    /// An error at a byte offset of `text`.
    #[must_use]
    pub fn error(text: &str, offset: usize, message: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
        Self {
            severity: Severity::Error,
            rule: None,
            line: before.matches('\n').count() + 1,
            column: before.get(start..).unwrap_or_default().chars().count() + 1,
            message,
            source: line.to_owned(),
        }
    }
}
