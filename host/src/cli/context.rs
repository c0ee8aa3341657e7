//! Parses contexts and durations from the command line.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use anyhow::Context;

use super::exit::Failure;

/// Maximum bytes to read: a context is at most 1 MiB, and one more byte shows that it is too long.
const TEXT_BYTES_MAX: u64 = (1 << 20) + 1;

/// Returns a JSON text from the command line: `@FILE`, `-` for standard input, or the text itself.
pub(super) fn text(argument: &str) -> Result<String, Failure> {
    match argument.strip_prefix('@') {
        Some(path) => file(path),
        None if argument == "-" => standard_input(),
        None => Ok(argument.to_owned()),
    }
}

/// Reads a text from a file, or from standard input for `-`.
pub(super) fn file(path: &str) -> Result<String, Failure> {
    if path == "-" {
        return standard_input();
    }
    let file = File::open(Path::new(path)).with_context(|| format!("cannot read `{path}`"))?;
    read(file, path)
}

/// Parses a duration in seconds: `90`, `90s`, `30m`, `2h`, `7d`.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    let (digits, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("expected seconds, or a number with s, m, h or d".to_owned()),
    };
    let number: i64 =
        digits.parse().map_err(|_| "expected seconds, or a number with s, m, h or d".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "too long".to_owned())
}

fn standard_input() -> Result<String, Failure> {
    read(stdin().lock(), "standard input")
}

fn read(source: impl Read, name: &str) -> Result<String, Failure> {
    let mut text = String::new();
    source
        .take(TEXT_BYTES_MAX)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read `{name}`"))?;
    Ok(text)
}
