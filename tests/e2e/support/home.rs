//! A directory with a store, in which the binary runs.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Once};

use serde_json::Value;
use signoff::keys::{KeySource, keyring_beside};
use signoff::store::Trust;
use tempfile::TempDir;

use super::Server;

/// The secret of the tests, long enough to be accepted.
pub const SECRET: &str = "e2e-7f1c52a9-correct-horse-battery-staple";

/// The settings file that every command of a home uses, if it exists.
pub const NAMED_SETTINGS: &str = "named.toml";

/// A temporary directory for a store. Commands run in it, so `./signoff.redb` is the store.
pub struct Home {
    dir: TempDir,
}

/// What a command printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Home {
    pub fn new() -> Self {
        static COMPILED: Once = Once::new();
        let home = Self { dir: tempfile::tempdir().unwrap() };
        // Only once, not by every test at the same time.
        COMPILED.call_once(|| {
            home.run(&["module", "list"]).ok();
        });
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn store(&self) -> PathBuf {
        self.path("signoff.redb")
    }

    /// Returns the keys to open the store with: the log keys of the keyring next to it.
    pub fn trust(&self) -> Trust {
        signoff::keys::trust(&Arc::new(KeySource::new(keyring_beside(&self.store()), None)))
    }

    /// Writes a file; returns its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    /// Returns a program in this directory, with the tests' secret and an otherwise clean environment.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("SIGNOFF_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/e2e-cache"))
            .env("SIGNOFF_HMAC_SECRET", SECRET)
            .stdin(Stdio::null());
        if self.path(NAMED_SETTINGS).exists() {
            command.env("SIGNOFF_CONFIG", NAMED_SETTINGS);
        }
        command
    }

    /// Returns `signoff`, like [`Self::program`].
    pub fn signoff(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_signoff"));
        command.args(arguments);
        command
    }

    /// Runs `signoff` and waits for its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.signoff(arguments))
    }

    /// Runs `signoff` with a text on its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        self.file("input", input);
        let input = std::fs::File::open(self.path("input")).unwrap();
        Ran::of(self.signoff(arguments).stdin(input))
    }

    /// Adds the key of a person who takes no part in a test, so that a requirement could be met.
    #[track_caller]
    pub fn bystander(&self, id: &str, groups: &[&str]) {
        let approver = format!("{id}@elsewhere.example");
        let mut generate = vec!["key", "generate", "--id", id, "--approver", &approver];
        generate.extend(groups.iter().flat_map(|group| ["--group", *group]));
        self.run(&generate).ok();
    }

    /// Starts a server of the store.
    pub fn serve(&self) -> Server {
        Server::start(self)
    }
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the command starts");
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Checks the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Checks that it succeeded; returns its output without the last line feed.
    #[track_caller]
    pub fn ok(self) -> String {
        let ran = self.exits(0);
        ran.out.strip_suffix('\n').unwrap_or(&ran.out).to_owned()
    }

    /// Parses the output of `--json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Returns a home and a server in it.
pub fn home_and_server() -> (Home, Server) {
    let home = Home::new();
    let server = home.serve();
    (home, server)
}
