//! Runs a command whose output is a keyring. Its time and output are limited, and its output is
//! never quoted.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use super::entry::Entry;
use super::error::KeyError;
use super::file::{KEYRING_BYTES_MAX, parse};
use super::secret::all_secret_variables;

/// Maximum run time of a command.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(20);
/// Interval between checks whether the command has exited.
const LOOK: Duration = Duration::from_millis(5);

/// A child process and its process group, killed on drop unless the child has exited.
struct Group {
    child: Child,
    ended: bool,
}

impl Group {
    fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        self.ended = status.is_some();
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The process id of a reaped child may already belong to another process.
        if self.ended {
            return;
        }
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Runs a command and parses the keyring that it prints.
///
/// # Errors
///
/// In this order: an empty command; a program that cannot be started; output over the limit; a
/// timeout; an exit code that is not 0; output that is not a keyring.
pub(crate) fn keys_of(argv: &[String]) -> Result<Vec<Entry>, KeyError> {
    keys_within(argv, COMMAND_TIME_MAX)
}

/// What a service manager tells a server alone: a program that the server starts must not answer in its
/// place.
const SERVICE_MANAGER_VARIABLES: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

pub(crate) fn keys_within(argv: &[String], limit: Duration) -> Result<Vec<Entry>, KeyError> {
    let (program, arguments) = match argv {
        [program, arguments @ ..] if !program.is_empty() => (program, arguments),
        _ => return Err(KeyError::Command { program: String::new(), why: "is empty".to_owned() }),
    };
    let fail = |why: String| KeyError::Command { program: program.clone(), why };
    let deadline = Instant::now() + limit;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    for variable in all_secret_variables().chain(SERVICE_MANAGER_VARIABLES) {
        command.env_remove(variable);
    }
    let child = command.process_group(0).spawn();
    let child = child.map_err(|e| fail(format!("cannot be started: {e}")))?;
    let mut group = Group { child, ended: false };
    let output = group.child.stdout.take().map(read_in_background);
    let too_long = || fail(format!("took longer than {} s", limit.as_secs()));
    let left = deadline.saturating_duration_since(Instant::now());
    let output = match output.map(|output| output.recv_timeout(left)) {
        Some(Ok(output)) => {
            output.map_err(|e| fail(format!("failed while its output was read: {e}")))?
        }
        _ => return Err(too_long()),
    };
    if u64::try_from(output.len()).is_ok_and(|bytes| bytes > KEYRING_BYTES_MAX) {
        return Err(fail(format!("printed more than {KEYRING_BYTES_MAX} bytes")));
    }
    let status = loop {
        match group.ended() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => thread::sleep(LOOK),
            Ok(None) => return Err(too_long()),
            Err(e) => return Err(fail(format!("cannot be waited for: {e}"))),
        }
    };
    if !status.success() {
        return Err(fail(format!("failed ({status})")));
    }
    parse(&output).map_err(|e| fail(format!("did not print a keyring: {e}")))
}

fn read_in_background(stdout: ChildStdout) -> mpsc::Receiver<io::Result<Zeroizing<Vec<u8>>>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut output = Zeroizing::new(Vec::new());
        let read = stdout.take(KEYRING_BYTES_MAX + 1).read_to_end(&mut output);
        // The receiver is gone after a timeout.
        let _ = sender.send(read.map(|_| output));
    });
    receiver
}
