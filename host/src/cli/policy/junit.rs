//! Test results as JUnit XML, which CI systems read.
//!
//! The format has no standard. The elements and attributes here are those that Jenkins, GitLab and
//! CircleCI read. Times are left out, so that the same results give the same file.

use std::fmt::Write as _;
use std::io::Write as _;

use signoff_core::deceptive::{in_lines, in_one_line};

use super::case::{Report, explained};
use crate::cli::destination::Destination;

/// One test of a report.
struct Case<'a> {
    /// The policy's name, or what is checked about it.
    class: &'a str,
    name: &'a str,
    /// Its file and line.
    at: Option<(&'a str, usize)>,
    result: Result<(), Defect>,
}

/// Why a test did not pass.
struct Defect {
    /// `failure`: not as expected; `error`: it could not run.
    element: &'static str,
    /// The kind, for programs.
    kind: &'static str,
    /// The first line is the summary.
    text: String,
}

/// What a report is about.
pub(super) struct Subject<'a> {
    /// The rules file.
    pub(super) file: &'a str,
    /// The policy's name.
    pub(super) policy: &'a str,
    /// Whether each rule must be fired by a test.
    pub(super) all_fire: bool,
    /// Whether a file without tests passes.
    pub(super) allow_empty: bool,
}

/// Writes the results of tests.
pub(super) fn write(
    destination: &Destination,
    subject: &Subject<'_>,
    report: &Report,
) -> anyhow::Result<()> {
    let mut cases: Vec<Case<'_>> = report
        .with_files()
        .map(|(file, case)| Case {
            class: subject.policy,
            name: &case.name,
            at: Some((file, case.line)),
            result: if case.passed {
                Ok(())
            } else {
                let text = explained(case).join("\n");
                Err(Defect { element: "failure", kind: "verdict", text })
            },
        })
        .collect();
    if report.cases() == 0 && !subject.allow_empty {
        let text = "there are no tests".to_owned();
        let result = Err(Defect { element: "failure", kind: "empty", text });
        cases.push(Case { class: subject.policy, name: "there are tests", at: None, result });
    }
    if subject.all_fire {
        cases.extend(report.unfired().iter().map(|rule| Case {
            class: "coverage",
            name: rule,
            at: None,
            result: Err(Defect {
                element: "failure",
                kind: "coverage",
                text: format!("no test fires the rule `{rule}`"),
            }),
        }));
    }
    put(destination, subject.file, &cases)
}

/// Writes that the tests could not run, so that no earlier file passes for this run's.
pub(super) fn write_error(
    destination: &Destination,
    file: &str,
    problem: &str,
) -> anyhow::Result<()> {
    let defect = Defect { element: "error", kind: "rules", text: problem.to_owned() };
    let name = "the rules and tests can be read";
    put(destination, file, &[Case { class: file, name, at: None, result: Err(defect) }])
}

fn put(destination: &Destination, file: &str, cases: &[Case<'_>]) -> anyhow::Result<()> {
    let mut draft = destination.create()?;
    draft.write_all(xml(file, cases).as_bytes())?;
    draft.keep()
}

fn xml(file: &str, cases: &[Case<'_>]) -> String {
    let count = |element: &str| {
        let defects = cases.iter().filter_map(|case| case.result.as_ref().err());
        defects.filter(|defect| defect.element == element).count()
    };
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\"",
        cases.len(),
        count("failure"),
        count("error")
    );
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"signoff policy test\" {counts}>\n  <testsuite name=\"{}\" {counts} skipped=\"0\">\n",
        escaped(&in_one_line(file))
    );
    for Case { class, name, at, result } in cases {
        let at = at.map_or_else(String::new, |(file, line)| {
            format!(" file=\"{}\" line=\"{line}\"", escaped(&in_one_line(file)))
        });
        let head = format!(
            "    <testcase classname=\"{}\" name=\"{}\"{at}",
            escaped(&in_one_line(class)),
            escaped(&in_one_line(name))
        );
        let _infallible = match result {
            Ok(()) => writeln!(xml, "{head}/>"),
            Err(Defect { element, kind, text }) => writeln!(
                xml,
                "{head}>\n      <{element} type=\"{kind}\" message=\"{}\">{}</{element}>\n    </testcase>",
                escaped(&in_one_line(text.lines().next().unwrap_or_default())),
                escaped(&in_lines(text))
            ),
        };
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// Escapes a text for an attribute or an element. What XML 1.0 cannot contain is written as
/// `\u{1b}`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // As themselves, a parser makes blanks of them in an attribute.
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\t' => escaped.push_str("&#9;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.extend(char.escape_unicode()),
            char => escaped.push(char),
        }
    }
    escaped
}
