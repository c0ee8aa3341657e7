//! The people in the demo, each with their own folder and keyring, typing commands.

use std::fs::DirBuilder;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Narration;
use crate::cli::output::shell_word;

/// A person with a folder, and with a token once they received one.
pub(super) struct Person {
    name: &'static str,
    folder: PathBuf,
    pub(super) token: Option<String>,
    pub(super) server: Option<String>,
}

/// The output and exit code of a command.
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) out: String,
    err: String,
}

/// A server of the demo, in its own process.
pub(super) struct DemoServer {
    child: Child,
    pub(super) url: String,
}

impl Person {
    pub(super) fn new(folder: &Path, name: &'static str) -> Result<Self> {
        let folder = folder.join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot create `{}`", folder.display()))?;
        Ok(Self { name, folder, token: None, server: None })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs a command and prints it.
    pub(super) fn type_command(&self, narration: &Narration, arguments: &[&str]) -> Result<Ran> {
        let shown: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
        narration.say(&format!("{}$ signoff {}", self.name, shown.join(" ")));
        self.run(arguments)
    }

    /// Runs a command without printing it.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<Ran> {
        let output = self.command(arguments)?.output().context("a command does not start")?;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout)?.trim_end().to_owned(),
            err: String::from_utf8(output.stderr)?.trim_end().to_owned(),
        })
    }

    /// Starts a server for the store in this folder.
    pub(super) fn start_server(&self, narration: &Narration) -> Result<DemoServer> {
        narration.say(&format!("{}$ signoff serve", self.name));
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--json", "--quiet"];
        let mut command = self.command(&arguments)?;
        command.env_remove("SIGNOFF_SERVER").env_remove("SIGNOFF_TOKEN");
        let mut child =
            command.stdout(Stdio::piped()).spawn().context("the server does not start")?;
        let mut first = String::new();
        let out = child.stdout.take().context("the server prints nothing")?;
        BufReader::new(out).read_line(&mut first)?;
        let facts: Value = serde_json::from_str(&first).context("the server did not start")?;
        let url = facts.get("url").and_then(Value::as_str).context("the server has no address")?;
        Ok(DemoServer { child, url: url.to_owned() })
    }

    /// Returns a `signoff` command in this folder, with this person's token and a minimal
    /// environment.
    pub(super) fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).current_dir(&self.folder).env_clear().stdin(Stdio::null());
        for name in ["PATH", "HOME", "XDG_CACHE_HOME", "SIGNOFF_CACHE_DIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(token) = &self.token {
            command.env("SIGNOFF_TOKEN", token);
        }
        if let Some(server) = &self.server {
            command.env("SIGNOFF_SERVER", server);
        }
        Ok(command)
    }
}

impl Ran {
    /// Returns the output of a command that must have succeeded.
    pub(super) fn done(self) -> Result<String> {
        if self.code != 0 {
            bail!("a command of the demo ended with {}: {}{}", self.code, self.out, self.err);
        }
        Ok(self.out)
    }

    /// Returns the last line for people.
    pub(super) fn last_message(&self) -> &str {
        let output = if self.err.is_empty() { &self.out } else { &self.err };
        output.lines().last().unwrap_or_default().trim_start_matches("signoff: ")
    }
}

impl DemoServer {
    /// Stops the server and waits for its exit.
    pub(super) fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            let pid = rustix::process::Pid::from_child(&self.child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
            self.child.wait()?;
        }
        Ok(())
    }
}

impl Drop for DemoServer {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Returns an argument quoted for a shell; "…" for a long one.
fn quoted(argument: &str) -> String {
    if argument.len() > 160 { "…".to_owned() } else { shell_word(argument) }
}

/// Generates a key and returns its public entry, one line of JSON.
pub(super) fn public_entry(
    person: &Person,
    narration: &Narration,
    generate: &[&str],
) -> Result<String> {
    let output = person.type_command(narration, generate)?.done()?;
    let entry = output.lines().find(|line| line.starts_with('{'));
    Ok(entry.context("the key has no public entry")?.to_owned())
}

/// Checks the exit code of a command, and that its output contains a text.
pub(super) fn expect(narration: &mut Narration, ran: &Ran, code: i32, says: &str) {
    let output = format!("{}\n{}", ran.last_message(), ran.out);
    narration.compare(
        &crate::cli::output::safe(ran.last_message()),
        ran.code == code && output.contains(says),
    );
}

/// Returns a member of a JSON response.
pub(super) fn field(json: &str, name: &str) -> Result<String> {
    let value: Value = serde_json::from_str(json)?;
    let text = value.get(name).and_then(Value::as_str);
    Ok(text.with_context(|| format!("an answer has no `{name}`"))?.to_owned())
}
