//! What a tool would change in a file: the file as it is, with its digest, and a unified diff.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use signoff_core::deceptive::in_one_line;
use similar::TextDiff;
use unicode_normalization::is_nfc;

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
/// The path is not one that every tool takes as it is; the file cannot be read, is not a regular file, or
/// is too large to be shown.
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
    check_path(&path)?;
    let (real, old) = read(&event.folder.join(&path))?;
    members.insert("file".to_owned(), described(&real, old.as_deref()));
    let new = match std::str::from_utf8(old.as_deref().unwrap_or_default()) {
        Err(_) => Err("the file is not UTF-8"),
        // A tool may work on other line ends than those of the file. `input` has the texts.
        Ok(old) if old.contains('\r') => Err("the file has CRLF line ends"),
        Ok(old) => match kind {
            "Write" => text(input, names.content).ok_or("the input has no content"),
            "Edit" => replacement(input, &names)
                .ok_or("the input is not an edit")
                .and_then(|one| replaced(old, &one, harness)),
            _ => input
                .get("edits")
                .and_then(Value::as_array)
                .ok_or("the input is not a list of edits")
                .and_then(|edits| {
                    edits.iter().try_fold(old.to_owned(), |text, edit| {
                        let one = replacement(edit, &names).ok_or("an item is not an edit")?;
                        replaced(&text, &one, harness)
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

/// Checks that a path is the same to this process and to the tool, which can trim it, expand `~` in it
/// and normalize it.
fn check_path(path: &str) -> Result<()> {
    let mut components = path.split('/').enumerate();
    let is_plain =
        components.all(|(at, name)| !matches!(name, "." | "..") && (at == 0 || !name.is_empty()));
    let is_blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    ensure!(
        is_plain
            && !path.is_empty()
            && !path.starts_with('~')
            && !path.starts_with(is_blank)
            && !path.ends_with(is_blank)
            && !path.contains('\0')
            && is_nfc(path),
        "the path `{}` can mean another file to the tool: give the absolute path, without `~`, `.`, `..` and blanks around it, in NFC",
        in_one_line(path)
    );
    Ok(())
}

/// Reads the file that a path leads to. Returns its real path, and its bytes if there is one.
fn read(path: &Path) -> Result<(PathBuf, Option<Vec<u8>>)> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok((future(path)?, None)),
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

/// Returns the real path of a file that does not exist yet. The tool may create its folders, too.
fn future(path: &Path) -> Result<PathBuf> {
    for ancestor in path.ancestors() {
        let cannot = || format!("cannot read `{}`", ancestor.display());
        match ancestor.canonicalize() {
            Ok(real) => return Ok(real.join(path.strip_prefix(ancestor)?)),
            Err(e) if e.kind() == ErrorKind::NotFound => ensure!(
                ancestor.symlink_metadata().is_err(),
                "`{}` is a link that leads nowhere",
                ancestor.display()
            ),
            Err(e) => return Err(e).with_context(cannot),
        }
    }
    bail!("no folder of `{}` exists", path.display())
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
fn replaced(text: &str, one: &Replacement<'_>, harness: Harness) -> Result<String, &'static str> {
    if one.old.is_empty() {
        return if text.is_empty() {
            Ok(one.new.to_owned())
        } else {
            Err("the text to replace is empty, and the file is not")
        };
    }
    match text.matches(one.old).count() {
        0 => return Err("the text to replace is not in the file as it is"),
        2.. if !one.all => return Err("the text to replace is in the file more than once"),
        _ => {}
    }
    let line = format!("{}\n", one.old);
    // Claude Code removes the end of a line with it, and then nothing else.
    let removes_lines = harness == Harness::Claude
        && one.new.is_empty()
        && !one.old.ends_with('\n')
        && text.contains(&line);
    let old = if removes_lines { &line } else { one.old };
    Ok(match one.all {
        true => text.replace(old, one.new),
        false => text.replacen(old, one.new, 1),
    })
}

fn diff(path: &str, old: &str, new: &str) -> Result<String> {
    let lines = old.lines().count() + new.lines().count();
    if lines > LINES_MAX {
        bail!("`{path}` has too many lines, so its change cannot be shown to an approver");
    }
    let path = in_one_line(path);
    Ok(TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(RADIUS)
        .header(&format!("{path} (now)"), &format!("{path} (after)"))
        .to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::cli::hook::event::parse;

    fn described_in(folder: &Path, tool: &str, input: &Value) -> Result<Map<String, Value>> {
        let text = json!({
            "session_id": "s", "cwd": folder, "hook_event_name": "PreToolUse", "tool_name": tool,
            "tool_input": input, "tool_use_id": "t",
        });
        let event = parse(&text.to_string(), Harness::Claude, None).unwrap();
        describe(&event, Harness::Claude, input)
    }

    #[test]
    fn a_path_that_the_tool_changes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            described_in(folder.path(), "Write", &json!({ "file_path": path, "content": "x" }))
        };
        for path in [
            "",
            " ",
            " a",
            "a ",
            "a\n",
            "\u{a0}a",
            "a\u{feff}",
            "~/a",
            "~",
            "~x",
            "./a",
            "../a",
            "a/../b",
            "/tmp/./a",
            "a/.",
            "a//b",
            "//tmp/a",
            "a/",
            "e\u{301}",
            "a\0b",
        ] {
            assert!(write(path).is_err(), "{path:?}");
        }
        for path in ["a", "/tmp/a b", "a/.b", "a/..b", "\u{e9}", "a~"] {
            assert!(write(path).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn a_new_file_behind_a_link_has_its_real_path() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("real")).unwrap();
        symlink(root.join("real"), root.join("link")).unwrap();
        symlink(root.join("none"), root.join("dangling")).unwrap();
        let write = |path: &str| {
            described_in(&root, "Write", &json!({ "file_path": path, "content": "x" }))
                .map(|it| it.get("file").unwrap().get("path").unwrap().as_str().unwrap().to_owned())
        };
        let real = |path: &str| root.join(path).to_str().unwrap().to_owned();
        assert_eq!(write("link/a").unwrap(), real("real/a"));
        assert_eq!(write("link/b/c/d").unwrap(), real("real/b/c/d"));
        assert_eq!(write("e/f").unwrap(), real("e/f"));
        assert!(write("dangling").is_err());
        assert!(write("dangling/a/b").is_err());
    }

    #[test]
    fn an_edit_without_a_new_text_removes_the_end_of_the_line() {
        let edit = |text: &str, old: &str, new: &str, all: bool| {
            replaced(text, &Replacement { old, new, all }, Harness::Claude)
        };
        assert_eq!(edit("a\nb\nc\n", "b", "", false).unwrap(), "a\nc\n");
        assert_eq!(edit("a\nb\nc\n", "b\n", "", false).unwrap(), "a\nc\n");
        assert_eq!(edit("xb xb\nxb", "xb", "", true).unwrap(), "xb xb");
        assert_eq!(edit("a b c", "b", "", false).unwrap(), "a  c");
        assert_eq!(edit("a\nb\n", "b", "d", false).unwrap(), "a\nd\n");
        assert!(edit("b\nb", "b", "", false).is_err());
        let copilot = Replacement { old: "b", new: "", all: false };
        assert_eq!(replaced("a\nb\nc", &copilot, Harness::Copilot).unwrap(), "a\n\nc");
    }

    #[test]
    fn the_line_ends_of_another_system_are_not_guessed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "a\r\nb\r\n").unwrap();
        for (tool, input) in [
            ("Edit", json!({ "file_path": "a", "old_string": "a", "new_string": "c" })),
            ("Write", json!({ "file_path": "a", "content": "a\nb\n" })),
        ] {
            let members = described_in(folder.path(), tool, &input).unwrap();
            assert_eq!(members.get("no_diff"), Some(&json!("the file has CRLF line ends")));
            assert!(members.get("diff").is_none());
        }
    }
}
