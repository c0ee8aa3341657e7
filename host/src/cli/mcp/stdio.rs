//! A server as a child process, and a client on standard input and output: one message a line.

use std::io::{self, BufRead, BufReader, Read, Write, stdin, stdout};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::note;
use crate::keys::all_secret_variables;
use crate::mcp::{CLIENT_BYTES_MAX, Gate, Gone, Id, Out, SERVER_BYTES_MAX, Session};

/// Time for a server to end after its standard input is closed, and after a signal.
const GRACE: Duration = Duration::from_secs(5);
/// Time to withdraw requests and to report outcomes at the end.
const CLEAN_UP: Duration = Duration::from_secs(20);

/// Lines to a pipe.
struct Lines<W>(Arc<Mutex<Option<W>>>);

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

/// What ends the session.
enum End {
    Client,
    Server,
    Signal,
}

/// Runs the gate until the client or the server ends. The exit code is the server's if it ended first.
pub(super) fn run(gate: &Arc<Gate>, name: &str, command: &[String]) -> Result<Exit, Failure> {
    let (ends, ended) = channel();
    let of_signals = ends.clone();
    listen(move || {
        let _ = of_signals.send(End::Signal);
    })?;
    let mut child = spawn(command)?;
    let input = Arc::new(Mutex::new(child.stdin.take()));
    let output = child.stdout.take().context("the server has no standard output")?;
    let to_client = Lines(Arc::new(Mutex::new(Some(stdout()))));
    let to_server: Lines<ChildStdin> = Lines(Arc::clone(&input));
    let session = gate.session(name, Box::new(to_client), Box::new(to_server));
    let of_client = (Arc::clone(&session), ends.clone());
    std::thread::spawn(move || {
        let (session, ends) = of_client;
        let why = each_line(stdin(), CLIENT_BYTES_MAX, |line| session.from_client(line));
        note_end("client", why);
        let _ = ends.send(End::Client);
    });
    let of_server = (Arc::clone(&session), ends);
    std::thread::spawn(move || {
        let (session, ends) = of_server;
        let why = each_line(output, SERVER_BYTES_MAX, |line| session.from_server(line, None));
        note_end("server", why);
        let _ = ends.send(End::Server);
    });
    let end = ended.recv().unwrap_or(End::Client);
    Ok(finish(&session, &mut child, &input, &ended, &end))
}

/// Ends both sides, withdraws what waits and reports what ran.
fn finish(
    session: &Arc<Session>,
    child: &mut Child,
    input: &Mutex<Option<ChildStdin>>,
    ended: &Receiver<End>,
    end: &End,
) -> Exit {
    session.client_gone();
    *input.lock().unwrap_or_else(PoisonError::into_inner) = None;
    if !matches!(end, End::Server) {
        // What the server still answers is an outcome.
        let mut left = [None, Some(Signal::TERM), Some(Signal::KILL)].into_iter();
        while let Some(by) = left.next() {
            if let (Some(by), Some(pid)) = (by, pid(child)) {
                let _ = kill_process(pid, by);
            }
            match ended.recv_timeout(GRACE) {
                Ok(End::Client | End::Signal) | Err(RecvTimeoutError::Timeout) => {}
                Ok(End::Server) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }
    session.server_gone();
    let status = exit_of(child);
    if !session.finish(CLEAN_UP) {
        note("the server of approvals does not answer; requests stay until they expire");
    }
    match (end, status) {
        (End::Server, Some(status)) => {
            note(&format!("the MCP server has ended: {status}"));
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            Exit::Run(code.unwrap_or(1))
        }
        (End::Server, None) => Exit::Failed,
        (End::Client | End::Signal, _) => Exit::Done,
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
fn spawn(command: &[String]) -> Result<Child> {
    let (program, arguments) = command.split_first().context("there is no command")?;
    let mut server = Command::new(program);
    server.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    for variable in all_secret_variables() {
        server.env_remove(variable);
    }
    server.spawn().with_context(|| format!("cannot run `{program}`"))
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
