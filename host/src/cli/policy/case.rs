//! Tests of a rules file and of additional files.

use serde_json::{Value, json};

use super::problems::report_problems;
use super::stop::Stop;
use crate::cli::output;
use crate::policy::{Loaded, RulesRuntime, Tested, TestedCase};

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

/// Runs the tests of the loaded rules, then those of another file.
pub(super) fn run(
    runtime: &mut RulesRuntime,
    file: &str,
    loaded: &Loaded,
    cases: Option<&Cases>,
    json: bool,
) -> Result<Report, Stop> {
    let text = cases.map(|cases| cases.text.as_str());
    let others = cases.map(|cases| cases.file.clone());
    let tested = runtime
        .test(text)
        .map_err(|error| report_problems(others.as_deref().unwrap_or(file), error, json))?;
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
            self.lines(number, case).into_iter().for_each(|line| output::plain(&line));
        }
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
        lines.extend(case.differs().into_iter().map(|differs| format!("      {differs}")));
        for trace in case.why.iter().filter(|trace| trace.matched) {
            let of = trace
                .error
                .as_ref()
                .map_or_else(String::new, |e| format!(": its condition fails: {e}"));
            lines.push(format!("      rule `{}` matched ({}){of}", trace.rule, trace.verdict));
        }
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
                    "differs": case.differs(), "trace": case.why,
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
