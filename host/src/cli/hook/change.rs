//! What a tool would change in a file: the file as it is, with its digest, and a unified diff.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use similar::TextDiff;

use super::event::{Event, Harness};

/// Largest file that is compared: a context is at most 1 MiB.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most lines of both texts, because the time of a comparison grows with their product.
const LINES_MAX: usize = 40_000;
/// Lines around a change.
const RADIUS: usize = 3;

/// The names of a tool's members.
struct Names {
    path: &'static str,
    content: &'static str,
    old: &'static str,
    new: &'static str,
}

const CLAUDE: Names =
    Names { path: "file_path", content: "content", old: "old_string", new: "new_string" };
const COPILOT: Names = Names { path: "path", content: "file_text", old: "old_str", new: "new_str" };

/// One replacement of an edit.
struct Replacement<'a> {
    old: &'a str,
    new: &'a str,
    all: bool,
}

/// Describes the change of a tool that writes a file; nothing for another tool.
///
/// # Errors
///
/// The file cannot be read, is not a regular file, or is too large to be shown.
pub(super) fn describe(
    event: &Event,
    harness: Harness,
    input: &Value,
) -> Result<Map<String, Value>> {
    let mut members = Map::new();
    let kind = match (harness, event.tool.as_str()) {
        (Harness::Claude, "Write" | "Edit" | "MultiEdit") => event.tool.as_str(),
        (Harness::Copilot, "create" | "Write") => "Write",
        (Harness::Copilot, "edit" | "Edit") => "Edit",
        _ => return Ok(members),
    };
    let names = if harness == Harness::Copilot { COPILOT } else { CLAUDE };
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some(path) = text(input, names.path) else {
        members.insert("no_diff".to_owned(), format!("the input has no `{}`", names.path).into());
        return Ok(members);
    };
    let (real, old) = read(&event.folder.join(&path))?;
    members.insert("file".to_owned(), described(&real, old.as_deref()));
    let new = match std::str::from_utf8(old.as_deref().unwrap_or_default()) {
        Err(_) => Err("the file is not UTF-8"),
        Ok(old) => match kind {
            "Write" => text(input, names.content).ok_or("the input has no content"),
            "Edit" => replacement(input, &names)
                .ok_or("the input is not an edit")
                .and_then(|one| replaced(old, &one)),
            _ => input
                .get("edits")
                .and_then(Value::as_array)
                .ok_or("the input is not a list of edits")
                .and_then(|edits| {
                    edits.iter().try_fold(old.to_owned(), |text, edit| {
                        let one = replacement(edit, &names).ok_or("an item is not an edit")?;
                        replaced(&text, &one)
                    })
                }),
        },
    };
    match new {
        Ok(new) => {
            let old = String::from_utf8(old.unwrap_or_default())?;
            members.insert("diff".to_owned(), diff(&path, &old, &new)?.into());
        }
        Err(why) => {
            members.insert("no_diff".to_owned(), why.into());
        }
    }
    Ok(members)
}

/// Reads the file that a path leads to. Returns its real path, and its bytes if there is one.
fn read(path: &Path) -> Result<(PathBuf, Option<Vec<u8>>)> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            ensure!(
                path.symlink_metadata().is_err(),
                "`{}` is a link that leads nowhere",
                path.display()
            );
            let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
            let real = match (folder, path.file_name()) {
                (Some(folder), Some(name)) => folder.join(name),
                // The tool may create the folders, too.
                _ => path.to_owned(),
            };
            return Ok((real, None));
        }
        Err(e) => return Err(e).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let cannot = || format!("cannot read `{}`", real.display());
    // A pipe in its place must not hold this process up.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(&real).with_context(cannot)?;
    ensure!(file.metadata()?.is_file(), "`{}` is not a regular file", real.display());
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(cannot)?;
    ensure!(
        bytes.len() as u64 <= FILE_BYTES_MAX,
        "`{}` is larger than {FILE_BYTES_MAX} bytes, so its change cannot be shown to an approver",
        real.display()
    );
    Ok((real, Some(bytes)))
}

/// Describes a file; the digest is null if there is none.
fn described(real: &Path, bytes: Option<&[u8]>) -> Value {
    let digest = bytes.map(|bytes| hex::encode(Sha256::digest(bytes)));
    json!({ "path": real.to_string_lossy(), "sha256": digest })
}

fn replacement<'a>(edit: &'a Value, names: &Names) -> Option<Replacement<'a>> {
    Some(Replacement {
        old: edit.get(names.old)?.as_str()?,
        new: edit.get(names.new)?.as_str()?,
        all: edit.get("replace_all").and_then(Value::as_bool).unwrap_or(false),
    })
}

/// Returns a text after a replacement, if exact words say what it is.
fn replaced(text: &str, one: &Replacement<'_>) -> Result<String, &'static str> {
    if one.old.is_empty() {
        return if text.is_empty() {
            Ok(one.new.to_owned())
        } else {
            Err("the text to replace is empty, and the file is not")
        };
    }
    match text.matches(one.old).count() {
        0 => Err("the text to replace is not in the file as it is"),
        2.. if !one.all => Err("the text to replace is in the file more than once"),
        _ => Ok(text.replace(one.old, one.new)),
    }
}

fn diff(path: &str, old: &str, new: &str) -> Result<String> {
    let lines = old.lines().count() + new.lines().count();
    if lines > LINES_MAX {
        bail!("`{path}` has too many lines, so its change cannot be shown to an approver");
    }
    let path = signoff_core::deceptive::in_one_line(path);
    Ok(TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(RADIUS)
        .header(&format!("{path} (now)"), &format!("{path} (after)"))
        .to_string())
}
