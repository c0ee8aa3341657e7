//! `signoff policy diff`: compares two policies on recorded approvals or test cases.

mod cases;
mod flip;
mod history;

use clap::Args;
use serde_json::json;

use super::local_policy::LocalPolicy;
use super::outline::{Changes, Outline};
use super::stop::Stop;
use crate::cli::exit::Failure;
use crate::cli::transport::Transport;
use crate::cli::{Exit, output};
use crate::engine::Cache;
use crate::policy::Template;
use flip::Comparison;

#[derive(Args)]
#[command(
    after_help = "Without --history the tests of both files are evaluated with both policies, ignoring their expectations. A flip is a verdict that \
is weaker or stricter, another requirement, or a failure of one of them; another rule with the same \
verdict is only counted.\n\n\
With --json each flip is one line, and the last line is a summary.\n\n\
Exit codes: 0 compared; with --exit-code 1 if anything flips; 1 failed, 2 usage, 3 refused."
)]
pub(in crate::cli) struct DiffArgs {
    /// The current rules file or module
    #[arg(value_name = "A")]
    before: String,
    /// The new rules file or module
    #[arg(value_name = "B")]
    after: String,
    /// Evaluate recorded approvals, newest first, each at the time it was requested
    #[arg(long)]
    history: bool,
    /// The maximum number of approvals
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..), requires = "history")]
    limit: u64,
    /// More test cases: a TOML file that contains only [[test]]
    #[arg(long, value_name = "FILE", conflicts_with = "history")]
    cases: Option<String>,
    /// Exit with 1 if anything flips
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(
    args: &DiffArgs,
    json: bool,
    open: impl Fn() -> Result<Transport, Failure>,
) -> Result<Exit, Stop> {
    if args.before == "-" && args.after == "-" {
        return Err(Failure::usage("standard input can be read only once").into());
    }
    let template = Template::new(&Cache::of_user())?;
    let before = LocalPolicy::open(&args.before, &template, json)?;
    let after = LocalPolicy::open(&args.after, &template, json)?;
    let changes = match (before.rules(), after.rules()) {
        (Some(one), Some(two)) => Some(Outline::of(one).changes(&Outline::of(two))),
        _ => None,
    };
    if let Some(changes) = changes.as_ref().filter(|_| !json) {
        changes.lines().iter().for_each(|line| output::plain(line));
    }
    let mut comparison = Comparison::new(before, after, json);
    let more = if args.history {
        history::replay(&mut comparison, &open()?, args.limit)?
    } else {
        cases::replay(&mut comparison, &template, args.cases.as_deref())?;
        false
    };
    print_summary(&comparison, changes.as_ref(), more, args, json);
    let flipped = args.exit_code && comparison.flips() > 0;
    Ok(if flipped { Exit::Failed } else { Exit::Done })
}

fn print_summary(
    comparison: &Comparison,
    changes: Option<&Changes>,
    more: bool,
    args: &DiffArgs,
    json: bool,
) {
    if json {
        let mut summary = comparison.as_json();
        if let Some(members) = summary.as_object_mut() {
            members.insert("rules".to_owned(), changes.map_or(json!(null), Changes::as_json));
            members.insert("more".to_owned(), json!(more));
        }
        output::line(&json!({ "summary": summary }).to_string());
        return;
    }
    output::plain(&comparison.summary(if args.history { "approval" } else { "case" }));
    if more {
        output::note(&format!(
            "there are older approvals; include more with --limit {}",
            args.limit.saturating_mul(10)
        ));
    }
}
