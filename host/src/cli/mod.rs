//! The command line: one file per subcommand. Commands use the HTTP API, of a server or of the same
//! router in this process over a store file, so both behave alike.

mod approve;
mod audit;
mod backup;
mod bench;
mod compile_module;
mod completions;
mod config;
mod context;
mod demo;
mod destination;
mod doctor;
mod entry;
mod evaluate;
mod execution;
mod exit;
mod explain;
mod gate_options;
mod hash;
mod home;
mod hook;
mod init;
mod key;
mod list;
mod login;
mod man;
mod mcp;
mod module;
mod output;
mod payload;
mod policy;
mod progress;
mod ready;
mod receipt;
mod remote;
mod request;
mod restore;
mod run;
mod screen;
mod serve;
mod setting_args;
mod show;
mod sign;
mod signer;
mod stats;
mod store;
mod token;
mod token_file;
mod tool_use;
mod transport;
mod trust;
mod unix;
mod verify;
mod version;
mod wait;

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::Resettable;
use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, parser::ValueSource,
};

use crate::config::{Config, ConfigError, SettingsFile};
use crate::core_dump;
use crate::keys::KeySource;
use crate::store::redb::quiet_shielded_panics;

pub use exit::Exit;
use exit::Failure;
use remote::Trust;
use transport::{Target, Transport};

/// Human approval for high-risk agent actions, checked by one verified WebAssembly component.
#[derive(Parser)]
#[command(name = "signoff", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 success (verify, wait: valid, approved), 1 failure, 2 usage error, \
3 refused, 4 still pending (evaluate: 0 allowed, 3 denied, 4 requires approval); run exits with the code of its command, or 125 if run itself fails; hook claude, codex and copilot exit with 0, or 2, which blocks the tool.\n\n\
Environment: SIGNOFF_STORE, SIGNOFF_SERVER, SIGNOFF_TOKEN, SIGNOFF_TOKEN_FILE, SIGNOFF_CA, SIGNOFF_APPROVER, SIGNOFF_KEYRING, \
SIGNOFF_CONFIG mirror flags, and so do those of `signoff serve --help`; an empty variable counts as unset; SIGNOFF_HMAC_SECRET or HMAC_SECRET holds the secret, and the same name with _PREVIOUS the \
one before, which verifies only; SIGNOFF_CACHE_DIR holds precompiled code; NO_COLOR turns colours off.";

#[derive(Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The store file
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SIGNOFF_STORE",
        default_value = "./signoff.redb"
    )]
    store: PathBuf,
    /// The URL of a running server, or unix:PATH, instead of a store file
    #[arg(long, global = true, value_name = "URL", env = "SIGNOFF_SERVER")]
    server: Option<String>,
    /// The token to send to the server
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "SIGNOFF_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// A file that holds the token to send to the server
    #[arg(long, global = true, value_name = "FILE", env = "SIGNOFF_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Certificate authorities to trust in addition to this machine's, PEM
    #[arg(long, global = true, value_name = "FILE", env = "SIGNOFF_CA")]
    ca: Option<PathBuf>,
    /// Send the token over plain HTTP to another machine, if the connection is encrypted otherwise
    #[arg(long, global = true)]
    insecure_http: bool,
    /// The keyring file [default: next to the store]
    #[arg(long, global = true, value_name = "PATH", env = "SIGNOFF_KEYRING")]
    keyring: Option<PathBuf>,
    /// The settings file [default: next to the store]
    #[arg(long, global = true, value_name = "PATH", env = "SIGNOFF_CONFIG")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Whether the settings name the store.
    #[arg(skip)]
    store_in_settings: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Create a keyring and a store
    Init(init::InitArgs),
    /// Run a complete demonstration over real HTTP, and check it
    Demo(demo::DemoArgs),
    /// Serve the HTTP API
    Serve(serve::ServeArgs),
    /// Set the server that commands and SDKs call by default
    Login(login::LoginArgs),
    /// Forget that server and its token
    Logout,
    /// Request an approval, wait for it, claim it, run a command, and report the outcome
    Run(run::RunArgs),
    /// Gate the tools of coding agents: Claude Code, Codex, GitHub Copilot
    #[command(subcommand)]
    Hook(hook::HookCommand),
    /// Gate the tools of MCP servers
    #[command(subcommand)]
    Mcp(mcp::McpCommand),
    /// Evaluate the policy for an action
    Evaluate(evaluate::EvaluateArgs),
    /// Request an approval
    Request(request::RequestArgs),
    /// Show one approval
    Show(show::ShowArgs),
    /// List approvals, newest first
    List(list::ListArgs),
    /// Review and approve a request
    Approve(approve::DecideArgs),
    /// Review and reject a request
    Reject(approve::DecideArgs),
    /// Check whether an executor may execute now
    Verify(verify::VerifyArgs),
    /// Consume an approval for one execution
    #[command(alias = "execute")]
    Claim(execution::ClaimArgs),
    /// Report the outcome of an execution
    Outcome(execution::OutcomeArgs),
    /// Withdraw an approval before it is claimed
    Withdraw(execution::WithdrawArgs),
    /// Extend an approval that has no ballots yet
    Extend(execution::ExtendArgs),
    /// Wait until an approval is decided
    Wait(wait::WaitArgs),
    /// Count approvals by status, and show the approval rate
    Stats,
    /// Print the signature of a decision
    Sign(sign::SignArgs),
    /// Print the exact message to sign for a decision
    Payload(payload::PayloadArgs),
    /// Print the digest of a context
    Hash(hash::HashArgs),
    /// Explain why a v1 signature does not verify
    Explain(explain::ExplainArgs),
    /// Manage the keyring: generate, import, list, promote, retire and revoke keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Work with policies: write, check and test rules, build and inspect modules
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Manage modules: sign, push, list, activate, shadow and roll back
    #[command(subcommand)]
    Module(module::ModuleCommand),
    /// Manage tokens of callers
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Print, export and verify the audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Export and verify receipts, the proof of one approval
    #[command(subcommand)]
    Receipt(receipt::ReceiptCommand),
    /// Copy the store to a file, from a running server or a store file, and check the copy
    Backup(backup::BackupArgs),
    /// Put a backup in the place of the store, after checking it
    Restore(restore::RestoreArgs),
    /// Erase approvals' texts, remove old approvals, compact the store's file
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Benchmark this machine: verification, digests, durable decisions
    Bench(bench::BenchArgs),
    /// Check and show the settings of a server, without starting it
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Check whether a server can decide now
    #[command(after_help = ready::EXAMPLES)]
    Ready,
    /// Report errors and weaknesses of this deployment, with fixes
    Doctor(doctor::DoctorArgs),
    /// Compile a module for another process of this program
    #[command(hide = true)]
    CompileModule(compile_module::CompileArgs),
    /// Print a shell completion script
    Completions(completions::CompletionsArgs),
    /// Print or write the manual pages
    Man(man::ManArgs),
    /// Print the version, and the digest of the embedded verifier
    Version,
}

