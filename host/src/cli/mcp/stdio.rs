//! A server as a child process, and a client on standard input and output: one message a line.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Stdout, Write, stdin, stdout};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::note;
use crate::keys::all_secret_variables;
use crate::mcp::{CLIENT_BYTES_MAX, Gate, Gone, Id, Out, SERVER_BYTES_MAX, Session, Several};

/// Time for a server to end after its standard input is closed, and after a signal.
const GRACE: Duration = Duration::from_secs(5);
/// Time to withdraw requests and to report outcomes at the end.
const CLEAN_UP: Duration = Duration::from_secs(20);

/// Lines to a pipe.
pub(super) struct Lines<W>(Arc<Mutex<Option<W>>>);

impl Lines<Stdout> {
    /// Lines to standard output.
    pub(super) fn of_stdout() -> Self {
        Self(Arc::new(Mutex::new(Some(stdout()))))
    }
}

impl<W: Write + Send> Out for Lines<W> {
    fn send(&self, message: &str, _: Option<&Id>) -> Result<(), Gone> {
        let mut line = Vec::with_capacity(message.len() + 1);
        // Outside of strings, which cannot contain them, line breaks are blanks.
        line.extend(
            message.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }),
        );
        line.push(b'\n');
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = writer.as_mut().ok_or(Gone)?;
        open.write_all(&line).and_then(|()| open.flush()).map_err(|_| {
            *writer = None;
            Gone
        })
    }
}

/// A server to start.
pub(super) struct Server {
    /// Its name in actions.
    pub(super) name: String,
    /// The program and its arguments.
    pub(super) command: Vec<String>,
    /// Variables of its environment, beside the gate's own.
    pub(super) env: BTreeMap<String, String>,
}

/// A started server.
struct Running {
    session: Arc<Session>,
    child: Child,
    input: Arc<Mutex<Option<ChildStdin>>>,
    has_ended: bool,
}

/// What ends.
enum End {
    Client,
    Server(usize),
    Signal,
}

/// Runs the gate until the client or all servers end. The exit code is the server's if there is one that
/// ended first. With several servers, their tools are one list.
pub(super) fn run(gate: &Arc<Gate>, servers: &[Server], is_one: bool) -> Result<Exit, Failure> {
    let (ends, ended) = channel();
    let of_signals = ends.clone();
    listen(move || {
        let _ = of_signals.send(End::Signal);
    })?;
    let to_client = || Box::new(Lines::of_stdout());
    let names = servers.iter().map(|server| server.name.clone()).collect();
    let several = (!is_one).then(|| Several::new(names, to_client()));
    let mut running = Vec::new();
    for (index, server) in servers.iter().enumerate() {
        let out: Box<dyn Out> = match &several {
            Some(several) => several.part(index),
            None => to_client(),
        };
        match start(gate, server, out) {
            Ok((one, output)) => {
                let (session, ends) = (Arc::clone(&one.session), ends.clone());
                running.push((one, output, session, ends));
            }
            Err(e) => {
                for (one, ..) in &mut running {
                    let _ = one.child.kill();
                    let _ = one.child.wait();
                }
                return Err(e.into());
            }
        }
    }
    let sessions: Vec<Arc<Session>> =
        running.iter().map(|(one, ..)| Arc::clone(&one.session)).collect();
    if let Some(several) = &several {
        several.set(sessions.clone());
    }
    let mut all = Vec::new();
    for (index, (one, output, session, ends)) in running.into_iter().enumerate() {
        all.push(one);
        std::thread::spawn(move || {
            let take = |line: &str| session.take_from_server(line, None);
            note_end("server", each_line(output, SERVER_BYTES_MAX, take));
            let _ = ends.send(End::Server(index));
        });
    }
    std::thread::spawn(move || {
        let take = |line: &str| match (&several, sessions.first()) {
            (Some(several), _) => several.take_from_client(line),
            (None, Some(session)) => session.take_from_client(line),
            (None, None) => {}
        };
        note_end("client", each_line(stdin(), CLIENT_BYTES_MAX, take));
        let _ = ends.send(End::Client);
    });
    Ok(until_the_end(all, &ended))
}

/// Takes the messages of the client on standard input until it or a signal ends the session.
pub(super) fn client(session: &Arc<Session>) -> Result<()> {
    let (ends, ended) = channel();
    let of_signals = ends.clone();
    listen(move || {
        let _ = of_signals.send(End::Signal);
    })?;
    let session = Arc::clone(session);
    std::thread::spawn(move || {
        let take = |line: &str| session.take_from_client(line);
        note_end("client", each_line(stdin(), CLIENT_BYTES_MAX, take));
        let _ = ends.send(End::Client);
    });
    let _ = ended.recv();
    Ok(())
}

