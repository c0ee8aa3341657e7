//! `signoff mcp`: approvals for the tools of MCP servers.

mod decide;
mod http;
mod import;
mod sample;
mod servers;
mod stdio;
mod tools;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgMatches, Args, Subcommand};
use signoff_core::name::Identifier;

use super::hook::time;
use super::request::RequirementArgs;
use super::run::trust::{Pinned, TrustOptions};
use super::tool_use::state_folder;
use super::transport::{Target, Transport};
use super::{Exit, Global, context, exit::Failure};
use crate::mcp::{Gate, Pins, Record};
use decide::Policy;

/// Longest name of a server: it is a part of an action, which has at most 128 characters.
const SERVER_NAME_MAX: usize = 40;

/// The folder of the accepted tools, below that of this user's state.
const PINS: &str = "mcp-tools";

#[derive(Subcommand)]
pub(super) enum McpCommand {
    /// Pass messages between an MCP client and a server; tools run as the policy says
    #[command(after_help = GATE)]
    Gate(Box<GateArgs>),
    /// List the tools of servers as they were listed first, and which have changed
    Tools(tools::ToolsArgs),
    /// Show what changed in a server's tools, and accept it
    Accept(tools::AcceptArgs),
    /// Serve a few tools on standard input and output, to try the gate
    #[command(hide = true)]
    Sample,
    /// Put the gate in front of the servers in the configuration of an MCP client
    Import(import::ImportArgs),
}

const GATE: &str = "Example, in the configuration of an MCP client:
  {\"mcpServers\": {\"files\": {
    \"command\": \"signoff\",
    \"args\": [\"mcp\", \"gate\", \"--name\", \"files\", \"--\", \"npx\", \"@modelcontextprotocol/server-filesystem\", \"/srv\"]}}}

The policy is evaluated for the action `mcp:NAME/TOOL` with the arguments of the call as the context. A call that
requires approval waits for it; after --hold it is answered with a link, and the same call later finds the same
approval. Nothing but tools/call is changed or held.";

#[derive(Args, Clone)]
pub(super) struct GateArgs {
    /// The name of the server in actions: `mcp:NAME/TOOL`
    #[arg(long, value_name = "NAME", value_parser = server_name, required_unless_present_any = ["servers", "upstreams"])]
    name: Option<String>,
    /// Start all servers of this file; each tool is called `SERVER__TOOL`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "pins", "command"])]
    servers: Option<PathBuf>,
    /// Call only the tools that this file of an administrator accepts [default: each as it is first listed]
    #[arg(long, value_name = "FILE", conflicts_with = "upstreams")]
    pins: Option<PathBuf>,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    upstream: http::UpstreamArgs,
    #[command(flatten)]
    listen: http::ListenArgs,
    /// The command that starts the server
    #[arg(last = true, required_unless_present_any = ["servers", "upstream", "upstreams"], value_name = "COMMAND")]
    command: Vec<String>,
}

/// How calls are decided, whatever the transport.
#[derive(Args, Clone)]
pub(super) struct PolicyArgs {
    /// The agent that requests name
    #[arg(long, default_value = "mcp")]
    agent: String,
    /// Time that a call is held while its approval is pending
    #[arg(long, value_name = "TIME", value_parser = context::seconds, default_value = "3m")]
    hold: i64,
    /// The address of the inbox, for links to approvals [default: the server's]
    #[arg(long, value_name = "URL")]
    inbox: Option<String>,
    /// Time to live of the approval: 3600, 30m, 1h, at most 7d
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_in: Option<i64>,
    /// Time after which the outcome of a call becomes unknown
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1h")]
    lease: i64,
    #[command(flatten)]
    requirement: RequirementArgs,
    #[command(flatten)]
    trust: TrustOptions,
}

/// Parses the name of a server.
fn server_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=SERVER_NAME_MAX).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err(format!("expected 1 to {SERVER_NAME_MAX} letters, digits, `-`, `_` and `.`"))
}

pub(super) fn run(
    command: McpCommand,
    mut global: Global,
    target: &Target,
    matches: &ArgMatches,
) -> Result<Exit, Failure> {
    // Standard output of a gate has nothing but messages.
    let json = std::mem::take(&mut global.json);
    match command {
        McpCommand::Import(args) => import::run(&args, &global, matches, json),
        McpCommand::Tools(args) => tools::list(&args, json),
        McpCommand::Accept(args) => tools::accept(&args),
        McpCommand::Sample => sample::run(),
        McpCommand::Gate(args) => run_gate(*args, &global, target, json),
    }
}

fn run_gate(args: GateArgs, global: &Global, target: &Target, json: bool) -> Result<Exit, Failure> {
    if let Some(path) = &args.servers {
        let (servers, given) = servers::read(path)?;
        let gate = gate(&args.policy, given, global, target)?;
        return stdio::run(&gate, &servers, false);
    }
    let over_http = match args.command.is_empty() {
        true => args.upstream.servers(args.name.as_deref(), global)?,
        false => Vec::new(),
    };
    let name = args.name.unwrap_or_default();
    let given = args.pins.as_deref().map(|path| Record::of_file(path, &name)).transpose()?;
    let gate = gate(&args.policy, given.into_iter().collect(), global, target)?;
    if let Some(listen) = &args.listen.listen {
        return http::run(&gate, over_http, listen, args.listen.access()?, json);
    }
    if let Some(server) = over_http.into_iter().next() {
        return http::run_pipe(&gate, server);
    }
    let server = stdio::Server { name, command: args.command, env: BTreeMap::new() };
    stdio::run(&gate, &[server], true)
}

/// Makes the gate that all connections share.
fn gate(
    args: &PolicyArgs,
    given: Vec<Record>,
    global: &Global,
    target: &Target,
) -> Result<Arc<Gate>, Failure> {
    if !Identifier::fits(&args.agent) {
        return Err(Failure::usage(format!("`{}` is not the name of an agent", args.agent)));
    }
    if let (Some(keyring), Some(audience)) = (&args.trust.trust, &args.trust.audience) {
        // One that cannot be used would refuse every call, after its request.
        Pinned::load(keyring, audience, &args.requirement.floor(), None)?;
    }
    let transport = Transport::new(target, global)?;
    let pins = Pins::new(state_folder(PINS)?, given);
    Ok(Arc::new(Gate::new(Box::new(Policy::new(args.clone(), target, transport)), pins)))
}

impl McpCommand {
    /// Returns whether the command calls a server of approvals.
    pub(super) fn calls_a_server(&self) -> bool {
        matches!(self, Self::Gate(_))
    }
}
