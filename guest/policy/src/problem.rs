//! Problems in a rules file, with their positions.

pub use signoff_core::authoring::{Problem, Severity};

use crate::bundle::Bundle;
use crate::limits::PROBLEMS_MAX;

/// The problems of one text. A position is a byte of the text, counted from `base`; lines count from
/// the start of the file that has the byte.
#[derive(Debug)]
pub struct Problems<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    /// The included files, by the byte at which each starts.
    files: Vec<(usize, &'t str)>,
    found: Vec<(usize, Problem)>,
    errors: usize,
    /// Where the file starts whose bytes later positions count.
    pub(crate) base: usize,
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
        let files = Bundle::of(text).included.iter().map(|file| (file.start, file.path)).collect();
        Self { text, line_starts, files, found: Vec::new(), errors: 0, base: 0, rule: None }
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

    /// Returns the line of a byte in its file.
    #[must_use]
    pub fn line(&self, offset: usize) -> usize {
        let offset = self.base + offset;
        let before = self.file_of(offset).map_or(0, |(start, _)| self.lines_to(start) - 1);
        self.lines_to(offset) - before
    }

    /// Returns the column of a byte, in characters.
    #[must_use]
    pub fn column(&self, offset: usize) -> usize {
        self.source(self.base + offset).1
    }

    /// Returns where a byte is, for a message: `line 3`, or `line 3 of holidays.toml`.
    #[must_use]
    pub fn place(&self, offset: usize) -> String {
        let line = self.line(offset);
        match self.file_of(self.base + offset) {
            None => format!("line {line}"),
            Some((_, path)) => format!("line {line} of {path}"),
        }
    }

    /// Returns the included file that has a byte; `None` for the rules file.
    #[must_use]
    pub fn file(&self, offset: usize) -> Option<&'t str> {
        self.file_of(self.base + offset).map(|(_, path)| path)
    }

    /// Returns the number of errors.
    pub(crate) fn errors(&self) -> usize {
        self.errors
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

    /// Returns the included file of a byte, by its start and its path.
    fn file_of(&self, offset: usize) -> Option<(usize, &'t str)> {
        let after = self.files.partition_point(|(start, _)| *start <= offset);
        self.files.get(after.checked_sub(1)?).copied()
    }

    /// Returns the line that has a byte, and the column of the byte.
    fn source(&self, offset: usize) -> (&'t str, usize) {
        let start = self.line_starts.get(self.lines_to(offset) - 1).copied().unwrap_or_default();
        let rest = self.text.get(start..).unwrap_or_default();
        let source = rest.lines().next().unwrap_or_default();
        let before = self.text.get(start..offset);
        (source, before.map_or(source.chars().count(), |before| before.chars().count()) + 1)
    }

    fn lines_to(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    fn note(&mut self, severity: Severity, offset: usize, message: String) {
        let line = self.line(offset);
        let offset = self.base + offset;
        let same = |(at, known): &(usize, Problem)| {
            *at == offset && known.severity == severity && known.message == message
        };
        // Ten thousand rules with one mistake each are not all reported.
        if self.found.len() >= 20 * PROBLEMS_MAX || self.found.iter().rev().take(8).any(same) {
            return;
        }
        let (source, column) = self.source(offset);
        let rule = self.rule.clone();
        let file = self.file_of(offset).map(|(_, path)| path.to_owned());
        let source = crate::text::cut(source, SOURCE_BYTES_MAX).to_owned();
        self.found.push((offset, Problem { severity, file, rule, line, column, message, source }));
    }
}

/// A file may be a single line of a mebibyte.
const SOURCE_BYTES_MAX: usize = 512;
