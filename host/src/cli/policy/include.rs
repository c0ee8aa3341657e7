//! Reads a rules file together with the files that it includes, as one text that the rules engine loads
//! and that a built module contains.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::policy::{Include, Problem, Problems, RulesError, RulesRuntime, Severity};

/// The limit of a rules file with all that it includes.
const BYTES_MAX: u64 = 1 << 20;
/// The character that separates files in the text.
const SEPARATOR: char = '\u{1e}';

/// Appends the files that the text of a rules file includes. A text that has them already, as a module
/// contains it, is returned as it is.
///
/// # Errors
///
/// A problem for each file that cannot be included, at its name in the rules file.
pub(super) fn resolved(
    path: &str,
    text: String,
    runtime: &mut RulesRuntime,
) -> Result<String, RulesError> {
    if !text.contains("include") || text.contains(SEPARATOR) {
        return Ok(text);
    }
    let mut files = Vec::new();
    let mut problems = Vec::new();
    for include in runtime.includes(&text)? {
        match read(path, &include.path) {
            Ok(body) => files.push((include.path, body)),
            Err(why) => problems.push(problem(&text, &include, &why)),
        }
    }
    if !problems.is_empty() {
        return Err(RulesError::Problems(Problems { problems }));
    }
    let files = files.iter().map(|(path, body)| (path.as_str(), body.as_str()));
    Ok(signoff_core::authoring::joined(&text, files))
}

/// Reads an included file below the rules file's folder.
fn read(rules: &str, include: &str) -> Result<String, String> {
    if rules == "-" {
        return Err("rules from standard input have no folder to include files from".to_owned());
    }
    let folder =
        folder(rules).canonicalize().map_err(|e| format!("the folder of the rules: {e}"))?;
    let target = folder.join(include).canonicalize().map_err(|e| e.to_string())?;
    if !target.starts_with(&folder) {
        return Err("it is a symbolic link out of the folder of the rules file".to_owned());
    }
    if !target.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(&target).map_err(|e| e.to_string())?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > BYTES_MAX) {
        return Err(format!("it is larger than {BYTES_MAX} bytes"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|e| format!("not UTF-8 at byte {}", e.utf8_error().valid_up_to()))?;
    if text.contains(SEPARATOR) {
        return Err("it has the control character U+001E".to_owned());
    }
    Ok(text)
}

fn folder(rules: &str) -> PathBuf {
    match Path::new(rules).parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Returns the path of an included file for messages: beside the rules file.
pub(super) fn shown(rules: &str, include: &str) -> String {
    match Path::new(rules).parent() {
        Some(folder) if folder != Path::new("") && rules != "-" => {
            folder.join(include).display().to_string()
        }
        _ => include.to_owned(),
    }
}

fn problem(text: &str, include: &Include, why: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        file: None,
        rule: None,
        line: include.line,
        column: include.column,
        message: format!("`{}` cannot be included: {why}", include.path),
        source: text.lines().nth(include.line.saturating_sub(1)).unwrap_or_default().to_owned(),
    }
}
