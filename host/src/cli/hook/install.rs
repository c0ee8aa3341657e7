//! `signoff hook install` and `uninstall`: the gate in the settings of Claude Code.

use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory};
use serde_json::{Value, json};
use signoff_core::object;

use super::json_text::JsonText;
use super::shell;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{line, note, plain, shell_word};
use crate::cli::{Cli, Global, source};
use crate::folder::Folder;

/// The events of the gate, in the order in which they are written.
const EVENTS: [&str; 3] = ["PreToolUse", "PostToolUse", "PostToolUseFailure"];
/// The limit that Claude Code sets a hook, its own default in seconds.
const HOOK_SECONDS: i64 = 600;
/// Time that the gate needs at least after its own limit.
const HEADROOM_SECONDS: i64 = 10;
const BYTES_MAX: u64 = 4 << 20;

/// Options that name files. A hook runs in the agent's folder, so they must not be relative.
const FILES: [&str; 6] = ["--trust", "--ca", "--token-file", "--store", "--config", "--keyring"];

#[derive(Args)]
#[command(after_help = "Examples:
  signoff hook install claude
  signoff hook install claude --project --server https://signoff.company.com
  signoff hook install claude -- --timeout 5m --trust /etc/signoff/approvers.json --audience prod

Every other setting stays as it is, byte for byte. `signoff hook uninstall claude` removes the entries again.")]
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
    let before = Settings::read(&path)?;
    let entry = json!({
        "matcher": "*",
        "hooks": [{
            "type": "command",
            "command": command,
            "timeout": HOOK_SECONDS,
            "onFailure": "block",
        }],
    });
    let text = match &before {
        Some(before) if before.has_only(&entry) => None,
        Some(before) => Some(with(&without(&before.text), &entry)?),
        None => Some(with("{}\n", &entry)?),
    };
    let changed = text.is_some();
    if let Some(text) = text {
        write(&path, &text, args.place.project)?;
    }
    if global.json {
        let shown = json!({ "file": path, "command": command, "changed": changed });
        line(&shown.to_string());
    } else {
        plain(&path.display().to_string());
        note(if changed { "the gate is installed" } else { "the gate was installed already" });
        note("it needs Claude Code 2.1.295 or newer to block after a hook that was killed");
    }
    Ok(Exit::Done)
}

pub(super) fn uninstall(args: &UninstallArgs, global: &Global) -> Result<Exit, Failure> {
    let path = args.place.path()?;
    let before = Settings::read(&path)?;
    let text = before.as_ref().map(|before| without(&before.text));
    let changed = before.as_ref().map(|before| &before.text) != text.as_ref();
    if let (true, Some(text)) = (changed, &text) {
        write(&path, text, args.place.project)?;
    }
    if global.json {
        line(&json!({ "file": path, "changed": changed }).to_string());
    } else {
        plain(&path.display().to_string());
        note(if changed { "the gate is removed" } else { "the gate was not installed" });
    }
    Ok(Exit::Done)
}

impl Place {
    fn path(&self) -> Result<PathBuf, Failure> {
        let folder = if self.project {
            env::current_dir().context("the working folder cannot be read")?.join(".claude")
        } else {
            let of = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
            of("CLAUDE_CONFIG_DIR").or_else(|| Some(of("HOME")?.join(".claude"))).ok_or_else(
                || Failure::usage("there is no home folder: set HOME, or give --project"),
            )?
        };
        Ok(folder.join("settings.json"))
    }
}

