//! What `signoff run` binds: the command, its folder, and the content of the program and of the files
//! that it is given.
//!
//! The plan is computed for the request and again after the claim. A binary is then executed by the
//! handle that was hashed the second time, a script by its interpreter's handle.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Larger files among the arguments are not bound; `--bind` refuses them.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// As much of a script's first line as the kernel reads.
const SHEBANG_BYTES_MAX: usize = 256;
/// What no digest covers, for the approver.
const NOT_COVERED: &str = "an edit in the instant before it runs, libraries, imports, programs that it starts, the environment, the network";

/// What to bind.
pub(super) struct Sources<'a> {
    /// The command line.
    pub(super) command: &'a [String],
    /// More files.
    pub(super) bind: &'a [PathBuf],
    /// Arguments that are not files, counted from 1; the program is 0.
    pub(super) no_bind: &'a [usize],
    /// The standard input.
    pub(super) stdin: Option<&'a Path>,
}

/// A plan, with the handles of what it names.
pub(super) struct Bound {
    /// The plan, JSON.
    pub(super) plan: String,
    described: Plan,
    /// What is executed: the program, or the interpreter of a script.
    pub(super) program: Program,
    /// The standard input; `None` means empty.
    pub(super) stdin: Option<File>,
}

/// A program to execute by its handle.
pub(super) struct Program {
    /// The handle. It stays open until the command has started.
    file: File,
    /// What the program sees as its own name.
    pub(super) name: OsString,
    /// Arguments before those of the command: of an interpreter, and the script.
    pub(super) arguments: Vec<OsString>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Plan {
    command: Vec<String>,
    directory: String,
    program: Content,
    #[serde(skip_serializing_if = "Option::is_none")]
    interpreter: Option<Interpreter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<Argument>,
    /// Arguments that name something whose content is not bound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unbound: Vec<Unbound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdin: Option<Content>,
    not_covered: &'static str,
}

/// A file by its path and content.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Content {
    path: String,
    sha256: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Interpreter {
    #[serde(flatten)]
    content: Content,
    arguments: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Argument {
    /// Its number on the command line; none for a file of `--bind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    argument: Option<usize>,
    #[serde(flatten)]
    content: Content,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Unbound {
    argument: usize,
    path: String,
    why: &'static str,
}

impl Sources<'_> {
    /// Computes the plan from what the files contain now.
    ///
    /// # Errors
    ///
    /// The program is not found, or a file cannot be read.
    pub(super) fn bind(&self) -> Result<Bound> {
        let directory = env::current_dir().context("the working folder cannot be read")?;
        let name = self.command.first().context("no command is given")?;
        let (mut file, path) = program(name)?;
        let content = content(&mut file, &path)?;
        let (program, interpreter) = match shebang(&mut file)? {
            None => {
                check_binary(&mut file, &path)?;
                (Program { file, name: name.into(), arguments: Vec::new() }, None)
            }
            Some(words) => {
                let (program, interpreter) = interpreter(&words, &path)?;
                (program, Some(interpreter))
            }
        };
        let (mut files, mut unbound) = (Vec::new(), Vec::new());
        for (number, argument) in self.command.iter().enumerate().skip(1) {
            for path in named(argument) {
                let Ok(metadata) = path.metadata() else { continue };
                let why = if self.no_bind.contains(&number) {
                    "left out"
                } else if metadata.is_dir() {
                    "a folder"
                } else if !metadata.is_file() {
                    "not a regular file"
                } else if metadata.len() > FILE_BYTES_MAX {
                    "larger than 64 MiB"
                } else {
                    let content = self::content(&mut open(path)?, path)?;
                    files.push(Argument { argument: Some(number), content });
                    continue;
                };
                unbound.push(Unbound { argument: number, path: shown(path)?, why });
            }
        }
        for path in self.bind {
            let mut file = open(path)?;
            let size = file.metadata()?.len();
            ensure!(
                size <= FILE_BYTES_MAX,
                "`{}` is {size} bytes, the limit of --bind is {FILE_BYTES_MAX}",
                path.display()
            );
            files.push(Argument { argument: None, content: self::content(&mut file, path)? });
        }
        let mut stdin = self.stdin.map(open).transpose()?;
        let stdin_content = match (&mut stdin, self.stdin) {
            (Some(file), Some(path)) => Some(self::content(file, path)?),
            _ => None,
        };
        let described = Plan {
            command: self.command.to_vec(),
            directory: shown(&directory)?,
            program: content,
            interpreter,
            files,
            unbound,
            stdin: stdin_content,
            not_covered: NOT_COVERED,
        };
        let plan = serde_json::to_string(&described)?;
        Ok(Bound { plan, described, program, stdin })
    }

    /// Computes the plan again, right before it runs.
    ///
    /// # Errors
    ///
    /// As [`Self::bind`]; the inner error says what differs from before.
    pub(super) fn bind_again(&self, before: &Bound) -> Result<Result<Bound, String>> {
        let again = self.bind()?;
        Ok(match again.described.difference(&before.described) {
            Some(why) => Err(format!("{why}; nothing ran")),
            None => Ok(again),
        })
    }
}

impl Plan {
    /// Returns what differs from an earlier plan, in words.
    fn difference(&self, before: &Self) -> Option<String> {
        let now = self;
        if now == before {
            return None;
        }
        let changed = |what: &str, path: &str| format!("{what} `{path}` was changed or replaced");
        if now.program != before.program {
            return Some(changed("the program", &before.program.path));
        }
        if now.interpreter != before.interpreter {
            let path = before.interpreter.as_ref().map_or("-", |it| it.content.path.as_str());
            return Some(changed("the interpreter", path));
        }
        if now.stdin != before.stdin {
            let path = before.stdin.as_ref().map_or("-", |it| it.path.as_str());
            return Some(changed("the standard input", path));
        }
        let file = before.files.iter().find(|file| !now.files.contains(file));
        let file = file.or_else(|| now.files.iter().find(|file| !before.files.contains(file)));
        Some(match file {
            Some(file) => changed("the file", &file.content.path),
            None => "the working folder was moved".to_owned(),
        })
    }
}

impl Program {
    /// Returns the path that executes the handle.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

/// Finds a program as a shell does. Relative folders in `PATH` are skipped, because they depend on the
/// working folder.
fn program(name: &str) -> Result<(File, PathBuf)> {
    let path = find_program(name, &env::current_dir()?).with_context(|| {
        if name.contains('/') {
            format!("`{name}` is not an executable file")
        } else {
            format!("`{name}` is in no folder of PATH")
        }
    })?;
    Ok((open(&path)?, path))
}

/// Returns the path of the program that a name stands for in a folder.
fn find_program(name: &str, folder: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(folder.join(name)).filter(|path| is_program(path));
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

/// Returns whether a path leads to a file that somebody may execute.
pub(in crate::cli) fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

fn open(path: &Path) -> Result<File> {
    // A pipe in its place must not hold this process up.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = File::options()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    ensure!(file.metadata()?.is_file(), "`{}` is not a regular file", path.display());
    Ok(file)
}

/// Returns a file's path and digest, and rewinds it.
fn content(file: &mut File, path: &Path) -> Result<Content> {
    let digest = digest(file).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(Content { path: shown(path)?, sha256: digest })
}

fn digest(file: &mut File) -> std::io::Result<String> {
    let (mut digest, mut piece) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut piece)? {
            0 => break,
            length => digest.update(piece.get(..length).unwrap_or_default()),
        }
    }
    file.rewind()?;
    Ok(hex::encode(digest.finalize()))
}

/// Returns the words of a script's first line; `None` for a binary.
fn shebang(file: &mut File) -> Result<Option<Vec<String>>> {
    let mut head = Vec::new();
    file.by_ref().take(SHEBANG_BYTES_MAX as u64).read_to_end(&mut head)?;
    file.rewind()?;
    let Some(rest) = head.strip_prefix(b"#!") else { return Ok(None) };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_whole = line.len() < rest.len() || head.len() < SHEBANG_BYTES_MAX;
    ensure!(is_whole, "the script's first line is too long");
    let line = std::str::from_utf8(line).context("the script's first line is not UTF-8")?.trim();
    // The kernel passes everything after the interpreter as one argument.
    let words = line.split_once([' ', '\t']).map_or(vec![line], |(a, b)| vec![a, b.trim()]);
    Ok(Some(words.into_iter().filter(|word| !word.is_empty()).map(str::to_owned).collect()))
}

/// Checks before anyone is asked that the system can execute a program.
fn check_binary(file: &mut File, path: &Path) -> Result<()> {
    let mut head = Vec::new();
    file.by_ref().take(4).read_to_end(&mut head)?;
    file.rewind()?;
    ensure!(
        head == *b"\x7fELF" || cfg!(not(target_os = "linux")),
        "`{}` is neither a binary nor a script whose first line names its interpreter",
        path.display()
    );
    Ok(())
}

/// Finds the interpreter of a script. Through `env` it is the program that `env` would find.
fn interpreter(words: &[String], script: &Path) -> Result<(Program, Interpreter)> {
    let (name, arguments) = words.split_first().context("the script names no interpreter")?;
    ensure!(name.starts_with('/'), "the script's interpreter `{name}` is not an absolute path");
    let real = Path::new(name).canonicalize().unwrap_or_else(|_| name.into());
    let through_env: Vec<String> = match (real.file_name(), arguments) {
        (Some(file), [rest]) if file == "env" => {
            let rest = rest.strip_prefix("-S").unwrap_or(rest);
            ensure!(
                !rest.trim().starts_with('-') && !rest.contains(['=', '"', '\'', '\\', '$']),
                "the script's first line has options of env that cannot be bound; name the interpreter itself"
            );
            rest.split_whitespace().map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    let (name, arguments) = through_env.split_first().unwrap_or((name, arguments));
    let (mut file, path) = program(name)?;
    if shebang(&mut file)?.is_some() {
        bail!("the interpreter `{}` is itself a script, which cannot be bound", path.display());
    }
    let content = content(&mut file, &path)?;
    let leading = arguments.iter().map(OsString::from).chain([script.as_os_str().to_owned()]);
    let program = Program { file, name: name.into(), arguments: leading.collect() };
    Ok((program, Interpreter { content, arguments: arguments.to_vec() }))
}

/// Returns what an argument names: the whole of it, and what follows its first `=`, its first `@` and an
/// option of one letter (`-fFILE`).
fn named(argument: &str) -> impl Iterator<Item = &Path> {
    let after = |mark| argument.split_once(mark).map(|(_, rest)| rest);
    let of_option = argument.strip_prefix('-').filter(|option| !option.starts_with('-'));
    let of_option = of_option.and_then(|option| option.get(1..)).filter(|rest| !rest.is_empty());
    [Some(argument), after('='), after('@'), of_option].into_iter().flatten().map(Path::new)
}

fn shown(path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        anyhow!("`{}` is not UTF-8 and cannot be shown to a reviewer", path.display())
    })
}
