//! Checking an export, in one pass and in bounded memory.

use std::io::{BufRead, Read};

use super::super::checkpoint::{self, Checkpoint};
use super::super::log_key::{LogKey, origin};
use super::super::tree::{Frontier, Hash, leaf};
use super::write::covers;
use super::{ExportError, FORMAT, Footer, Header, KIND, LINE_BYTES_MAX, entry_flaw, read_line};

/// How many entries lie between two reports of progress.
const PROGRESS_ENTRIES: u64 = 1 << 14;

/// What an export is held against.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Keys of which one must have signed the checkpoint. With none, the file is only held against
    /// itself: whoever can write it can make it so.
    pub trusted: Vec<LogKey>,
    /// A checkpoint that was seen before: the log must begin with what it covers. Only this finds a
    /// log that was cut back to an older state, which is signed too.
    pub saved: Option<Checkpoint>,
}

/// What an export turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The deployment's name.
    pub audience: String,
    /// How many entries there are.
    pub entries: u64,
    /// The root of the tree over them.
    pub root: Hash,
    /// Bytes of the file.
    pub bytes: u64,
    /// The checkpoint that covers them, where there is one.
    pub checkpoint: Option<Checkpoint>,
    /// The trusted key that signed it; none if no key was trusted.
    pub signer: Option<LogKey>,
}

/// Checks an export; `progress` hears now and then how many entries are done.
///
/// # Errors
///
/// The first thing wrong. In this order: the header, each line, the end, the checkpoint's form and
/// signature, its origin, size and root; then the same of the saved checkpoint.
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

/// The next entry's text.
fn entry<'a>(
    lines: &'a mut Lines<impl BufRead>,
    tree: &Frontier,
    header: &Header,
) -> Result<&'a [u8], ExportError> {
    let ended = ExportError::Ended { found: tree.size(), entries: header.entries };
    let line = lines.number + 1;
    match lines.next()? {
        None => Err(ended),
        // No entry begins so, and it says more than an unexpected root would.
        Some(text) if text.starts_with(b"{\"checkpoint\":") => Err(ended),
        Some(text) => match entry_flaw(text) {
            Some(why) => Err(ExportError::Line { line, why }),
            None => Ok(text),
        },
    }
}

/// The last line, and nothing after it.
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

/// The checkpoint, and the trusted key that signed it.
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

/// Whether a log begins with what a saved checkpoint covers.
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
    /// The next line without its line feed.
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
