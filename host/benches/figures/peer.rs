//! Another process that measures on request: a line with operation and time in, a line with seconds
//! per operation out.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// A measuring process with one request at a time; killed on drop.
pub(crate) struct Peer {
    name: String,
    child: Child,
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
}

/// The SHA-256 implementation of the native verifier.
#[derive(Clone, Copy)]
pub(crate) enum Sha {
    /// The CPU's SHA instructions.
    Fastest,
    /// Portable code, as in WebAssembly.
    Soft,
}

impl Peer {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.with_context(|| format!("cannot start {name}"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let pipes = (stdin.context("no pipe")?, BufReader::new(stdout.context("no pipe")?));
        Ok(Self { name, child, pipes: RefCell::new(pipes) })
    }

    /// Starts CPython with `peer.py`.
    pub(crate) fn python() -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/figures/peer.py");
        let mut python = Command::new("python3");
        python.arg(script);
        Self::start(python)
    }

    /// Starts the verifier compiled for this machine, with the settings of the guest's profile.
    pub(crate) fn native(sha: Sha) -> Result<Self> {
        let (name, flags) = match sha {
            Sha::Fastest => ("native", ""),
            Sha::Soft => ("native-soft", "--cfg\u{1f}sha2_backend=\"soft\""),
        };
        let target = scratch("").with_file_name(format!("bench-{name}"));
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--locked", "--package", "signoff-verifier"])
            .args(["--example", "native_bench", "--profile", "guest", "--target-dir"])
            .arg(&target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags)
            .env_remove("RUSTFLAGS");
        ensure!(cargo.status()?.success(), "the native verifier did not compile");
        Self::start(Command::new(target.join("guest/examples/native_bench")))
    }

    /// Measures an operation. Returns seconds per operation.
    pub(crate) fn measure(
        &self,
        work: &str,
        time: Duration,
        about: impl AsRef<OsStr>,
    ) -> Result<f64> {
        let about = about.as_ref().to_string_lossy();
        let answer = self.call(&format!("{work} {} {about}", time.as_secs_f64() * 1e3))?;
        answer.parse().with_context(|| format!("{} answered `{answer}`", self.name))
    }

    /// Sends a line and returns the reply.
    pub(crate) fn call(&self, line: &str) -> Result<String> {
        let (stdin, stdout) = &mut *self.pipes.borrow_mut();
        writeln!(stdin, "{line}").with_context(|| format!("{} ended", self.name))?;
        let mut answer = String::new();
        stdout.read_line(&mut answer)?;
        ensure!(!answer.is_empty(), "{} did not reply to `{line}`", self.name);
        Ok(answer.trim().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a path in the build's folder for scratch files, which is on a disk.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}
