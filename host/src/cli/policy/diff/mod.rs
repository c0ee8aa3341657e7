//! `signoff policy diff`: compares two policies on recorded approvals or test cases.

mod cases;
mod changes;
mod flip;
mod history;

use anyhow::anyhow;
use clap::Args;
use serde_json::json;

use super::local_policy::LocalPolicy;
use super::outline::Outline;
use super::stop::Stop;
use crate::cli::exit::Failure;
use crate::cli::module::{PolicyRole, policy_of};
use crate::cli::transport::Transport;
use crate::cli::{Exit, output};
use crate::engine::Cache;
use crate::policy::Template;
use cases::Cases;
use changes::Changes;
use flip::Comparison;

#[derive(Args)]
#[command(
    after_help = "A and B are rules files or modules. `active` is the active policy of the server, and `shadow` its shadow; write ./active for a \
file of that name. Of rules, each setting and member that differs is shown with its old and new value.\n\n\
Without --history the tests of both files are evaluated with both policies, ignoring their expectations. A flip is a verdict that \
is weaker or stricter, another requirement, or a failure of one of them; another rule with the same \
verdict is only counted. --history evaluates recorded approvals; the role `policy` suffices.\n\n\
With --json each flip is one line, and the last line is a summary.\n\n\
Examples:\n  \
signoff policy diff mail.toml mail-2.toml\n  \
signoff policy diff active mail-2.toml --history\n\n\
Exit codes: 0 nothing flips, or only rules were compared because there are no test cases; 1 a verdict flips, or the comparison failed; 2 usage; 3 refused."
)]
pub(in crate::cli) struct DiffArgs {
    /// The current rules file or module, `active` or `shadow`
    #[arg(value_name = "A")]
    before: String,
    /// The new rules file or module, `active` or `shadow`
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
    /// Accepted for older scripts: a flip gives exit code 1 anyway
    #[arg(long, hide = true)]
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
    let opened = |name: &str| opened(name, &template, json, &open);
    let (before, after) = (opened(&args.before)?, opened(&args.after)?);
    let changes = match (before.rules(), after.rules()) {
        (Some(one), Some(two)) => Some(Changes::between(&Outline::of(one), &Outline::of(two))),
        _ => None,
    };
    if let Some(changes) = changes.as_ref().filter(|_| !json) {
        for line in changes.lines() {
            output::painted(line.mark.style(), &line.text);
        }
    }
    let mut comparison = Comparison::new(before, after, json);
    let more = if args.history {
        history::replay(&mut comparison, &open()?, args.limit)?
    } else {
        let cases = Cases::of(&mut comparison, &template, args.cases.as_deref())?;
        if cases.is_empty() && changes.is_none() {
            let message = "there are neither rules nor test cases to compare; give --cases, or --history with a store or a server";
            return Err(anyhow!(message).into());
        }
        cases.replay(&mut comparison)?;
        false
    };
    print_summary(&comparison, changes.as_ref(), more, args, json);
    Ok(if comparison.flips() > 0 { Exit::Failed } else { Exit::Done })
}

/// Opens a policy of this machine or of the server.
fn opened(
    name: &str,
    template: &Template,
    json: bool,
    open: impl Fn() -> Result<Transport, Failure>,
) -> Result<LocalPolicy, Stop> {
    let role = match name {
        "active" => PolicyRole::Active,
        "shadow" => PolicyRole::Shadow,
        file => return LocalPolicy::open(file, template, json),
    };
    let wasm = policy_of(role, &open()?)?;
    LocalPolicy::of_module(name.to_owned(), &wasm, template, json)
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
    match changes {
        Some(changes) if comparison.compared() == 0 && !args.history => {
            let same =
                if changes.is_empty() { "the rules are the same" } else { "the rules differ" };
            output::line(&format!("{same}; there are no test cases, so no verdict was compared"));
            output::note(
                "write [[test]] tables, give --cases, or --history with a store or a server",
            );
        }
        _ => output::plain(&comparison.summary(if args.history { "approval" } else { "case" })),
    }
    if more {
        output::note(&format!(
            "there are older approvals; include more with --limit {}",
            args.limit.saturating_mul(10)
        ));
    }
}