/// Starts a server, and begins its session.
fn start(
    gate: &Arc<Gate>,
    server: &Server,
    to_client: Box<dyn Out>,
) -> Result<(Running, ChildStdout)> {
    let mut child = spawn(server)?;
    let input = Arc::new(Mutex::new(child.stdin.take()));
    let output = child.stdout.take().context("the server has no standard output")?;
    let to_server = Box::new(Lines(Arc::clone(&input)));
    let session = gate.session(&server.name, to_client, to_server);
    Ok((Running { session, child, input, has_ended: false }, output))
}

/// Waits until the client or all servers end; then ends the others, withdraws what waits and reports what
/// ran.
fn until_the_end(mut all: Vec<Running>, ended: &Receiver<End>) -> Exit {
    let mut exit = Exit::Done;
    while all.iter().any(|one| !one.has_ended) {
        let Ok(End::Server(index)) = ended.recv() else { break };
        let Some(one) = all.get_mut(index) else { continue };
        one.has_ended = true;
        one.session.server_gone();
        *one.input.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let status = exit_of(&mut one.child);
        let words = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        note(&format!("the MCP server `{}` has ended: {words}", one.session.server));
        let code = status.and_then(|status| u8::try_from(status.code()?).ok());
        exit = code.map_or(Exit::Failed, Exit::Run);
    }
    if all.iter().any(|one| !one.has_ended) {
        exit = Exit::Done;
    }
    for one in &all {
        one.session.client_gone();
        *one.input.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
    end_servers(&mut all, ended);
    for one in &mut all {
        one.session.server_gone();
        let _ = exit_of(&mut one.child);
        if !one.session.finish(CLEAN_UP) {
            note("the server of approvals does not answer; requests stay until they expire");
        }
    }
    exit
}

/// Waits for servers whose standard input is closed: what they still answer is an outcome.
fn end_servers(all: &mut [Running], ended: &Receiver<End>) {
    for by in [None, Some(Signal::TERM), Some(Signal::KILL)] {
        for one in all.iter().filter(|one| !one.has_ended) {
            if let (Some(by), Some(pid)) = (by, pid(&one.child)) {
                let _ = kill_process(pid, by);
            }
        }
        let until = Instant::now() + GRACE;
        while all.iter().any(|one| !one.has_ended) {
            match ended.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(End::Server(index)) => {
                    if let Some(one) = all.get_mut(index) {
                        one.has_ended = true;
                    }
                }
                Ok(End::Client | End::Signal) => {}
                Err(_) => break,
            }
        }
    }
}

/// Waits for the end of a server that has closed its standard output.
fn exit_of(child: &mut Child) -> Option<ExitStatus> {
    for _ in 0..50 {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    child.wait().ok()
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Starts a server without signoff's own secrets in its environment.
fn spawn(server: &Server) -> Result<Child> {
    let (program, arguments) = server.command.split_first().context("there is no command")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    for variable in all_secret_variables() {
        command.env_remove(variable);
    }
    command.envs(&server.env);
    command.spawn().with_context(|| format!("cannot run `{program}`"))
}

/// Calls a function once a signal that ends processes arrives.
fn listen(arrived: impl FnOnce() + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    drop(entered);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = hangup.recv() => {}
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        arrived();
    });
    Ok(())
}

/// Why no more lines are read.
enum NoMore {
    End,
    TooLong(usize),
    Failed(io::Error),
}

/// Reads lines until the end. A line that is too long ends the session, because nobody would answer it.
fn each_line(input: impl Read, bytes_max: usize, mut take: impl FnMut(&str)) -> NoMore {
    let mut input = BufReader::with_capacity(64 << 10, input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut input).take(bytes_max as u64 + 1).read_until(b'\n', &mut line);
        match read {
            Ok(0) => return NoMore::End,
            Ok(_) if line.len() > bytes_max => return NoMore::TooLong(bytes_max),
            Ok(_) => {}
            Err(e) => return NoMore::Failed(e),
        }
        // What is not UTF-8 becomes a text that is not JSON.
        let text = std::str::from_utf8(&line).unwrap_or("not UTF-8");
        let text = text.trim_matches(['\r', '\n', ' ', '\t']);
        if !text.is_empty() {
            take(text);
        }
    }
}

fn note_end(side: &str, why: NoMore) {
    match why {
        NoMore::End => {}
        NoMore::TooLong(max) => note(&format!("the {side} sent a line of more than {max} bytes")),
        NoMore::Failed(e) => note(&format!("the {side} cannot be read: {e}")),
    }
}
