//! `signoff policy eval`: evaluates a policy for one action, and explains the verdict.

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};
use signoff_core::facts::{self, Facts};
use signoff_core::name::Identifier;
use signoff_core::person::AGENT_PREFIX;

use super::local_policy::LocalPolicy;
use super::outline::Outline;
use super::stop::Stop;
use super::verdict;
use crate::cli::exit::Failure;
use crate::cli::transport::call_verifier;
use crate::cli::{Exit, context, output};
use crate::clock::{Clock, SystemClock};
use crate::engine::{Allocation, Cache};
use crate::policy::Attempt;
use crate::policy::{Decision, Verdict};
use crate::policy::{Template, Trace};
use crate::verifier::Verifier;

#[derive(Args)]
#[command(
    after_help = "A module is run directly. If it contains the rules it was built from, they explain its verdict; if their verdict \
differs from the module's, that is an error.\n\n\
Of each rule that concerns the attempt it prints whether the rule matched, or fails because its condition cannot be evaluated. A rule \
that fails counts towards the verdict like one that matches, unless it allows.\n\n\
Exit codes: 0 the policy allows it, 4 it requires approval, 3 it denies it; 1 no verdict, 2 usage."
)]
pub(in crate::cli) struct EvalArgs {
    /// A rules file or a module, or - for standard input
    #[arg(value_name = "FILE|MODULE")]
    file: String,
    /// The agent
    #[arg(long, value_parser = identifier)]
    agent: String,
    /// The action
    #[arg(long, value_parser = identifier)]
    action: String,
    /// The context: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    context: String,
    /// The plan, which is exactly what will run: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    plan: Option<String>,
    /// A fact that the host would provide, such as requester=ci@company.com; may be repeated. The
    /// requester defaults to agent:AGENT
    #[arg(long = "fact", value_name = "NAME=VALUE", value_parser = fact)]
    facts: Vec<(&'static str, String)>,
    /// The time, such as 2025-10-17T10:30:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    now: Option<u64>,
}

pub(super) fn run(args: &EvalArgs, json: bool) -> Result<Exit, Stop> {
    let attempt = attempt(args, json)?;
    for (name, value) in args.facts.iter().filter(|_| !json) {
        if let Some(message) = facts::not_lower(value) {
            output::note(&format!("--fact {name}: {message}, which is evaluated"));
        }
    }
    let template = Template::new(&Cache::of_user())?;
    let mut policy = LocalPolicy::open(&args.file, &template, json)?;
    let verdict = policy.evaluate(&attempt).map_err(|why| anyhow!("`{}`: {why}", args.file))?;
    let trace = trace(&mut policy, &attempt, &verdict)?;
    if json {
        print_json(&policy, &attempt, &verdict, trace.as_deref());
    } else {
        output::plain(&verdict::one_line(&verdict));
        match &trace {
            Some(trace) => print(&policy, trace),
            None => output::note("the module does not contain rules that explain the verdict"),
        }
    }
    Ok(match verdict.decision {
        Decision::Allow => Exit::Done,
        Decision::RequireApproval => Exit::Pending,
        Decision::Deny => Exit::Refused,
    })
}

/// Returns the attempt as a server would pass it to the policy: the verifier canonicalizes context
/// and plan first.
fn attempt(args: &EvalArgs, json: bool) -> Result<Attempt, Failure> {
    let inputs = [Some(args.file.as_str()), Some(&args.context), args.plan.as_deref()];
    if inputs.into_iter().flatten().filter(|input| *input == "-").count() > 1 {
        return Err(Failure::usage("standard input can be read only once"));
    }
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    let canonical = |argument: &str| canonical(&verifier, &context::text(argument)?, json);
    Ok(Attempt {
        agent: args.agent.clone(),
        action: args.action.clone(),
        context: canonical(&args.context)?,
        plan: args.plan.as_deref().map(canonical).transpose()?,
        facts: facts(args)?.to_text(),
        now: args.now.unwrap_or_else(|| SystemClock.now()),
    })
}

/// Returns the facts of an evaluation, or of a claim if `claimed_by` is given.
fn facts(args: &EvalArgs) -> Result<Facts, Failure> {
    let given = |name: &str| {
        let mut values = args.facts.iter().filter(|(given, _)| *given == name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Failure::usage(format!("duplicate fact `{name}`"))),
            (value, None) => Ok(value.map(|(_, value)| value.as_str())),
        }
    };
    let own = format!("{AGENT_PREFIX}{}", args.agent);
    let requester = given("requester")?.unwrap_or(&own);
    Ok(match given("claimed_by")? {
        None => Facts::of_request(requester),
        Some(claimed_by) => Facts::of_claim(requester, claimed_by),
    })
}