/// Returns the command line of the hook.
fn command(args: &InstallArgs, global: &Global, matches: &ArgMatches) -> Result<String, Failure> {
    let is_given = |name| source(matches, name) == Some(ValueSource::CommandLine);
    if is_given("token") {
        return Err(Failure::usage(
            "the settings would show the token to the agent: run `signoff login`, or give --token-file",
        ));
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
    options.extend(args.options.iter().cloned());
    let options = absolute(options)?;
    let words = ["signoff", "hook", "claude"].map(str::to_owned).into_iter().chain(options.clone());
    let parsed = Cli::command().try_get_matches_from(words).map_err(|e| {
        Failure::usage(format!(
            "the options after `--` are not those of `signoff hook claude`: {e}"
        ))
    })?;
    if source(&parsed, "token") == Some(ValueSource::CommandLine) {
        return Err(Failure::usage(
            "the settings would show the token to the agent: run `signoff login`, or give --token-file",
        ));
    }
    let gate = parsed.subcommand_matches("hook").and_then(|hook| hook.subcommand_matches("claude"));
    let timeout = gate.and_then(|gate| gate.get_one::<i64>("timeout")).copied().unwrap_or_default();
    if timeout > HOOK_SECONDS - HEADROOM_SECONDS {
        return Err(Failure::usage(format!(
            "--timeout must be at most {} s, below the {HOOK_SECONDS} s of the hook",
            HOOK_SECONDS - HEADROOM_SECONDS
        )));
    }
    let program = env::current_exe().context("the path of this program cannot be read")?;
    let program = program.to_str().context("the path of this program is not UTF-8")?.to_owned();
    let words = [program, "hook".to_owned(), "claude".to_owned()].into_iter().chain(options);
    Ok(words.map(|word| shell_word(&word)).collect::<Vec<_>>().join(" "))
}

/// Makes the paths in options absolute.
fn absolute(options: Vec<String>) -> Result<Vec<String>> {
    let folder = env::current_dir().context("the working folder cannot be read")?;
    let joined = |path: &str| folder.join(path).to_string_lossy().into_owned();
    let mut absolute = Vec::new();
    let mut options = options.into_iter();
    while let Some(option) = options.next() {
        let is_file = FILES.contains(&option.as_str());
        match option.split_once('=') {
            Some((name, path)) if FILES.contains(&name) => {
                absolute.push(format!("{name}={}", joined(path)));
            }
            _ => absolute.push(option),
        }
        if is_file && let Some(path) = options.next() {
            absolute.push(joined(&path));
        }
    }
    Ok(absolute)
}

/// The settings of Claude Code, which are valid.
struct Settings {
    text: String,
    value: Value,
}

impl Settings {
    /// Reads the settings; `None` if there are none.
    fn read(path: &Path) -> Result<Option<Self>> {
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("cannot read `{}`", path.display())),
        };
        let mut text = String::new();
        file.take(BYTES_MAX + 1)
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        ensure!(text.len() as u64 <= BYTES_MAX, "`{}` is too large", path.display());
        if text.trim().is_empty() {
            return Ok(None);
        }
        let refused = |why: String| anyhow!("`{}` is left as it is, because {why}", path.display());
        let value: Value = serde_json::from_str(&text).map_err(|e| {
            refused(format!("it is not valid JSON: {}", object::redacted_message(&e)))
        })?;
        object::refuse_duplicate_members("it", &text).map_err(|e| refused(e.message))?;
        let hooks = value.get("hooks");
        if hooks.is_some_and(|hooks| !hooks.is_object()) {
            return Err(refused("`hooks` is not an object".to_owned()));
        }
        for event in EVENTS {
            let list = hooks.and_then(|hooks| hooks.get(event));
            if list.is_some_and(|list| !list.is_array()) {
                return Err(refused(format!("`hooks.{event}` is not a list")));
            }
        }
        Ok(Some(Self { text, value }))
    }

    /// Returns whether each event has this entry as the only one of signoff.
    fn has_only(&self, entry: &Value) -> bool {
        EVENTS.iter().all(|event| {
            let list = self.value.get("hooks").and_then(|hooks| hooks.get(event));
            let list = list.and_then(Value::as_array).into_iter().flatten();
            let own: Vec<&Value> = list
                .filter(|entry| {
                    let handlers = entry.get("hooks").and_then(Value::as_array);
                    handlers.is_some_and(|all| all.iter().any(is_own))
                })
                .collect();
            own == [entry]
        })
    }
}

