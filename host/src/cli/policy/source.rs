//! Reads the input of a policy command: a rules file or a module.

use std::fs::File;
use std::io::{Read, stdin};

use anyhow::{Context, anyhow};

use crate::cli::exit::Failure;
use crate::modules::{Slot, WASM_BYTES_MAX, inspect};
use crate::policy::Limits;
use crate::refusal::Refusal;

/// The template's limit, checked here before a huge file is passed to it.
const RULES_BYTES_MAX: usize = 1 << 20;

/// A rules file's text, or a module's bytes.
pub(super) enum Source {
    Rules(String),
    Module(Vec<u8>),
}

/// Reads a rules file or a module; `-` is standard input. A module is not inspected yet.
pub(super) fn either(path: &str) -> Result<Source, Failure> {
    let bytes = read(path)?;
    if bytes.starts_with(b"\0asm") {
        return Ok(Source::Module(bytes));
    }
    Ok(Source::Rules(text(path, bytes)?))
}

/// Reads a rules file or a file of tests.
pub(super) fn rules(path: &str) -> Result<String, Failure> {
    match either(path)? {
        Source::Rules(text) => Ok(text),
        Source::Module(_) => Err(Failure::Failed(anyhow!(
            "`{path}` is a module, expected a rules file; print its embedded rules with `signoff policy inspect --rules`"
        ))),
    }
}

/// Reads and inspects a module.
pub(super) fn module(path: &str, json: bool) -> Result<Vec<u8>, Failure> {
    match either(path)? {
        Source::Module(wasm) => {
            inspect_policy(path, &wasm, json)?;
            Ok(wasm)
        }
        Source::Rules(_) => Err(Failure::Failed(anyhow!(
            "`{path}` is a text, expected a module; build one from rules with `signoff policy build`"
        ))),
    }
}

/// Checks that a server would accept these bytes as a policy.
pub(super) fn inspect_policy(path: &str, wasm: &[u8], json: bool) -> Result<(), Failure> {
    inspect(wasm, Slot::Policy, Limits::default()).map(|_| ()).map_err(|refusal| {
        let refusal = Refusal::new(refusal.code, format!("`{path}`: {}", refusal.detail));
        Failure::Refused { problem: refusal.problem(), json }
    })
}

fn read(path: &str) -> Result<Vec<u8>, Failure> {
    let unreadable = || format!("cannot read `{path}`");
    if path == "-" {
        return limited(path, stdin().lock());
    }
    limited(path, File::open(path).with_context(unreadable)?)
}

fn limited(path: &str, source: impl Read) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(WASM_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    source
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read `{path}`"))?;
    if bytes.len() > WASM_BYTES_MAX {
        return Err(Failure::Failed(anyhow!(
            "`{path}` is larger than the limit of a module, {WASM_BYTES_MAX} bytes"
        )));
    }
    Ok(bytes)
}

fn text(path: &str, bytes: Vec<u8>) -> Result<String, Failure> {
    if bytes.len() > RULES_BYTES_MAX {
        return Err(Failure::Failed(anyhow!(
            "`{path}` is {} bytes, the limit of a rules file is {RULES_BYTES_MAX}",
            bytes.len()
        )));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::Failed(anyhow!(
            "`{path}` is neither a rules file nor a module: not UTF-8 at byte {at}"
        ))
    })
}
