//! `signoff hook`: the approval gate in the hooks of coding agents.

mod answer;
mod builtins;
mod change;
mod deciding;
mod described;
mod environment;
mod event;
mod gate;
mod install;
mod settings;
mod shell;
mod trial;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, Subcommand};

use super::request::RequirementArgs;
use super::run::trust::TrustOptions;
use super::transport::Target;
use super::{Exit, Global, context, exit::Failure};
use crate::endpoint::UNIX_SCHEME;
use event::Harness;
use gate::{Gate, OnPending};

#[derive(Subcommand)]
pub(super) enum HookCommand {
    /// Answer an event of Claude Code
    #[command(after_help = CLAUDE)]
    Claude(GateArgs),
    /// Answer an event of Codex
    #[command(after_help = CODEX)]
    Codex(GateArgs),
    /// Answer an event of GitHub Copilot
    #[command(after_help = COPILOT)]
    Copilot(CopilotArgs),
    /// Add the gate to the settings of Claude Code
    Install(install::InstallArgs),
    /// Remove the gate from the settings of Claude Code
    Uninstall(install::UninstallArgs),
    /// Show the answer to a sample event, without requesting an approval
    Test(trial::TestArgs),
}

const CLAUDE: &str = "Examples:
  signoff login https://signoff.company.com --audience prod --keys approvers.json < token
  signoff hook install claude -- --trust approvers.json --audience prod
  signoff hook test claude --tool Bash --input '{\"command\": \"git push --force\"}'

The event is read from standard input: PreToolUse, PostToolUse or PostToolUseFailure. The policy is evaluated
for the tool's name as the action, with the input, the folder, the commands of a shell's line and the diff of a
changed file as the context. The answer is `allow`, `deny` or `defer`; the exit code is 0, or 2 with the reason on
standard error, which blocks the tool after any failure.";

const CODEX: &str = "Example, in ~/.codex/config.toml:
  [[hooks.PreToolUse]]
  [[hooks.PreToolUse.hooks]]
  type = \"command\"
  command = \"/usr/bin/signoff hook codex\"
  timeout = 600

A denial is printed as JSON; nothing is printed for a tool that may run, and Codex applies its own permissions.";

const COPILOT: &str = "Example, in .github/hooks/signoff.json:
  {\"version\": 1, \"hooks\": {
    \"preToolUse\": [{\"type\": \"command\", \"bash\": \"signoff hook copilot\", \"timeoutSec\": 600}],
    \"postToolUse\": [{\"type\": \"command\", \"bash\": \"signoff hook copilot --event postToolUse\"}],
    \"postToolUseFailure\": [{\"type\": \"command\", \"bash\": \"signoff hook copilot --event postToolUseFailure\"}]}}

Copilot lets a tool run whose hook takes longer than timeoutSec, 30 s by default: set it above --timeout.";

#[derive(Args, Clone)]
pub(super) struct GateArgs {
    /// The agent that requests name [default: claude-code, codex or copilot]
    #[arg(long)]
    agent: Option<String>,
    /// Time after which the tool is blocked, below the limit of the coding agent
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "9m")]
    timeout: i64,
    /// What to do while an approval is pending
    #[arg(long, value_enum, default_value = "wait")]
    on_pending: OnPending,
    /// Leave the coding agent's own question in place for what the policy allows
    #[arg(long)]
    keep_prompts: bool,
    /// Time to live of the approval: 3600, 30m, 1h, at most 7d
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_in: Option<i64>,
    /// Time after which the outcome of the tool becomes unknown
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1h")]
    lease: i64,
    #[command(flatten)]
    requirement: RequirementArgs,
    #[command(flatten)]
    trust: TrustOptions,
}

#[derive(Args, Clone)]
pub(super) struct CopilotArgs {
    #[command(flatten)]
    gate: GateArgs,
    /// The event, which Copilot does not name [default: preToolUse]
    #[arg(long, value_name = "NAME", value_parser = ["preToolUse", "postToolUse", "postToolUseFailure"])]
    event: Option<String>,
}

/// Parses a time of at least one second.
pub(super) fn time(text: &str) -> Result<i64, String> {
    context::seconds(text).and_then(|seconds| match seconds {
        1.. => Ok(seconds),
        _ => Err("expected at least 1 second".to_owned()),
    })
}

pub(super) fn run(
    command: HookCommand,
    mut global: Global,
    target: Target,
    matches: &ArgMatches,
) -> Result<Exit, Failure> {
    let (harness, args, event) = match command {
        HookCommand::Claude(args) => (Harness::Claude, args, None),
        HookCommand::Codex(args) => (Harness::Codex, args, None),
        HookCommand::Copilot(CopilotArgs { gate, event }) => (Harness::Copilot, gate, event),
        HookCommand::Install(args) => return install::install(&args, &global, matches),
        HookCommand::Uninstall(args) => return install::uninstall(&args, &global),
        HookCommand::Test(args) => return trial::run(&args, &global, &target),
    };
    environment::check(matches, &target)?;
    if args.on_pending == OnPending::Defer && harness != Harness::Claude {
        return Err(Failure::usage("only Claude Code can defer a tool: use --on-pending deny"));
    }
    let files =
        [&args.trust.trust, &global.ca, &global.token_file, &global.config, &global.keyring];
    let place = match &target {
        Target::Store(store) => Some(store.as_path()),
        Target::Server(url) => url.strip_prefix(UNIX_SCHEME).map(Path::new),
    };
    let named = files.into_iter().flatten().map(PathBuf::as_path).chain(place);
    if let Some(path) = named.into_iter().find(|path| path.is_relative()) {
        return Err(Failure::usage(format!(
            "`{}` must be an absolute path: the gate runs in the folder of the agent",
            path.display()
        )));
    }
    // Standard output has nothing but the answer.
    global.json = false;
    Ok(gate::run(Gate { harness, args, event, global, target }))
}

impl HookCommand {
    /// Returns whether the command calls a server.
    pub(super) fn calls_a_server(&self) -> bool {
        !matches!(self, Self::Install(_) | Self::Uninstall(_))
    }
}

/// Returns whether the command answers a coding agent.
pub(super) fn is_gate(matches: &ArgMatches) -> bool {
    let hook = matches.subcommand_matches("hook");
    let name = hook.and_then(ArgMatches::subcommand_name);
    matches!(name, Some("claude" | "codex" | "copilot"))
}

/// Runs a gate so that any failure, and any panic, blocks the tool.
pub(super) fn shielded(run: impl FnOnce() -> Result<Exit, Failure>) -> Exit {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => answer::block(&failure),
        Err(_) => answer::block_with("signoff failed; this is a defect, please report it"),
    }
}
