//! `signoff hook test`: what a sample event would get.

use std::env;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::Verdict;
use super::described::describe;
use super::event::{Event, Harness, Moment};
use crate::api::Evaluation;
use crate::cli::evaluate::{EvaluateRequest, format_evaluation};
use crate::cli::exit::{Exit, Failure};
use crate::cli::transport::{Target, Transport};
use crate::cli::{Global, context, output};
use crate::policy::Decision;

#[derive(Args)]
#[command(after_help = "Examples:
  signoff hook test claude --tool Bash --input '{\"command\": \"git push --force\"}'
  signoff hook test claude --tool Write --input '{\"file_path\": \"a.txt\", \"content\": \"new\"}'

Exit codes: 0 the policy allows it, 4 it requires approval, 3 it denies it or the call is refused.")]
pub(in crate::cli) struct TestArgs {
    /// The coding agent
    harness: Named,
    /// The tool's name
    #[arg(long, default_value = "Bash")]
    tool: String,
    /// The tool's input: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{\"command\":\"ls\"}")]
    input: String,
    /// The agent that requests name [default: claude-code, codex or copilot]
    #[arg(long)]
    agent: Option<String>,
}

/// A coding agent on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Named {
    Claude,
    Codex,
    Copilot,
}

pub(super) fn run(args: &TestArgs, global: &Global, target: &Target) -> Result<Exit, Failure> {
    let harness = match args.harness {
        Named::Claude => Harness::Claude,
        Named::Codex => Harness::Codex,
        Named::Copilot => Harness::Copilot,
    };
    let input = context::text(&args.input)?;
    let input: Box<RawValue> =
        serde_json::from_str(&input).map_err(|_| Failure::usage("--input is not JSON"))?;
    let event = Event {
        moment: Moment::Before,
        session: "test".to_owned(),
        tool_use: Some("test".to_owned()),
        tool: args.tool.clone(),
        input,
        folder: env::current_dir().context("the working folder cannot be read")?,
    };
    let transport = Transport::new(target, global)?;
    let context = transport.canonical(&describe(&event, harness, None)?)?;
    let agent = args.agent.as_deref().unwrap_or(harness.agent());
    let request = EvaluateRequest { agent, action: &args.tool, context: &context, plan: None };
    let answer = request.send(&transport)?;
    let evaluation: Evaluation = transport.parse(&answer)?;
    let words = format_evaluation(&evaluation);
    let verdict = match evaluation.decision {
        Decision::Allow => Some(Verdict::Allow(words.clone())),
        Decision::Deny => Some(Verdict::Deny(words.clone())),
        Decision::RequireApproval => None,
    };
    let printed = verdict.as_ref().map(|verdict| verdict.text(harness));
    if global.json {
        let name = verdict.as_ref().map_or("request", Verdict::name);
        let context: Value = serde_json::from_str(&context)?;
        let evaluation: Value = serde_json::from_str(&answer)?;
        let shown = json!({
            "evaluation": evaluation, "context": context, "answer": name, "output": printed,
        });
        output::line(&shown.to_string());
    } else {
        output::plain(&words);
        let context: Value = serde_json::from_str(&context)?;
        output::plain(&serde_json::to_string_pretty(&context)?);
        match printed.as_deref() {
            None => output::note("the gate would request an approval and wait for it"),
            Some("") => output::note("the gate would print nothing, and the tool would run"),
            Some(text) => output::note(&format!("the gate would print: {text}")),
        }
    }
    Ok(match evaluation.decision {
        Decision::Allow => Exit::Done,
        Decision::RequireApproval => Exit::Pending,
        Decision::Deny => Exit::Refused,
    })
}