/// Returns the canonical form of a context or plan.
pub(super) fn canonical(verifier: &Verifier, text: &str, json: bool) -> Result<String, Failure> {
    call_verifier(json, || verifier.canonicalize(text))
}

/// Returns the trace of the rules, whose verdict must equal the module's.
fn trace(
    policy: &mut LocalPolicy,
    attempt: &Attempt,
    verdict: &Verdict,
) -> anyhow::Result<Option<Vec<Trace>>> {
    let Some((by_rules, trace)) = policy.explain(attempt)? else { return Ok(None) };
    if by_rules == *verdict {
        return Ok(Some(trace));
    }
    Err(anyhow!(
        "`{}` returns {}, but its embedded rules return {}: do not trust its description",
        policy.file,
        verdict::one_line(verdict),
        verdict::one_line(&by_rules)
    ))
}

fn print(policy: &LocalPolicy, trace: &[Trace]) {
    let outline = policy.rules().map(Outline::of).unwrap_or_default();
    let rows: Vec<[String; 5]> = trace
        .iter()
        .map(|item| {
            [
                format!("line {}", item.line),
                item.rule.clone(),
                item.verdict.to_string(),
                match (item.when.as_str(), item.matched) {
                    ("error", _) => "fails",
                    (_, true) => "matched",
                    (_, false) => "-",
                }
                .to_owned(),
                why(item, outline.condition(&item.rule)),
            ]
        })
        .collect();
    if rows.is_empty() {
        output::line("no rule applies to this agent and action");
    } else {
        output::table(["WHERE", "RULE", "VERDICT", "MATCHED", "WHY"], rows);
    }
    for item in trace {
        let condition = outline.condition(&item.rule).map(unindented);
        if let Some(condition) = condition.filter(|condition| condition.contains('\n')) {
            output::plain(&format!("condition of rule `{}`, line {}:", item.rule, item.line));
            let lines = condition.lines().map(|line| format!("    {line}").trim_end().to_owned());
            output::plain(&lines.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Removes what is before all lines of a condition, and empty lines around them.
fn unindented(condition: &str) -> String {
    let mut lines: Vec<&str> = condition.lines().map(str::trim_end).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(lines.len());
    let lines = lines.get(first..).unwrap_or_default();
    let filled = lines.iter().filter(|line| !line.is_empty());
    let indent = filled.map(|line| line.len() - line.trim_start_matches(' ').len()).min();
    let indent = indent.unwrap_or_default();
    lines.iter().map(|line| line.get(indent..).unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Formats a condition and its result; one of several lines is printed apart.
fn why(item: &Trace, condition: Option<&str>) -> String {
    let condition = condition
        .map(unindented)
        .filter(|condition| !condition.contains('\n'))
        .map_or_else(|| "its condition".to_owned(), |text| format!("`{text}`"));
    match (&item.error, item.when.as_str()) {
        (_, "none") => "no condition".to_owned(),
        (Some(error), _) => format!("{condition} fails: {error}"),
        (None, gave) => format!("{condition} is {gave}"),
    }
}

fn print_json(policy: &LocalPolicy, attempt: &Attempt, verdict: &Verdict, trace: Option<&[Trace]>) {
    let outline = policy.rules().map(Outline::of).unwrap_or_default();
    let trace = trace.map(|trace| {
        let with_condition = trace.iter().map(|item| {
            let mut item_json = json!(item);
            if let Some(members) = item_json.as_object_mut() {
                members.insert("condition".to_owned(), json!(outline.condition(&item.rule)));
            }
            item_json
        });
        with_condition.collect::<Vec<Value>>()
    });
    let Verdict { decision, rule, reason, requirement, failed } = verdict;
    let output = json!({
        "decision": decision, "rule": rule, "reason": reason, "requirement": requirement,
        "failed": failed, "agent": attempt.agent, "action": attempt.action, "facts": serde_json::from_str::<Value>(&attempt.facts).ok(), "now": attempt.now,
        "policy": policy.module.as_ref().map(|module| module.policy.digest()), "trace": trace,
    });
    output::line(&output.to_string());
}

fn identifier(text: &str) -> Result<String, String> {
    if Identifier::fits(text) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 128 printable ASCII characters without spaces".to_owned())
}

/// Parses a fact's name and value.
fn fact(text: &str) -> Result<(&'static str, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((facts::named(name)?, identifier(value)?))
}

/// Parses an RFC 3339 time to whole seconds since 1970.
fn seconds(text: &str) -> Result<u64, String> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok();
    let seconds = time.and_then(|time| u64::try_from(time.timestamp()).ok());
    seconds.ok_or_else(|| {
        "expected a time with its offset, from 1970 on, like 2025-10-17T10:30:00Z".to_owned()
    })
}
