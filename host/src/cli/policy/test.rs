//! `signoff policy test`: runs the tests of a rules file, and lists rules that no test fires.

use clap::Args;
use serde_json::json;

use super::case::{self, Cases, Report};
use super::include;
use super::problems::report_problems;
use super::source;
use super::stop::Stop;
use crate::cli::{Exit, output};
use crate::engine::Cache;
use crate::policy::{Severity, Template};

#[derive(Args)]
#[command(after_help = "A test fires a rule if the rule matches, whether or not it decides.\n\n\
Exit codes: 0 all tests pass, 1 a test fails, the rules have errors, or with --require-coverage no test fires a rule.")]
pub(in crate::cli) struct TestArgs {
    /// A rules file, or - for standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// More tests: a TOML file that contains only [[test]]
    #[arg(long, value_name = "FILE")]
    cases: Option<String>,
    /// Fail if no test fires a rule
    #[arg(long)]
    require_coverage: bool,
}

pub(super) fn run(args: &TestArgs, json: bool) -> Result<Exit, Stop> {
    let cases = args
        .cases
        .as_ref()
        .map(|file| source::rules(file).map(|text| Cases { file: file.clone(), text }));
    let cases = cases.transpose()?;
    let mut runtime = Template::new(&Cache::of_user())?.runtime()?;
    let rules = include::rules(&args.file, &mut runtime, json)?;
    let loaded = runtime.load(&rules).map_err(|error| report_problems(&args.file, error, json))?;
    let report = case::run(&mut runtime, &args.file, &loaded, cases.as_ref(), json)?;
    let uncovered = args.require_coverage && !report.unfired().is_empty();
    if json {
        let mut answer = report.as_json();
        if let Some(members) = answer.as_object_mut() {
            let warnings = loaded.problems.iter().filter(|p| p.severity == Severity::Warning);
            members.insert("ok".to_owned(), json!(report.failed() == 0 && !uncovered));
            members.insert("warnings".to_owned(), json!(warnings.count()));
        }
        output::line(&answer.to_string());
    } else {
        print(&report, loaded.rules);
    }
    Ok(if report.failed() > 0 || uncovered { Exit::Failed } else { Exit::Done })
}

fn print(report: &Report, rules: usize) {
    report.print();
    let unfired = report.unfired();
    let fired = rules.saturating_sub(unfired.len());
    let named: Vec<String> = unfired.iter().map(|rule| format!("`{rule}`")).collect();
    let but = if named.is_empty() { String::new() } else { format!(", not {}", named.join(", ")) };
    output::plain(&format!("fired: {fired} of {}{but}", output::count(rules, "rule")));
    let failed = report.failed();
    let ends = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    output::plain(&format!("{} passed{ends}", output::count(report.cases() - failed, "test")));
}
