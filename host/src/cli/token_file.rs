//! A token in a file, as service managers and orchestrators hand out credentials.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::anyhow;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::exit::Failure;
use super::output::note;
use crate::folder::is_mine_or_roots;

/// Maximum size of the file.
const BYTES_MAX: u64 = 4 << 10;

/// Reads a token. Blanks and line feeds around it are not part of it.
///
/// The file may be readable by others, with a note: orchestrators mount credentials that way into
/// places that only one service reaches. Nobody else may be able to write it: the token decides in
/// whose name a command acts.
///
/// Errors, in this order: it cannot be opened, is not a regular file, belongs to another user or can
/// be written by others, is too large, is not text, is empty or has blanks inside.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let wrong = |why: String| Failure::Failed(anyhow!("token file `{shown}`: {why}"));
    // Opening a pipe must not block.
    let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(without_waiting).open(path);
    let file = file.map_err(|e| wrong(e.to_string()))?;
    let meta = file.metadata().map_err(|e| wrong(e.to_string()))?;
    if !meta.is_file() {
        return Err(wrong("it is not a file".to_owned()));
    }
    if !is_mine_or_roots(&meta) || meta.mode() & 0o022 != 0 {
        return Err(wrong(
            "others can change it: make it yours, and run `chmod 600` on it".to_owned(),
        ));
    }
    if meta.mode() & 0o044 != 0 {
        note(&format!("token file `{shown}` can be read by others: run `chmod 600` on it"));
    }
    let mut text = Zeroizing::new(String::new());
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut text);
    let read = read.map_err(|_| wrong("it is not text".to_owned()))?;
    if read as u64 > BYTES_MAX {
        return Err(wrong(format!("it is larger than {BYTES_MAX} bytes")));
    }
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(wrong("expected one token and nothing else".to_owned()));
    }
    Ok(token.to_owned())
}
