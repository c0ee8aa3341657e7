//! A running `signoff serve`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::Deref;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Client, Home, until};

/// The arguments of every server.
pub const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0", "--json"];

/// A server and its client. The server is killed when it is dropped.
pub struct Server {
    child: Child,
    client: Client,
    printed: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server of a home. A missing store is created even if there is a log key.
    pub fn start(home: &Home) -> Self {
        let mut command = home.signoff(SERVE);
        if !home.store().exists() {
            command.arg("--create-store");
        }
        Self::start_with(command)
    }

    /// Starts a server by a command that ends in `signoff serve --json`.
    #[track_caller]
    pub fn start_with(command: Command) -> Self {
        Self::try_start_with(command)
            .unwrap_or_else(|printed| panic!("the server did not start: {printed}"))
    }

    /// Like [`Self::start_with`]. The error is its exit status and its output.
    pub fn try_start_with(mut command: Command) -> Result<Self, String> {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let printed = Arc::new(Mutex::new(String::new()));
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        let Ok(facts) = serde_json::from_str::<Value>(&first) else {
            let ended = child.wait_with_output().unwrap();
            let printed = String::from_utf8_lossy(&ended.stderr);
            return Err(format!("{}: {first}{printed}", ended.status));
        };
        keep(out, Arc::clone(&printed));
        keep(BufReader::new(child.stderr.take().unwrap()), Arc::clone(&printed));
        let client = Client::new(facts["url"].as_str().unwrap());
        printed.lock().unwrap().push_str(&first);
        Ok(Self { child, client, printed })
    }

    pub fn address(&self) -> SocketAddr {
        self.client.url.split_once("://").unwrap().1.parse().unwrap()
    }

    /// Returns its output so far.
    pub fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// Returns the lines of its log so far that have a message.
    pub fn log_of(&self, message: &str) -> Vec<Value> {
        log_of(&self.printed(), message)
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM, as a service manager does.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it is compiling a module.
    pub fn compiles(&self) -> bool {
        let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        let parent = format!("PPid:\t{}\n", self.child.id());
        let mut children =
            processes.filter(|process| read(process.join("status")).contains(&parent));
        children.any(|child| read(child.join("cmdline")).contains("compile-module"))
    }

    /// Terminates it and waits for its end; returns its output.
    #[track_caller]
    pub fn stop(mut self) -> String {
        self.terminate();
        let status = self.ended();
        assert!(status.success(), "{status}: {}", self.printed());
        self.printed()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        until("the server ends", || self.child.try_wait().unwrap())
    }

    /// `kill -9`
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the server printed:\n{}", self.printed());
        }
    }
}

/// Returns the lines of a log with a message, among all that a server printed.
pub fn log_of(printed: &str, message: &str) -> Vec<Value> {
    let lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

/// Starts a server whose files may not grow past a size in KiB.
pub fn serve_with_file_size(home: &Home, kib: u64) -> Server {
    let mut command = home.program("sh");
    // Without the trap the signal would end the process instead of failing the write. The unit of
    // `ulimit -f` is 512 bytes.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
    command.args(["-c", &script, env!("CARGO_BIN_EXE_signoff")]).args(SERVE);
    Server::start_with(command)
}

/// Keeps reading, so that the server never waits for a reader.
fn keep(lines: impl BufRead + Send + 'static, printed: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in lines.lines() {
            let Ok(line) = line else { return };
            let mut printed = printed.lock().unwrap();
            printed.push_str(&line);
            printed.push('\n');
        }
    });
}
