//! A client of the MCP gate that sends and reads lines, and a server behind it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use super::{HANG, Home};

/// The tools that the server lists unless a test says otherwise.
pub const TOOLS: &str = r#"[
  {"name":"read","description":"reads","inputSchema":{"type":"object"}},
  {"name":"write","description":"writes","inputSchema":{"type":"object",
    "properties":{"path":{"type":"string"},"n":{"type":"number"}},"required":["path"]}},
  {"name":"drop","inputSchema":{"type":"object"}},
  {"name":"fails","inputSchema":{"type":"object"}},
  {"name":"errs","inputSchema":{"type":"object"}},
  {"name":"dies","inputSchema":{"type":"object"}},
  {"name":"hangs","inputSchema":{"type":"object"}},
  {"name":"forges","inputSchema":{"type":"object"}}]"#;

/// A running gate with a client.
pub struct Mcp {
    pub child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Lines that were read while another was looked for.
    pub others: Vec<Value>,
}

/// Returns the command of a gate before the server.
pub fn gate(home: &Home, server: &str, options: &[&str]) -> Command {
    if !home.path("tools.json").exists() {
        home.file("tools.json", TOOLS);
    }
    home.file("server.py", include_str!("mcp_server.py"));
    let mut command = home.signoff(&["--server", server, "mcp", "gate", "--name", "stub"]);
    command.args(options).args(["--", "python3", "server.py"]);
    command.env("RAN", home.path("ran")).env("TOOLS", home.path("tools.json"));
    command
}

/// Returns the calls that the server got.
pub fn ran(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(home.path("ran")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

impl Mcp {
    /// Starts a gate.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, input, lines, others: Vec::new() }
    }

    /// Starts a gate, and a session of 2025-11-25 with capabilities.
    pub fn session(home: &Home, server: &str, options: &[&str], capabilities: Value) -> Self {
        let mut mcp = Self::start(gate(home, server, options));
        mcp.initialize(capabilities);
        mcp
    }

    pub fn initialize(&mut self, capabilities: Value) {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": capabilities,
            "clientInfo": { "name": "test", "version": "1" },
        });
        self.ask("initialize", "initialize", params);
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }

    /// Sends a line.
    pub fn send(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        let _ = input.write_all(format!("{line}\n").as_bytes());
    }

    /// Sends a request.
    pub fn request(&mut self, id: &str, method: &str, params: Value) {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(&request.to_string());
    }

    /// Sends a request, and returns its response.
    #[track_caller]
    pub fn ask(&mut self, id: &str, method: &str, params: Value) -> Value {
        self.request(id, method, params);
        self.response(id)
    }

    /// Calls a tool, and returns the response.
    #[track_caller]
    pub fn call(&mut self, id: &str, tool: &str, arguments: Value) -> Value {
        self.ask(id, "tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Returns the next line.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.lines.recv_timeout(HANG).expect("the gate sends a message")
    }

    /// Returns the next message that a test looks for.
    #[track_caller]
    pub fn next(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.others.iter().position(&is_it) {
            return self.others.remove(at);
        }
        loop {
            let line = self.line();
            let message: Value = serde_json::from_str(&line).expect(&line);
            if is_it(&message) {
                return message;
            }
            self.others.push(message);
        }
    }

    /// Returns the response to a request.
    #[track_caller]
    pub fn response(&mut self, id: &str) -> Value {
        self.next(|message| message["id"] == id && message.get("method").is_none())
    }

    /// Ends the client. Returns the exit status of the gate.
    pub fn close(mut self) -> ExitStatus {
        drop(self.input.take());
        self.child.wait().unwrap()
    }
}

impl Drop for Mcp {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the code of an answer of the gate to a call.
#[track_caller]
pub fn code(response: &Value) -> &str {
    response["result"]["_meta"]["dev.signoff/code"].as_str().unwrap_or_else(|| panic!("{response}"))
}

/// Returns the words of an answer of the gate to a call.
#[track_caller]
pub fn words(response: &Value) -> &str {
    response["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{response}"))
}
