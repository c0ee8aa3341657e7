//! Tests of a rules file and of additional files.

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::differs::differs;
use super::stop::Stop;
use crate::cli::output;
use crate::policy::{Loaded, RulesError, RulesRuntime, Tested, TestedCase, Trace};

/// The results of tests, and their files.
pub(super) struct Report {
    tested: Tested,
    /// The rules file, and the number of tests in it.
    own: (String, usize),
    /// The file of the other tests.
    others: Option<String>,
}

/// A file that contains only tests.
pub(super) struct Cases {
    pub(super) file: String,
    pub(super) text: String,
}

/// Runs the tests of the loaded rules, then those of another file; `failed` reports the problems of a
/// file.
pub(super) fn run(
    runtime: &mut RulesRuntime,
    file: &str,
    loaded: &Loaded,
    cases: Option<&Cases>,
    failed: impl FnOnce(&str, RulesError) -> Stop,
) -> Result<Report, Stop> {
    let text = cases.map(|cases| cases.text.as_str());
    let others = cases.map(|cases| cases.file.clone());
    let tested =
        runtime.test(text).map_err(|error| failed(others.as_deref().unwrap_or(file), error))?;
    Ok(Report { tested, own: (file.to_owned(), loaded.tests), others })
}

impl Report {
    /// Returns the number of tests.
    pub(super) fn cases(&self) -> usize {
        self.tested.cases.len()
    }

    /// Returns the number of failed tests.
    pub(super) fn failed(&self) -> usize {
        self.tested.failed()
    }

    /// Returns the rules that no test fires.
    pub(super) fn unfired(&self) -> &[String] {
        &self.tested.unfired
    }

    /// Prints each test, with the differences of failed ones.
    pub(super) fn print(&self) {
        for (number, case) in self.tested.cases.iter().enumerate() {
            let mut lines = self.lines(number, case).into_iter();
            let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
            if !case.passed {
                lines.next().into_iter().for_each(|line| output::painted(red, &line));
            }
            lines.for_each(|line| output::plain(&line));
        }
    }

    /// Returns each test with its file.
    pub(super) fn with_files(&self) -> impl Iterator<Item = (&str, &TestedCase)> {
        self.tested.cases.iter().enumerate().map(|(number, case)| (self.file(number), case))
    }

    /// Prints the failed tests to standard error, as the reason why there is no result.
    pub(super) fn note_failed(&self) {
        for (number, case) in self.tested.cases.iter().enumerate().filter(|(_, c)| !c.passed) {
            output::note(&self.lines(number, case).join("\n"));
        }
    }

    fn lines(&self, number: usize, case: &TestedCase) -> Vec<String> {
        let name = case.name.replace('\n', " ");
        if case.passed {
            return vec![format!("ok    {name}")];
        }
        let mut lines = vec![format!("FAIL  {name} ({}:{})", self.file(number), case.line)];
        lines.extend(explained(case).into_iter().map(|line| format!("      {line}")));
        lines
    }

    /// Returns the file of a test: those of the rules file come first.
    fn file(&self, number: usize) -> &str {
        let (file, own) = &self.own;
        match &self.others {
            Some(others) if number >= *own => others,
            _ => file,
        }
    }

    /// Returns the results as JSON.
    pub(super) fn as_json(&self) -> Value {
        let cases: Vec<Value> = self
            .tested
            .cases
            .iter()
            .enumerate()
            .map(|(number, case)| {
                json!({
                    "file": self.file(number), "line": case.line, "name": case.name,
                    "passed": case.passed, "expected": case.expected, "got": case.got,
                    "differs": differs(case), "trace": case.why,
                })
            })
            .collect();
        let Tested { fired, unfired, default_fired, .. } = &self.tested;
        json!({
            "passed": self.cases() - self.failed(), "failed": self.failed(), "cases": cases,
            "fired": fired, "unfired": unfired, "default_fired": default_fired,
        })
    }
}

/// Returns the differences of a failed test, the rules that matched, and why they did not decide as
/// expected.
pub(super) fn explained(case: &TestedCase) -> Vec<String> {
    let mut lines = differs(case);
    let matched: Vec<&Trace> = case.why.iter().filter(|trace| trace.matched).collect();
    // A rule whose condition is false concerns nobody here.
    for trace in case.why.iter().filter(|trace| trace.matched || trace.error.is_some()) {
        let Trace { rule, verdict, .. } = trace;
        let did = if trace.error.is_some() { "failed" } else { "matched" };
        let of = trace.error.as_ref();
        let of = of.map_or_else(String::new, |e| format!(": its condition fails: {e}"));
        lines.push(format!("rule `{rule}` {did} ({verdict}){of}"));
    }
    if matched.is_empty() {
        lines.push("no rule matched, so the default decided".to_owned());
    }
    lines.extend(overruled(case, &matched));
    lines
}

/// Explains why a rule that the test expects to decide did not, although it matched.
fn overruled(case: &TestedCase, matched: &[&Trace]) -> Option<String> {
    let (expected, got) = (&case.expected, &case.got);
    let wanted = matched.iter().find(|trace| match &expected.rule {
        Some(rule) => trace.rule == *rule,
        None => trace.verdict == expected.decision,
    })?;
    let winner = got.rule.as_ref().filter(|rule| **rule != wanted.rule)?;
    if got.decision > wanted.verdict {
        return Some(format!(
            "`{}` and `{winner}` both matched; the strictest verdict wins, whatever the order: narrow `{winner}`, so that it does not match here",
            wanted.rule
        ));
    }
    let has_failed = wanted.error.is_some();
    (expected.rule.is_some() && got.decision == wanted.verdict).then(|| {
        let why = if has_failed { "matched without a failed condition" } else { "is the first" };
        format!(
            "`{}` and `{winner}` both matched with one verdict; `{winner}` {why}, so the verdict names it",
            wanted.rule
        )
    })
}
