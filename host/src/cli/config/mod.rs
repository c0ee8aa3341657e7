//! `signoff config`: checks and shows the settings of a server, without its store and without starting
//! it.

mod check;
mod example;
mod show;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Subcommand};

use super::setting_args::SettingArgs;
use super::{Exit, Global, exit::Failure, source};
use crate::config::{Given, SETTINGS, Source, Value};

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Check the settings and the files that they name; exit code 1 if a server would not start with
    /// them, or clients would refuse it
    Check(ConfigArgs),
    /// Print the settings in force, and where each comes from
    Show(ConfigArgs),
    /// Print a settings file with every setting, each commented out
    Example,
}

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    settings: SettingArgs,
}

const EXAMPLES: &str = "Examples:
  signoff config check                                   # signoff.toml next to the store
  signoff config check --config /etc/signoff/signoff.toml
  signoff config show --listen :8443 --tls-cert tls.pem --tls-key tls.key

The flags are those of `signoff serve`, so that a command line can be checked before it is used. No
program is run, no store is opened, and no secret is printed.";

pub(super) fn run(
    command: &ConfigCommand,
    global: &Global,
    matches: &ArgMatches,
) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Check(args) => check::run(&given(args, global, matches), global),
        ConfigCommand::Show(args) => show::run(&given(args, global, matches), global),
        ConfigCommand::Example => Ok(example::run()),
    }
}

/// Returns what flags and variables give, with those that every command has.
fn given(args: &ConfigArgs, global: &Global, matches: &ArgMatches) -> Given {
    let mut given = args.settings.given.clone();
    for setting in SETTINGS {
        let Some(flag) = setting.flag.filter(|flag| flag.global) else { continue };
        let path = match setting.name {
            "store.file" => Some(&global.store),
            _ => global.keyring.as_ref(),
        };
        let source = match source(matches, flag.long) {
            Some(ValueSource::CommandLine) => Source::CommandLine,
            Some(ValueSource::EnvVariable) => Source::Environment,
            _ => continue,
        };
        if let Some(path) = path {
            given.insert(setting.name, (Value::Path(path.clone()), source));
        }
    }
    given
}