/// Runs the command line.
pub fn main() -> Exit {
    quiet_shielded_panics();
    // Any command may read a key or a token. Where the system has no such setting, `serve` and `run` say
    // so; the others go on, as their memory is short-lived.
    let _ = core_dump::forbid();
    let matches = match without_empty_variables(Cli::command()).try_get_matches() {
        Ok(matches) => matches,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    if hook::is_gate(&matches) {
        return hook::shielded(|| Cli::from_arg_matches(&matches)?.run(&matches));
    }
    let own_failure = match matches.subcommand_name() {
        Some("run") => Exit::Run(125),
        _ => Exit::Failed,
    };
    let done = Cli::from_arg_matches(&matches)
        .map_err(|e| Failure::usage(e.to_string().trim_start_matches("error: ").trim_end()))
        .and_then(|cli| cli.run(&matches));
    let exit = done.unwrap_or_else(|failure| {
        failure.print();
        match (own_failure, failure.exit()) {
            (Exit::Run(code), exit) if exit != Exit::Usage => Exit::Run(code),
            (_, exit) => exit,
        }
    });
    // Whoever reads the output must not take a part for the whole.
    if exit == Exit::Done && output::has_failed() { Exit::Failed } else { exit }
}

/// Leaves out variables that are set and empty: they count as unset.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        if value.is_some_and(|value| value.is_empty()) { arg.env(Resettable::Reset) } else { arg }
    });
    command.mut_subcommands(without_empty_variables)
}

