//! `signoff policy test`: runs the tests of a rules file, and lists rules that no test fires.

use clap::Args;
use serde_json::json;

use super::case::{self, Cases, Report};
use super::include;
use super::junit::{self, Subject};
use super::problems::report_problems;
use super::source;
use super::stop::Stop;
use crate::cli::destination::Destination;
use crate::cli::exit::Failure;
use crate::cli::{Exit, output};
use crate::engine::Cache;
use crate::policy::{Loaded, RulesError, Severity, Template};

#[derive(Args)]
#[command(
    after_help = "A test fires a rule if the rule matches, whether or not it decides; a rule whose condition fails does not match. --junit writes JUnit XML for CI systems, also when \
the rules or tests have errors.\n\n\
Examples:\n  \
signoff policy test mail.toml\n  \
signoff policy test mail.toml --require-coverage --junit report.xml\n\n\
Exit codes: 0 all tests pass; 1 a test fails, the rules have errors, there are no tests, or with --require-coverage no test fires a rule; 2 usage."
)]
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
    /// Pass if there are no tests
    #[arg(long)]
    allow_empty: bool,
    /// Also write the results as JUnit XML; with - instead, to standard output
    #[arg(long, value_name = "FILE")]
    junit: Option<Destination>,
}

pub(super) fn run(args: &TestArgs, json: bool) -> Result<Exit, Stop> {
    let only_xml = args.junit.as_ref().is_some_and(|junit| !junit.is_file());
    if only_xml && json {
        let message = "--json and --junit - both write to standard output; give --junit a file";
        return Err(Failure::usage(message).into());
    }
    let (loaded, report) = tested(args, json)?;
    let is_empty = report.cases() == 0 && !args.allow_empty;
    let uncovered = args.require_coverage && !report.unfired().is_empty();
    let failed = report.failed() > 0 || is_empty || uncovered;
    if let Some(junit) = &args.junit {
        let subject = Subject {
            file: &args.file,
            policy: &loaded.name,
            all_fire: args.require_coverage,
            allow_empty: args.allow_empty,
        };
        junit::write(junit, &subject, &report)?;
    }
    if json {
        let mut answer = report.as_json();
        if let Some(members) = answer.as_object_mut() {
            let warnings = loaded.problems.iter().filter(|p| p.severity == Severity::Warning);
            members.insert("ok".to_owned(), json!(!failed));
            members.insert("warnings".to_owned(), json!(warnings.count()));
        }
        output::line(&answer.to_string());
    } else if !only_xml {
        print(&report, loaded.rules);
    }
    if is_empty && !json {
        output::note("there are no tests: write [[test]] tables, or give --allow-empty");
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// Loads the rules and runs their tests. What prevents that is in the JUnit file too.
fn tested(args: &TestArgs, json: bool) -> Result<(Loaded, Report), Stop> {
    let failed = |file: &str, error: RulesError| match &args.junit {
        Some(junit) => match junit::write_error(junit, &args.file, &format!("{file}: {error}")) {
            Ok(()) => report_problems(file, error, json),
            Err(failure) => failure.into(),
        },
        None => report_problems(file, error, json),
    };
    let read = |file: &str| {
        source::rules(file).or_else(|failure| {
            if let Some(junit) = &args.junit {
                junit::write_error(junit, &args.file, &failure.words())?;
            }
            Err(failure)
        })
    };
    let text = read(&args.file)?;
    let cases = args.cases.as_ref();
    let cases = cases.map(|file| Ok::<_, Failure>(Cases { file: file.clone(), text: read(file)? }));
    let cases = cases.transpose()?;
    let mut runtime = Template::new(&Cache::of_user())?.runtime()?;
    let rules = include::resolved(&args.file, text, &mut runtime)
        .map_err(|error| failed(&args.file, error))?;
    let loaded = runtime.load(&rules).map_err(|error| failed(&args.file, error))?;
    let report = case::run(&mut runtime, &args.file, &loaded, cases.as_ref(), failed)?;
    Ok((loaded, report))
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
