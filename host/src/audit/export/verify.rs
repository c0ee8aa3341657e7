//! Verifies an export, in one pass and with bounded memory.

use std::io::{BufRead, Read};

use super::write::covers;
use super::{ExportError, FORMAT, Footer, Header, KIND, LINE_BYTES_MAX, entry_flaw, read_line};
use crate::log_key::{LogKey, origin};
use signoff_core::log::checkpoint::{self, Checkpoint};
use signoff_core::log::tree::{Frontier, Hash, leaf};

/// Entries between two progress reports.
const PROGRESS_ENTRIES: u64 = 1 << 14;

/// What an export is verified against.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Trusted keys, one of which must have signed the checkpoint. Without any, only the file's own
    /// consistency is verified, which anyone who can write the file can forge.
    pub trusted: Vec<LogKey>,
    /// A checkpoint saved earlier: the log must begin with the entries it covers. Only this detects
    /// a log that was rolled back to an older state, which is signed too.
    pub saved: Option<Checkpoint>,
}

/// The result of verifying an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The deployment's name.
    pub audience: String,
    /// The number of entries.
    pub entries: u64,
    /// The root of the tree over them.
    pub root: Hash,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The checkpoint that covers them, if there is one.
    pub checkpoint: Option<Checkpoint>,
    /// The trusted key that signed it; `None` if no key was trusted.
    pub signer: Option<LogKey>,
}

/// Verifies an export. Calls `progress` every few thousand entries with the number of entries done.
///
/// # Errors
///
/// The first problem, in this order: the header, each line, the end, the checkpoint's form and
/// signature, its origin, size and root; then origin, size and root of the saved checkpoint.
pub fn verify(
    file: impl BufRead,
    expected: &Expected,
    mut progress: impl FnMut(u64),
) -> Result<Report, ExportError> {
    let mut lines = Lines { file, line: Vec::new(), number: 0, bytes: 0 };
    let header = header(lines.next()?)?;
    let mut tree = Frontier::new();
    let saved_size = expected.saved.as_ref().map(|saved| saved.size);
    let mut saved_root = (saved_size == Some(0)).then(|| tree.root());
    while tree.size() < header.entries {
        tree.add(leaf(entry(&mut lines, &tree, &header)?));
        if saved_size == Some(tree.size()) {
            saved_root = Some(tree.root());
        }
        if tree.size().is_multiple_of(PROGRESS_ENTRIES) {
            progress(tree.size());
        }
    }
    let log = origin(&header.audience);
    let note = footer(&mut lines)?.checkpoint;
    let (checkpoint, signer) = vouched(note.as_deref(), &expected.trusted)?;
    if let Some(checkpoint) = &checkpoint {
        covers(checkpoint, &log, &tree)?;
    }
    if let Some(saved) = &expected.saved {
        extends(saved, saved_root, log, tree.size())?;
    }
    let (entries, root) = (tree.size(), tree.root());
    Ok(Report { audience: header.audience, entries, root, bytes: lines.bytes, checkpoint, signer })
}

fn header(line: Option<&[u8]>) -> Result<Header, ExportError> {
    let header: Option<Header> = line.and_then(read_line);
    let is_ours = |header: &Header| header.format == FORMAT && header.kind == KIND;
    header.filter(is_ours).ok_or(ExportError::Header)
}

/// Returns the text of the next entry.
fn entry<'a>(
    lines: &'a mut Lines<impl BufRead>,
    tree: &Frontier,
    header: &Header,
) -> Result<&'a [u8], ExportError> {
    let ended = ExportError::Ended { found: tree.size(), entries: header.entries };
    let line = lines.number + 1;
    match lines.next()? {
        None => Err(ended),
        // No entry begins like this, and the error is more specific than an unexpected root.
        Some(text) if text.starts_with(b"{\"checkpoint\":") => Err(ended),
        Some(text) => match entry_flaw(text) {
            Some(why) => Err(ExportError::Line { line, why }),
            None => Ok(text),
        },
    }
}

/// Reads the last line, and checks that nothing follows.
fn footer(lines: &mut Lines<impl BufRead>) -> Result<Footer, ExportError> {
    let wrong = |line, why| ExportError::Line { line, why };
    let line = lines.number + 1;
    let footer = lines.next()?.ok_or(wrong(line, "is missing: the line of the checkpoint"))?;
    let footer = read_line(footer).ok_or(wrong(line, "is not the line of the checkpoint"))?;
    match lines.next()? {
        None => Ok(footer),
        Some(_) => Err(wrong(line + 1, "is after the end")),
    }
}

/// Returns the checkpoint, and the trusted key that signed it.
fn vouched(
    note: Option<&str>,
    trusted: &[LogKey],
) -> Result<(Option<Checkpoint>, Option<LogKey>), ExportError> {
    match (note, trusted) {
        (None, []) => Ok((None, None)),
        (None, _) => Err(ExportError::Unsigned),
        (Some(note), []) => Ok((Some(Checkpoint::unverified(note)?), None)),
        (Some(note), trusted) => {
            let opened = checkpoint::open(note, trusted)?;
            Ok((Some(opened.checkpoint), Some(opened.signer)))
        }
    }
}

/// Checks that a log begins with the entries that a saved checkpoint covers.
fn extends(
    saved: &Checkpoint,
    root_then: Option<Hash>,
    log: String,
    entries: u64,
) -> Result<(), ExportError> {
    if saved.origin != log {
        return Err(ExportError::SavedOrigin { log, saved: saved.origin.clone() });
    }
    match root_then {
        None => Err(ExportError::Shorter { entries, saved: saved.size }),
        Some(root) if root == saved.root => Ok(()),
        Some(_) => Err(ExportError::Rewritten(saved.size)),
    }
}

/// Lines of a file, none longer than [`LINE_BYTES_MAX`].
struct Lines<R> {
    file: R,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    /// Returns the next line without its line feed.
    fn next(&mut self) -> Result<Option<&[u8]>, ExportError> {
        self.line.clear();
        let most = LINE_BYTES_MAX as u64 + 1;
        let read = self.file.by_ref().take(most).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += read as u64;
        let wrong = |why| ExportError::Line { line: self.number, why };
        match self.line.split_last() {
            Some((b'\n', line)) => Ok(Some(line)),
            _ if read as u64 == most => Err(wrong("is longer than 256 KiB")),
            _ => Err(wrong("is cut off: it does not end with a line feed")),
        }
    }
}
