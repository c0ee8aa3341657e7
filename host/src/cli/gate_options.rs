//! Options of a gate that are written into the settings of another program.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory};

use super::exit::Failure;
use super::{Cli, Global, source};
use crate::endpoint::UNIX_SCHEME;

/// Options that name files. A gate runs in the agent's folder, so they must not be relative.
const FILES: [&str; 6] = ["--trust", "--ca", "--token-file", "--store", "--config", "--keyring"];

const SHOWS_TOKEN: &str =
    "the settings would show the token to the agent: run `signoff login`, or give --token-file";

/// Returns the options of a gate: those of this command line that name the server, and others. Paths are
/// absolute.
///
/// # Errors
///
/// A token on the command line.
pub(super) fn of_command_line(
    global: &Global,
    matches: &ArgMatches,
    others: &[String],
) -> Result<Vec<String>, Failure> {
    let is_given = |name| source(matches, name) == Some(ValueSource::CommandLine);
    if is_given("token") {
        return Err(Failure::usage(SHOWS_TOKEN));
    }
    let mut options = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            options.extend([format!("--{name}"), value]);
        }
    };
    let path =
        |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
    add("server", global.server.clone().filter(|_| is_given("server")));
    add("ca", path(&global.ca).filter(|_| is_given("ca")));
    add("token-file", path(&global.token_file).filter(|_| is_given("token_file")));
    options.extend(others.iter().cloned());
    Ok(absolute(options)?)
}

/// Parses the command line of a gate, such as `hook claude` with its options.
///
/// # Errors
///
/// The options are not those of the gate, or show a token.
pub(super) fn parse(
    gate: &str,
    options: impl IntoIterator<Item = String>,
) -> Result<ArgMatches, Failure> {
    let words = std::iter::once("signoff").chain(gate.split(' ')).map(str::to_owned);
    let parsed = Cli::command().try_get_matches_from(words.chain(options)).map_err(|e| {
        Failure::usage(format!("the options after `--` are not those of `signoff {gate}`: {e}"))
    })?;
    match source(&parsed, "token") {
        Some(ValueSource::CommandLine) => Err(Failure::usage(SHOWS_TOKEN)),
        _ => Ok(parsed),
    }
}

/// Returns the path of this program.
pub(super) fn program() -> Result<String> {
    let program = env::current_exe().context("the path of this program cannot be read")?;
    Ok(program.to_str().context("the path of this program is not UTF-8")?.to_owned())
}

/// Returns whether a path is this program's, or has its name.
pub(super) fn is_program(path: &str) -> bool {
    let name = std::path::Path::new(path).file_name();
    let own = env::current_exe().ok();
    name.is_some_and(|name| {
        name == "signoff" || Some(name) == own.as_deref().and_then(|own| own.file_name())
    })
}

/// Makes the paths in options absolute, and those of Unix sockets.
pub(super) fn absolute(options: Vec<String>) -> Result<Vec<String>> {
    let folder = env::current_dir().context("the working folder cannot be read")?;
    let joined = |name: &str, value: &str| match (name, value.strip_prefix(UNIX_SCHEME)) {
        ("--server", Some(path)) => format!("{UNIX_SCHEME}{}", folder.join(path).display()),
        ("--server", None) => value.to_owned(),
        _ => folder.join(value).to_string_lossy().into_owned(),
    };
    let has_path = |name: &str| name == "--server" || FILES.contains(&name);
    let mut absolute = Vec::new();
    let mut options = options.into_iter();
    while let Some(option) = options.next() {
        match option.split_once('=') {
            Some((name, value)) if has_path(name) => {
                absolute.push(format!("{name}={}", joined(name, value)));
            }
            _ if has_path(&option) => {
                let value = options.next().map(|value| joined(&option, &value));
                absolute.extend([option].into_iter().chain(value));
            }
            _ => absolute.push(option),
        }
    }
    Ok(absolute)
}