impl Cli {
    fn run(self, matches: &ArgMatches) -> Result<Exit, Failure> {
        let mut global = self.global;
        let mut target = global.target(matches)?;
        if matches!(target, Target::Store(_)) && self.command.uses_files() {
            let taken = global.take_places(matches);
            // Both report what is wrong with the settings themselves.
            if !matches!(self.command, Command::Doctor(_) | Command::Config(_)) {
                taken?;
            }
            target = Target::Store(global.store.clone());
        }
        if matches!(target, Target::Server(_)) || matches!(self.command, Command::Login(_)) {
            global.take_token(matches)?;
        }
        if self.command.calls_the_home_server() {
            global.at_home(matches, &mut target, self.command.needs_a_named_store())?;
        }
        let open = || Transport::new(&target, &global);
        match self.command {
            Command::Init(args) => init::run(&args, &global, &target),
            Command::Demo(args) => demo::run(&args),
            Command::Serve(args) => serve::run(&args, &global, &target),
            Command::Login(_) if source(matches, "token") == Some(ValueSource::CommandLine) => {
                Err(Failure::usage(
                    "give the token in SIGNOFF_TOKEN or on standard input: others can read arguments",
                ))
            }
            Command::Login(args) => login::login(&args, &global),
            Command::Logout => login::logout(&global),
            Command::Run(_) if source(matches, "token") == Some(ValueSource::CommandLine) => {
                Err(Failure::usage(
                    "give the token in SIGNOFF_TOKEN: the command could read it in the arguments of this process",
                ))
            }
            Command::Run(args) => run::run(&args, &open()?),
            Command::Hook(command) => hook::run(command, global, target, matches),
            Command::Mcp(command) => mcp::run(command, global, &target, matches),
            Command::Evaluate(args) => evaluate::run(&args, &open()?),
            Command::Request(args) => request::run(&args, &open()?),
            Command::Show(args) => show::run(&args, &open()?),
            Command::List(args) => list::run(&args, &open()?),
            Command::Approve(args) => approve::run(approve::Decision::Approved, &args, &open()?),
            Command::Reject(args) => approve::run(approve::Decision::Rejected, &args, &open()?),
            Command::Verify(args) => verify::run(&args, &open()?),
            Command::Claim(args) => execution::claim(&args, &open()?),
            Command::Outcome(args) => execution::outcome(&args, &open()?),
            Command::Withdraw(args) => execution::withdraw_command(&args, &open()?),
            Command::Extend(args) => execution::extend(&args, &open()?),
            Command::Wait(args) => wait::run(&args, &open()?),
            Command::Stats => stats::run(&open()?),
            Command::Sign(args) => sign::run(&args, &global),
            Command::Payload(args) => payload::run(&args, &open()?),
            Command::Hash(args) => hash::run(&args, &global),
            Command::Explain(args) => explain::run(&args, &global),
            Command::Key(command)
                if source(matches, "server") == Some(ValueSource::CommandLine) =>
            {
                key::run_on_server(&command, &open()?)
            }
            Command::Key(command) => {
                if key::is_list(&command)
                    && source(matches, "server") == Some(ValueSource::EnvVariable)
                {
                    output::note(&format!(
                        "this is the keyring `{}` of this machine, not that of the server in SIGNOFF_SERVER: `signoff key list --server URL` shows that one",
                        global.keyring().display()
                    ));
                }
                key::run(&command, &global)
            }
            Command::Policy(command) => policy::run(&command, &global, open),
            Command::Module(command) => module::run(&command, &global, open),
            Command::Token(command) => token::run(&command, &open()?),
            Command::Audit(command) => audit::run(&command, &global, open),
            Command::Receipt(command) => receipt::run(&command, &global, open),
            Command::Backup(args) => backup::run(&args, &open()?),
            Command::Restore(args) => restore::run(&args, &global, &target),
            Command::Store(command) => store::run(&command, &open()?),
            Command::Bench(args) => bench::run(&args, &global),
            Command::Config(command) => config::run(&command, &global, matches),
            Command::Ready => ready::run(&global, &target),
            Command::Doctor(args) => doctor::run(&args, &global, &target),
            Command::CompileModule(args) => Ok(compile_module::run(&args)),
            Command::Completions(args) => completions::run(&args, &mut Self::command()),
            Command::Man(args) => man::run(&args, Self::command(), global.json),
            Command::Version => version::run(global.json),
        }
    }
}

impl Command {
    /// Returns whether the command calls the server of the home file if no target is given. The others
    /// work on this machine's files, or need no server.
    fn calls_the_home_server(&self) -> bool {
        !matches!(
            self,
            Self::Init(_)
                | Self::Demo(_)
                | Self::Serve(_)
                | Self::Login(_)
                | Self::Logout
                | Self::Sign(_)
                | Self::Hash(_)
                | Self::Explain(_)
                | Self::Key(_)
                | Self::Restore(_)
                | Self::Bench(_)
                | Self::Config(_)
                | Self::Doctor(_)
                | Self::CompileModule(_)
                | Self::Completions(_)
                | Self::Man(_)
                | Self::Version
        )
    }
}

impl Command {
    /// Returns whether a store file counts only if it is named: a coding agent could create the default
    /// one in its folder, with keys and a policy of its own.
    fn needs_a_named_store(&self) -> bool {
        match self {
            Self::Hook(command) => command.calls_a_server(),
            Self::Mcp(command) => command.calls_a_server(),
            _ => false,
        }
    }

    /// Returns whether the command uses the store file or the keyring of this machine, unless a server
    /// is given.
    fn uses_files(&self) -> bool {
        !matches!(
            self,
            Self::Demo(_)
                | Self::Login(_)
                | Self::Logout
                | Self::Hash(_)
                | Self::Bench(_)
                | Self::CompileModule(_)
                | Self::Completions(_)
        )
    }
}

