//! Compilation of untrusted modules. A compiler is a large program, and its input may be crafted to
//! attack it. It therefore runs in a separate process of this same executable, with limited time
//! and memory and without any secret, store or connection. Its output is machine code that this
//! process then trusts; machine code from any other source is never accepted.

use std::io::{self, Read, Write, stdin, stdout};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::Engine;

use super::config::{Allocation, config, policy_config};

/// The subcommand with which the executable runs itself.
pub const COMPILE_COMMAND: &str = "compile-module";

/// Processor time of one compilation: enough for a whole interpreter as a module.
const SECONDS_MAX: u64 = 120;
/// Wall-clock time of one compilation, for a busy machine.
const WALL_TIME_MAX: Duration = Duration::from_secs(300);
/// Threads of one compilation.
const THREADS_MAX: usize = 8;
/// Address space of one compilation.
const MEMORY_BYTES_MAX: u64 = 4 << 30;
/// Maximum size of the machine code of one module.
const CODE_BYTES_MAX: u64 = 512 << 20;
/// Maximum size of a module.
pub const WASM_BYTES_MAX: usize = 64 << 20;
/// Maximum length of the compiler's error message.
const SAID_BYTES_MAX: u64 = 4 << 10;
/// Interval between checks whether the compiler has exited.
const PAUSE: Duration = Duration::from_millis(5);
/// The child's exit code for an invalid module, as opposed to exceeded limits.
const INVALID: u8 = 3;

/// The engine for which code is compiled: its settings are part of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settings {
    /// [`config`]
    Verifier,
    /// [`policy_config`]
    Policy,
}

/// Where a module is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// In this process: for a program that uses this library and trusts its modules.
    Here,
    /// In a separate process. Requires that this executable is `signoff`.
    Apart,
}

/// An error of compilation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The module is invalid.
    #[error("it does not compile: {0}")]
    Invalid(String),
    /// Compilation exceeds its limits.
    #[error("compiling it exceeds the limits of a module: {0}")]
    TooMuch(String),
}

impl Settings {
    /// Returns the name used as a command-line argument.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verifier => "verifier",
            Self::Policy => "policy",
        }
    }

    fn engine(self) -> wasmtime::Result<Engine> {
        Engine::new(&match self {
            Self::Verifier => config(Allocation::OnDemand),
            Self::Policy => policy_config(Allocation::OnDemand),
        })
    }
}

impl Compiler {
    /// Compiles a module for an engine with these settings.
    ///
    /// # Errors
    ///
    /// [`CompileError`].
    pub(super) fn compile(
        self,
        engine: &Engine,
        settings: Settings,
        wasm: &[u8],
    ) -> Result<Vec<u8>, CompileError> {
        match self {
            Self::Here => engine.precompile_component(wasm).map_err(|e| invalid(&e)),
            Self::Apart => apart(settings, wasm),
        }
    }
}

fn invalid(error: &wasmtime::Error) -> CompileError {
    CompileError::Invalid(format!("{error:#}"))
}

/// Runs this executable as a compiler, with a time limit.
fn apart(settings: Settings, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let failed =
        |e: io::Error| CompileError::TooMuch(format!("the compiler cannot be started: {e}"));
    let mut child = Command::new("/proc/self/exe")
        .args([COMPILE_COMMAND, settings.as_str()])
        .env_clear()
        .env("RAYON_NUM_THREADS", threads().to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut input), Some(output), Some(said)) = pipes else {
        return Err(CompileError::TooMuch("the compiler has no pipes".to_owned()));
    };
    thread::scope(|scope| {
        // A compiler that exits early stops reading; its exit code says why.
        scope.spawn(move || drop(input.write_all(wasm)));
        let code = scope.spawn(move || read(output, CODE_BYTES_MAX));
        let said = scope.spawn(move || read(said, SAID_BYTES_MAX));
        let ended = wait(&mut child);
        let (code, said) = (code.join().unwrap_or_default(), said.join().unwrap_or_default());
        let status = ended.map_err(failed)?;
        judged(status, code, &String::from_utf8_lossy(&said))
    })
}