/// Returns whether a handler is the gate.
fn is_own(handler: &Value) -> bool {
    let command = handler.get("command").and_then(Value::as_str).unwrap_or_default();
    let Ok(commands) = shell::parse(command) else { return false };
    let [command] = commands.as_slice() else { return false };
    let program = command.words.first().map(Path::new).and_then(Path::file_name);
    let own = env::current_exe().ok();
    let own = own.as_deref().and_then(Path::file_name);
    let is_signoff = program.is_some_and(|name| name == "signoff" || Some(name) == own);
    is_signoff && command.words.windows(2).any(|pair| pair == ["hook", "claude"])
}

/// Returns settings with an entry for each event.
fn with(text: &str, entry: &Value) -> Result<String> {
    let mut json = JsonText { text: text.to_owned() };
    for event in EVENTS {
        let root = json.root();
        let hooks = json.member(&root, "hooks");
        let list = hooks.as_ref().and_then(|hooks| json.member(hooks, event));
        match (hooks, list) {
            (_, Some(list)) => json.append(&list, 3, None, entry),
            (Some(hooks), None) => json.append(&hooks, 2, Some(event), &json!([entry])),
            (None, None) => json.append(&root, 1, Some("hooks"), &json!({ event: [entry] })),
        }
    }
    serde_json::from_str::<Value>(&json.text).context("the settings would not be valid JSON")?;
    Ok(json.text)
}

/// Returns settings without the entries of signoff, and without what would be empty then.
fn without(text: &str) -> String {
    let mut json = JsonText { text: text.to_owned() };
    while remove_one(&mut json) {}
    json.text
}

/// Removes one entry of signoff. Returns whether there was one.
fn remove_one(json: &mut JsonText) -> bool {
    let root = json.root();
    for event in EVENTS {
        let list = |json: &JsonText| {
            let hooks = json.member(&json.root(), "hooks")?;
            Some((json.member(&hooks, event)?, hooks))
        };
        let Some((entries, _)) = list(json) else { continue };
        for (index, entry) in json.parts(&entries).iter().enumerate() {
            if json.text.as_bytes().get(entry.value.start) != Some(&b'{') {
                continue;
            }
            let Some(handlers) = json.member(&entry.value, "hooks") else { continue };
            let own = json.parts(&handlers).iter().position(|part| {
                let handler = json.text.get(part.value.clone()).unwrap_or_default();
                serde_json::from_str(handler).is_ok_and(|handler| is_own(&handler))
            });
            let Some(own) = own else { continue };
            if json.parts(&handlers).len() > 1 {
                json.remove(&handlers, own);
                return true;
            }
            json.remove(&entries, index);
            let Some((entries, hooks)) = list(json) else { return true };
            if json.is_empty(&entries) {
                remove_member(json, &hooks, event);
            }
            let hooks = json.member(&root, "hooks");
            if hooks.is_some_and(|hooks| json.is_empty(&hooks)) {
                let root = json.root();
                remove_member(json, &root, "hooks");
            }
            return true;
        }
    }
    false
}

fn remove_member(json: &mut JsonText, object: &std::ops::Range<usize>, name: &str) {
    let value = json.member(object, name);
    let index = json.parts(object).iter().position(|part| Some(&part.value) == value.as_ref());
    if let Some(index) = index {
        json.remove(object, index);
    }
}

/// Writes settings in place of earlier ones, with their mode. Behind a link, the file that it leads to
/// is replaced.
fn write(path: &Path, text: &str, project: bool) -> Result<()> {
    let written = || format!("cannot write `{}`", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(written)?;
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (folder, name) = Folder::of(&real).with_context(written)?;
    let mode = if project { 0o644 } else { 0o600 };
    let mut draft = folder.draft(&name, mode).with_context(written)?;
    if let Ok((_, before)) = folder.read(&name) {
        draft.resemble(&before).with_context(written)?;
    }
    draft.write_all(text.as_bytes()).with_context(written)?;
    draft.replace(&name).with_context(written)
}
