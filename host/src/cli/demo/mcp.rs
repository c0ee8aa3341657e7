//! The last part: an MCP client, the gate, and a server whose `send_mail` needs an approval.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Narration;
use super::person::{Person, field, public_entry};
use crate::cli::exit::Failure;
use crate::cli::output::safe;

/// An MCP client over pipes.
struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last: u32,
}

/// Runs this part in folders below `folder`, and checks it.
pub(super) fn run(narration: &mut Narration, folder: &Path) -> Result<(), Failure> {
    narration.title("Now an MCP client. Its server can send mail, behind the gate.");
    let folder = folder.join("mcp");
    std::fs::create_dir(&folder)?;
    let mut operator = Person::new(&folder, "operator")?;
    let mut ann = Person::new(&folder, "ann")?;
    let mut agent = Person::new(&folder, "agent")?;
    let made = operator.run(&["init", "--audience", "demo", "--json"])?.done()?;
    let generate = ["key", "generate", "--approver", "ann@company.com", "--id", "ann"];
    let entry = public_entry(&ann, narration, &generate)?;
    let import = ["key", "import", &entry, "--approver", "ann@company.com", "--yes"];
    operator.run(&import)?.done()?;
    agent.run(&import)?.done()?;
    let server = operator.start_server(narration)?;
    operator.token = Some(field(&made, "admin_token")?);
    for person in [&mut operator, &mut ann, &mut agent] {
        person.server = Some(server.url.clone());
    }
    let token = |subject: &str, roles: &str| {
        operator.run(&["token", "create", "--subject", subject, "--role", roles])?.done()
    };
    agent.token = Some(token("agent:mcp", "requester,executor")?);
    ann.token = Some(token("ann@company.com", "approver")?);
    call(narration, &agent, &ann)?;
    server.stop()?;
    Ok(())
}

/// Calls a tool that requires approval, has Ann approve it, and calls it again.
fn call(narration: &mut Narration, agent: &Person, ann: &Person) -> Result<()> {
    let keyring = agent.path("signoff.keys.json").display().to_string();
    let program = std::env::current_exe()?.display().to_string();
    narration.say("agent$ signoff mcp gate --name mail --hold 0 --trust signoff.keys.json --audience demo -- signoff mcp sample");
    let arguments = [
        "mcp",
        "gate",
        "--name",
        "mail",
        "--hold",
        "0",
        "--trust",
        &keyring,
        "--audience",
        "demo",
        "--",
        &program,
        "mcp",
        "sample",
    ];
    let mut client = Client::start(agent, &arguments)?;
    client.ask(
        "initialize",
        &json!({
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "demo", "version": "1" },
        }),
    )?;
    client.ask("tools/list", &json!({}))?;
    let mail = json!({ "name": "send_mail", "arguments": {
        "to": "customers@company.com", "text": "Prices rise on Monday.",
    } });
    narration.say("the model calls send_mail:");
    let pending = client.ask("tools/call", &mail)?;
    narration.say(&safe(words(&pending)?));
    let id = pending.get("_meta").and_then(|meta| meta.get("dev.signoff/approval"));
    let id = id.and_then(Value::as_str).context("the gate names no approval")?.to_owned();
    ann.type_command(narration, &["approve", &id, "--yes"])?.done()?;
    narration.say("the model makes the same call again:");
    let sent = client.ask("tools/call", &mail)?;
    narration.say(&safe(words(&sent)?));
    let once = words(&sent)? == "sent mail 1";
    client.end()?;
    let shown: Value = serde_json::from_str(&agent.run(&["--json", "show", &id])?.done()?)?;
    let execution = shown.get("execution").and_then(|execution| execution.get("outcome"));
    narration.compare("one approval, one call of the server, and its outcome is recorded", {
        once && execution.is_some_and(|outcome| outcome == "succeeded")
    });
    Ok(())
}

/// Returns what a model reads of a result.
fn words(result: &Value) -> Result<&str> {
    let content = result.get("content").and_then(|content| content.get(0));
    let text = content.and_then(|content| content.get("text")).and_then(Value::as_str);
    text.context("the result has no text")
}

impl Client {
    fn start(agent: &Person, arguments: &[&str]) -> Result<Self> {
        let mut command = agent.command(arguments)?;
        command.env("XDG_STATE_HOME", agent.path("state"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("the gate does not start")?;
        let input = child.stdin.take().context("the gate has no input")?;
        let output = child.stdout.take().context("the gate has no output")?;
        Ok(Self { child, input, output: BufReader::new(output), last: 0 })
    }

    /// Sends a request. Returns the result.
    fn ask(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.last += 1;
        let request =
            json!({ "jsonrpc": "2.0", "id": self.last, "method": method, "params": params });
        writeln!(self.input, "{request}")?;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                bail!("the gate ended");
            }
            let mut message: Value = serde_json::from_str(&line)?;
            if message.get("id").is_some_and(|id| *id == self.last) {
                return message
                    .get_mut("result")
                    .map(Value::take)
                    .with_context(|| format!("`{method}` failed: {}", safe(&line)));
            }
        }
    }

    fn end(mut self) -> Result<()> {
        drop(self.input);
        self.child.wait()?;
        Ok(())
    }
}