/// Returns the number of compiler threads. Each reserves address space, which is limited.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX))
}

/// Converts the exit status and output of a compiler to a result.
fn judged(status: Option<ExitStatus>, code: Vec<u8>, said: &str) -> Result<Vec<u8>, CompileError> {
    let said = said.trim();
    match status.map(|status| status.code()) {
        Some(Some(0)) if (code.len() as u64) <= CODE_BYTES_MAX => Ok(code),
        Some(Some(0)) => Err(CompileError::TooMuch(format!("over {CODE_BYTES_MAX} bytes of code"))),
        Some(Some(exit)) if exit == i32::from(INVALID) => {
            Err(CompileError::Invalid(said.to_owned()))
        }
        _ => Err(CompileError::TooMuch(format!(
            "{SECONDS_MAX} s of processor time or {MEMORY_BYTES_MAX} bytes of memory"
        ))),
    }
}

/// Reads at most `most + 1` bytes, so that excess is detected.
fn read(from: impl Read, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Incomplete output goes with a failing exit code.
    let _ = from.take(most + 1).read_to_end(&mut bytes);
    bytes
}

/// Waits for the child. Returns `None` if it was killed at the time limit.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > WALL_TIME_MAX {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

/// Runs the compiler process: reads a module from standard input and writes code to standard
/// output. Returns the exit code: 0 for success, 3 for a module that does not compile, 1 for any
/// other failure.
pub fn compile_here(settings: Settings) -> u8 {
    match bounded().map_err(|e| (1, e.to_string())).and_then(|()| compile_stdin(settings)) {
        Ok(()) => 0,
        Err((exit, why)) => {
            let short: String = why.chars().take(1_000).collect();
            let _ = io::stderr().write_all(short.as_bytes());
            exit
        }
    }
}

fn compile_stdin(settings: Settings) -> Result<(), (u8, String)> {
    let failed = |e: io::Error| (1, e.to_string());
    let wasm = read(stdin(), WASM_BYTES_MAX as u64);
    let engine = settings.engine().map_err(|e| (1, format!("{e:#}")))?;
    let code = engine.precompile_component(&wasm).map_err(|e| (INVALID, format!("{e:#}")))?;
    stdout().write_all(&code).and_then(|()| stdout().flush()).map_err(failed)
}

/// Limits this process to the resources that a compiler needs.
fn bounded() -> io::Result<()> {
    for (resource, most) in [
        (Resource::Cpu, SECONDS_MAX),
        (Resource::As, MEMORY_BYTES_MAX),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 32),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn only_code_of_a_compiler_that_ended_well_is_taken() {
        let ended = |raw| judged(Some(ExitStatus::from_raw(raw)), vec![7], " why ");
        assert_eq!(ended(0), Ok(vec![7]));
        assert_eq!(ended(i32::from(INVALID) << 8), Err(CompileError::Invalid("why".to_owned())));
        // Another exit code, a signal (SIGKILL, SIGXCPU, SIGABRT), and a killed compiler.
        for raw in [1 << 8, 101 << 8, 9, 24, 6] {
            assert!(matches!(ended(raw), Err(CompileError::TooMuch(_))), "{raw}");
        }
        assert!(matches!(judged(None, vec![7], ""), Err(CompileError::TooMuch(_))));
    }

    #[test]
    fn more_than_may_come_is_seen() {
        assert_eq!(read(&[1, 2, 3][..], 3), [1, 2, 3]);
        assert_eq!(read(&[1, 2, 3, 4, 5][..], 3), [1, 2, 3, 4]);
    }

    #[test]
    fn an_invalid_module_is_a_compile_error() {
        for settings in [Settings::Verifier, Settings::Policy] {
            let engine = settings.engine().unwrap();
            let refused = Compiler::Here.compile(&engine, settings, b"\0asm");
            assert!(matches!(refused, Err(CompileError::Invalid(_))), "{refused:?}");
        }
    }
}
