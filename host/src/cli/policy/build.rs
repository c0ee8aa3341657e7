//! `signoff policy build`: builds a module from a rules file.

use std::io::{IsTerminal, Write, stdout};
use std::path::Path;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::case;
use super::include;
use super::local_policy::Module;
use super::problems::{To, print, report_problems};
use super::source;
use super::stop::Stop;
use crate::cli::destination::Destination;
use crate::cli::exit::Failure;
use crate::cli::{Exit, output};
use crate::engine::Cache;
use crate::modules::{Slot, inspect};
use crate::policy::{Built, Limits, Template, build_with};

#[derive(Args)]
#[command(
    after_help = "The same rules give the same bytes, so that anyone can rebuild a module and compare. The module contains \
the files that the rules include.\n\n\
Exit codes: 0 built, 1 the rules have errors or a test fails, and nothing is written."
)]
pub(in crate::cli) struct BuildArgs {
    /// A rules file, or - for standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// The output file, or - for standard output [default: FILE with the extension .wasm]
    #[arg(long, short, value_name = "FILE")]
    output: Option<Destination>,
    /// Skip the rules' tests
    #[arg(long)]
    no_test: bool,
}

pub(super) fn run(args: &BuildArgs, json: bool) -> Result<Exit, Stop> {
    let destination = destination(args)?;
    let rules = source::rules(&args.file)?;
    if destination.is_file() && destination.is_same_file(&args.file) {
        let message = format!("the module would overwrite `{}`; give another --output", args.file);
        return Err(Failure::usage(message).into());
    }
    let template = Template::new(&Cache::of_user())?;
    let rules = include::resolved(&args.file, rules, &mut template.runtime()?)
        .map_err(|error| report_problems(&args.file, error, json))?;
    let built =
        build_with(&template, &rules).map_err(|error| report_problems(&args.file, error, json))?;
    print(&args.file, &built.loaded.problems, To::Error);
    if !args.no_test {
        run_tests(args, &template, &rules, json)?;
    }
    check_embedded_rules(&built, &rules)?;
    // Do not build a module that a server would refuse.
    inspect(&built.wasm, Slot::Policy, Limits::default())?;
    let mut draft = destination.create()?;
    draft.write_all(&built.wasm)?;
    draft.keep()?;
    print_summary(args, &destination, &built, json);
    Ok(Exit::Done)
}

fn destination(args: &BuildArgs) -> Result<Destination, Failure> {
    let destination = match &args.output {
        Some(destination) => destination.clone(),
        None if args.file == "-" => {
            return Err(Failure::usage("rules from standard input need an --output"));
        }
        None => Destination::to(Path::new(&args.file).with_extension("wasm")),
    };
    if !destination.is_file() && stdout().is_terminal() {
        return Err(Failure::usage("a module is binary; write it to a file or a pipe"));
    }
    Ok(destination)
}

/// Runs the rules' tests; a failure prevents the build.
fn run_tests(args: &BuildArgs, template: &Template, rules: &str, json: bool) -> Result<(), Stop> {
    let mut runtime = template.runtime()?;
    let failed = |file: &str, error| report_problems(file, error, json);
    let loaded = runtime.load(rules).map_err(|error| failed(&args.file, error))?;
    let report = case::run(&mut runtime, &args.file, &loaded, None, failed)?;
    if report.failed() == 0 {
        return Ok(());
    }
    if json {
        output::line(&report.as_json().to_string());
    } else {
        report.note_failed();
        let failed = output::count(report.failed(), "test");
        output::note(&format!("{failed} failed, so nothing was built"));
    }
    Err(Stop::Reported(Exit::Failed))
}

/// Runs the built module: one that does not start or has other rules is not written.
fn check_embedded_rules(built: &Built, rules: &str) -> anyhow::Result<()> {
    if Module::run(&built.wasm)?.rules() == Some(rules) {
        return Ok(());
    }
    bail!("the built module does not contain the rules it was built from")
}

fn print_summary(args: &BuildArgs, destination: &Destination, built: &Built, json: bool) {
    let Built { wasm, digest, loaded, memory_bytes } = built;
    let facts = if json {
        json!({
            "file": args.file, "module": destination.to_string(), "digest": digest,
            "bytes": wasm.len(), "name": loaded.name, "rules": loaded.rules,
            "tests": loaded.tests, "facts": loaded.facts, "tested": !args.no_test, "memory_bytes": memory_bytes,
            "problems": loaded.problems,
        })
        .to_string()
    } else {
        let tests = output::count(loaded.tests, "test");
        let tests =
            if args.no_test { format!("{tests} not run") } else { format!("{tests} passed") };
        let rules = output::count(loaded.rules, "rule");
        format!(
            "built    {destination}\ndigest   {digest}\nbytes    {}\npolicy   {}, {rules}, {tests}",
            wasm.len(),
            loaded.name
        )
    };
    if destination.is_file() {
        output::plain(&facts);
    } else {
        // Standard output carries the module.
        output::note(&facts.replace('\n', "\nsignoff: "));
    }
}
