//! Problems in a rules file, with their positions.

pub use signoff_core::authoring::{Problem, Severity};

use crate::limits::PROBLEMS_MAX;

/// The problems of one text.
#[derive(Debug)]
pub struct Problems<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    found: Vec<(usize, Problem)>,
    errors: usize,
    /// The rule that later problems concern.
    pub(crate) rule: Option<String>,
}

impl<'t> Problems<'t> {
    /// Creates an empty list.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        let starts =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(starts).collect();
        Self { text, line_starts, found: Vec::new(), errors: 0, rule: None }
    }

    /// Records an error, which prevents the file from being loaded, at a byte of the text.
    pub fn error(&mut self, offset: usize, message: impl Into<String>) {
        self.errors += 1;
        self.note(Severity::Error, offset, message.into());
    }

    /// Records a warning about something that the author may not have meant.
    pub fn warning(&mut self, offset: usize, message: impl Into<String>) {
        self.note(Severity::Warning, offset, message.into());
    }

    /// Returns the line of a byte.
    #[must_use]
    pub fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Returns whether there is no error.
    #[must_use]
    pub fn is_loadable(&self) -> bool {
        self.errors == 0
    }

    /// Returns the problems in order of position. If there are too many, errors are kept before
    /// warnings.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.found
            .sort_by_key(|(offset, problem)| (problem.severity == Severity::Warning, *offset));
        self.found.truncate(PROBLEMS_MAX);
        self.found.sort_by_key(|(offset, _)| *offset);
        self.found.into_iter().map(|(_, problem)| problem).collect()
    }

    fn note(&mut self, severity: Severity, offset: usize, message: String) {
        let same = |(at, known): &(usize, Problem)| {
            *at == offset && known.severity == severity && known.message == message
        };
        // Ten thousand rules with one mistake each are not all reported.
        if self.found.len() >= 20 * PROBLEMS_MAX || self.found.iter().rev().take(8).any(same) {
            return;
        }
        let line = self.line(offset);
        let start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let rest = self.text.get(start..).unwrap_or_default();
        let source = rest.lines().next().unwrap_or_default();
        let column =
            self.text.get(start..offset).map_or(source.chars().count(), |s| s.chars().count()) + 1;
        let rule = self.rule.clone();
        let source = crate::text::cut(source, SOURCE_BYTES_MAX).to_owned();
        self.found.push((offset, Problem { severity, rule, line, column, message, source }));
    }
}

/// A file may be a single line of a mebibyte.
const SOURCE_BYTES_MAX: usize = 512;
