//! Line differences of two texts.

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};

/// Unchanged lines shown around a changed one.
const CONTEXT: usize = 2;

/// What a line of a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Mark {
    Added,
    Removed,
    Changed,
    Same,
}

/// One line of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Line {
    pub(in crate::cli) mark: Mark,
    pub(in crate::cli) text: String,
}

impl Mark {
    /// Returns the style of a line on a terminal.
    pub(in crate::cli) fn style(self) -> Style {
        let colour = match self {
            Self::Added => AnsiColor::Green,
            Self::Removed => AnsiColor::Red,
            Self::Changed => AnsiColor::Yellow,
            Self::Same => return Style::new(),
        };
        Style::new().fg_color(Some(colour.into()))
    }
}

impl Line {
    pub(super) fn new(mark: Mark, text: impl Into<String>) -> Self {
        Self { mark, text: text.into() }
    }
}

/// Returns the lines of both texts that differ, `-` and `+`, with two lines around them; `…` stands for
/// lines that are left out.
pub(in crate::cli) fn differing(before: &str, after: &str) -> Vec<Line> {
    let diff = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for (number, hunk) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if number > 0 {
            lines.push(Line::new(Mark::Same, "…"));
        }
        for change in hunk.iter().flat_map(|op| diff.iter_changes(op)) {
            let (mark, sign) = match change.tag() {
                ChangeTag::Delete => (Mark::Removed, "-"),
                ChangeTag::Insert => (Mark::Added, "+"),
                ChangeTag::Equal => (Mark::Same, " "),
            };
            let text = change.value().trim_end_matches(['\n', '\r']);
            lines.push(Line::new(mark, format!("{sign} {text}").trim_end()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_near_a_change_are_shown() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
        let after = before.replace("a\n", "A\n").replace("i\n", "");
        let texts: Vec<String> =
            differing(before, &after).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["- a", "+ A", "  b", "  c", "…", "  g", "  h", "- i", "  j"]);
        assert_eq!(differing(before, before), []);
    }
}