impl Global {
    /// Takes the store and the keyring that a settings file names, if `--config` names the file and
    /// neither a flag nor a variable names another.
    fn take_places(&mut self, matches: &ArgMatches) -> Result<(), ConfigError> {
        if self.config.is_none() {
            return Ok(());
        }
        let file = self.settings_file()?;
        if !is_given(matches, "store")
            && let Some(store) = file.path_of("store.file")
        {
            self.store = store.to_owned();
            self.store_in_settings = true;
        }
        if self.keyring.is_none() {
            self.keyring = file.path_of("keys.file").map(Path::to_owned);
        }
        Ok(())
    }

    /// Reads the token's file, unless the token itself is given where more precedence is.
    fn take_token(&mut self, matches: &ArgMatches) -> Result<(), Failure> {
        let Some(file) = &self.token_file else { return Ok(()) };
        let rank = |name| source(matches, name).unwrap_or(ValueSource::DefaultValue);
        match rank("token").cmp(&rank("token_file")) {
            Ordering::Greater => {}
            Ordering::Less => self.token = Some(token_file::read(file)?),
            Ordering::Equal => {
                return Err(Failure::usage(
                    "a token and a token file are both given; use only one of --token and --token-file, or of SIGNOFF_TOKEN and SIGNOFF_TOKEN_FILE",
                ));
            }
        }
        Ok(())
    }

    /// Takes the server of the home file as the target if none is given and this folder has no store.
    /// The token and authorities of the file are used for its own server only.
    /// `named_only` leaves a store in this folder aside unless it is named.
    fn at_home(
        &mut self,
        matches: &ArgMatches,
        target: &mut Target,
        named_only: bool,
    ) -> Result<(), Failure> {
        let has_store = || {
            let named = is_given(matches, "store") || self.store_in_settings;
            named || (!named_only && self.store.try_exists().unwrap_or(true))
        };
        let is_store = matches!(target, Target::Store(_));
        if is_store && has_store() {
            return Ok(());
        }
        let home = home::Home::load()?.unwrap_or_default();
        let Some(server) = home.server else {
            if is_store && named_only {
                return Err(Failure::usage(
                    "no server is set: run `signoff login URL`, or give --server or --store",
                ));
            }
            return Ok(());
        };
        match &*target {
            Target::Server(url) if *url != server => return Ok(()),
            Target::Server(_) => {}
            Target::Store(_) => *target = Target::Server(server),
        }
        self.token = self.token.take().or(home.token);
        self.ca = self.ca.take().or(home.ca);
        Ok(())
    }

    /// Returns the server or the store file; flags take precedence over variables.
    fn target(&self, matches: &ArgMatches) -> Result<Target, Failure> {
        let rank = |name| match source(matches, name) {
            Some(ValueSource::CommandLine) => 2,
            Some(ValueSource::EnvVariable) => 1,
            _ => 0,
        };
        let (store, server) = (rank("store"), rank("server"));
        match &self.server {
            Some(_) if store == server => Err(Failure::usage(
                "both a store and a server are given; use only one of --store and --server",
            )),
            Some(url) if server > store => Ok(Target::Server(url.clone())),
            _ => Ok(Target::Store(self.store.clone())),
        }
    }

    /// Loads the deployment's settings, those that the service needs.
    fn config(&self) -> Result<Config, ConfigError> {
        Ok(self.settings_file()?.config())
    }

    /// Loads the settings file.
    fn settings_file(&self) -> Result<SettingsFile, ConfigError> {
        SettingsFile::load(self.config.as_deref(), &self.store)
    }

    /// Returns the path of the settings.
    fn config_path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| crate::config::beside(&self.store))
    }

    /// Returns the key source.
    fn key_source(&self, config: &Config) -> Arc<KeySource> {
        Arc::new(KeySource::new(self.keyring(), config.keys.command.clone()))
    }

    /// Returns the trust settings for a server.
    fn trust(&self) -> Trust {
        Trust { ca: self.ca.clone(), insecure_http: self.insecure_http }
    }

    /// Returns the path of the keyring.
    fn keyring(&self) -> PathBuf {
        let beside = || crate::keys::keyring_beside(&self.store);
        self.keyring.clone().unwrap_or_else(beside)
    }
}

/// Returns whether a flag or a variable gives a global argument.
fn is_given(matches: &ArgMatches, name: &str) -> bool {
    !matches!(source(matches, name), None | Some(ValueSource::DefaultValue))
}

/// Returns the source of a global argument's value; it may follow the subcommand.
fn source(matches: &ArgMatches, name: &str) -> Option<ValueSource> {
    let here = matches.try_contains_id(name).ok().and_then(|_| matches.value_source(name));
    let deeper = matches.subcommand().and_then(|(_, deeper)| source(deeper, name));
    match (here, deeper) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}
