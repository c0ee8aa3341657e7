//! `signoff hook install` and `uninstall`: the gate in the settings of Claude Code.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde_json::{Value, json};
use signoff_core::deceptive::in_one_line;

use super::settings::{HOOK_SECONDS, change, in_its_lines, read, with, written};
use crate::cli::exit::{Exit, Failure};
use crate::cli::home::Home;
use crate::cli::output::{line, note, plain, shell_word};
use crate::cli::{Global, gate_options, source};

/// Time that the gate needs at least after its own limit.
const HEADROOM_SECONDS: i64 = 30;
/// Settings of Claude Code for all users of a machine.
const MANAGED: &str = "/etc/claude-code/managed-settings.json";

#[derive(Args)]
#[command(after_help = "Examples:
  signoff hook install claude
  signoff hook install claude --project --server https://signoff.company.com
  signoff hook install claude -- --timeout 5m --trust /etc/signoff/approvers.json --audience prod

The hook's command names the server, that of `signoff login` by default, because variables of a project's settings
reach it. Other settings keep their text. `signoff hook uninstall claude` removes the entries again.")]
pub(in crate::cli) struct InstallArgs {
    #[command(flatten)]
    place: Place,
    /// Options of `signoff hook claude`
    #[arg(last = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

#[derive(Args)]
pub(in crate::cli) struct UninstallArgs {
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Place {
    /// The coding agent
    #[arg(value_name = "AGENT", value_parser = ["claude"])]
    harness: String,
    /// The settings of this user, ~/.claude/settings.json [default]
    #[arg(long, conflicts_with = "project")]
    user: bool,
    /// The settings of this project, .claude/settings.json
    #[arg(long)]
    project: bool,
}

pub(super) fn install(
    args: &InstallArgs,
    global: &Global,
    matches: &ArgMatches,
) -> Result<Exit, Failure> {
    let command = command(args, global, matches)?;
    let path = args.place.path()?;
    refuse_disabled()?;
    let entry = written(&command);
    let (changed, removed) = change(&path, args.place.project, |before| match before {
        Some(before) if before.has_only(&entry) => Ok(None),
        Some(before) => {
            let (text, removed) = before.without();
            Ok(Some((in_its_lines(&text, |text| with(text, &entry))?, removed)))
        }
        None => Ok(Some((with("{}\n", &entry)?, Vec::new()))),
    })?;
    if global.json {
        let shown = json!({ "file": path, "command": command, "changed": changed });
        line(&shown.to_string());
    } else {
        plain(&path.display().to_string());
        note_removed(&removed);
        note(if changed { "the gate is installed" } else { "the gate was installed already" });
        note("it needs Claude Code 2.1.295 or newer to block after a hook that was killed");
    }
    Ok(Exit::Done)
}

pub(super) fn uninstall(args: &UninstallArgs, global: &Global) -> Result<Exit, Failure> {
    let path = args.place.path()?;
    let (changed, removed) = change(&path, args.place.project, |before| {
        let Some(before) = before else { return Ok(None) };
        let (text, removed) = before.without();
        Ok((text != before.text).then_some((text, removed)))
    })?;
    if global.json {
        line(&json!({ "file": path, "changed": changed }).to_string());
    } else {
        plain(&path.display().to_string());
        note_removed(&removed);
        note(if changed { "the gate is removed" } else { "the gate was not installed" });
    }
    Ok(Exit::Done)
}

/// Names entries that are not as `install` writes them: somebody wrote them by hand.
fn note_removed(entries: &[String]) {
    for entry in entries {
        note(&format!("removed an entry that was written by hand: {}", in_one_line(entry)));
    }
}

impl Place {
    fn path(&self) -> Result<PathBuf, Failure> {
        let folder = match self.project {
            true => project_folder()?,
            false => user_folder().ok_or_else(|| {
                Failure::usage("there is no home folder: set HOME, or give --project")
            })?,
        };
        Ok(folder.join("settings.json"))
    }
}

fn project_folder() -> Result<PathBuf> {
    Ok(env::current_dir().context("the working folder cannot be read")?.join(".claude"))
}

fn user_folder() -> Option<PathBuf> {
    let of = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    of("CLAUDE_CONFIG_DIR").or_else(|| Some(of("HOME")?.join(".claude")))
}

/// Refuses where settings of Claude Code switch all hooks off.
fn refuse_disabled() -> Result<()> {
    let project = project_folder()?;
    let user = user_folder().map(|folder| folder.join("settings.json"));
    let files = [project.join("settings.json"), project.join("settings.local.json")];
    for path in files.into_iter().chain(user).chain([PathBuf::from(MANAGED)]) {
        // What is not valid is reported where it is changed, or by Claude Code.
        let Ok(Some(text)) = read(&path) else { continue };
        let settings: Option<Value> = serde_json::from_str(&text).ok();
        let disabled = settings.and_then(|settings| settings.get("disableAllHooks").cloned());
        ensure!(
            disabled.is_none_or(|value| value == json!(false)),
            "`disableAllHooks` in `{}` switches the gate off: remove it first",
            path.display()
        );
    }
    Ok(())
}

/// Returns the command line of the hook.
fn command(args: &InstallArgs, global: &Global, matches: &ArgMatches) -> Result<String, Failure> {
    let mut options = gate_options::of_command_line(global, matches, &args.options)?;
    let parsed = gate_options::parse("hook claude", options.clone())?;
    let is_named = |name| source(&parsed, name) == Some(ValueSource::CommandLine);
    if !is_named("server") && !is_named("store") {
        let server = Home::load()?.unwrap_or_default().server.ok_or_else(|| {
            Failure::usage("no server is set: run `signoff login URL`, or give --server")
        })?;
        let server = gate_options::absolute(vec!["--server".to_owned(), server])?;
        options.splice(0..0, server);
    }
    let gate = parsed.subcommand_matches("hook").and_then(|hook| hook.subcommand_matches("claude"));
    let timeout = gate.and_then(|gate| gate.get_one::<i64>("timeout")).copied().unwrap_or_default();
    if timeout > HOOK_SECONDS - HEADROOM_SECONDS {
        return Err(Failure::usage(format!(
            "--timeout must be at most {} s, below the {HOOK_SECONDS} s of the hook",
            HOOK_SECONDS - HEADROOM_SECONDS
        )));
    }
    let program = gate_options::program()?;
    let words = [program, "hook".to_owned(), "claude".to_owned()].into_iter().chain(options);
    Ok(words.map(|word| shell_word(&word)).collect::<Vec<_>>().join(" "))
}
