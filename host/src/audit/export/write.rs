//! Writes an export, entry by entry.

use std::io::Write;

use super::{ExportError, FORMAT, Footer, Header, KIND, entry_flaw, line};
use crate::log_key::origin;
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::tree::{Frontier, leaf};

/// Writes an export. It hashes the entries, so that it never finishes a file that does not verify
/// against its own checkpoint.
///
/// ```
/// # use signoff::audit::export::{Expected, Writer, verify};
/// let mut writer = Writer::new(Vec::new(), "default", 1)?;
/// writer.entry(r#"{"format":1,"event":"approval_requested"}"#)?;
/// let file = writer.finish(None)?;
/// let report = verify(file.as_slice(), &Expected::default(), |_| {})?;
/// assert_eq!((report.entries, report.signer), (1, None));
/// # Ok::<(), signoff::audit::export::ExportError>(())
/// ```
pub struct Writer<W> {
    out: W,
    origin: String,
    entries: u64,
    tree: Frontier,
}

impl<W: Write> Writer<W> {
    /// Begins an export of the first `entries` entries.
    ///
    /// # Errors
    ///
    /// [`ExportError::File`].
    pub fn new(mut out: W, audience: &str, entries: u64) -> Result<Self, ExportError> {
        let header = Header {
            format: FORMAT,
            kind: KIND.to_owned(),
            audience: audience.to_owned(),
            entries,
        };
        writeln!(out, "{}", line(&header)?)?;
        Ok(Self { out, origin: origin(audience), entries, tree: Frontier::new() })
    }

    /// Returns the number of entries written.
    pub fn written(&self) -> u64 {
        self.tree.size()
    }

    /// Writes the next entry, byte for byte as stored.
    ///
    /// # Errors
    ///
    /// [`ExportError::Line`] if the text cannot be an entry, or there are too many;
    /// [`ExportError::File`].
    pub fn entry(&mut self, text: &str) -> Result<(), ExportError> {
        let line = self.written() + 2;
        if self.written() == self.entries {
            return Err(ExportError::Line { line, why: "is one entry more than the header says" });
        }
        if let Some(why) = entry_flaw(text.as_bytes()) {
            return Err(ExportError::Line { line, why });
        }
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")?;
        self.tree.add(leaf(text.as_bytes()));
        Ok(())
    }

    /// Ends the export with the checkpoint that covers it. Returns the underlying writer.
    ///
    /// # Errors
    ///
    /// [`ExportError::Ended`], [`ExportError::Checkpoint`], [`ExportError::Origin`],
    /// [`ExportError::Size`], [`ExportError::Root`] if the checkpoint does not cover exactly the
    /// written entries; [`ExportError::File`].
    pub fn finish(mut self, checkpoint: Option<&str>) -> Result<W, ExportError> {
        if self.written() != self.entries {
            return Err(ExportError::Ended { found: self.written(), entries: self.entries });
        }
        if let Some(note) = checkpoint {
            covers(&Checkpoint::unverified(note)?, &self.origin, &self.tree)?;
        }
        let footer = Footer { checkpoint: checkpoint.map(str::to_owned) };
        writeln!(self.out, "{}", line(&footer)?)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Checks that a checkpoint is from this log and covers exactly these entries.
pub(super) fn covers(
    checkpoint: &Checkpoint,
    origin: &str,
    tree: &Frontier,
) -> Result<(), ExportError> {
    if checkpoint.origin != origin {
        let (log, checkpoint) = (origin.to_owned(), checkpoint.origin.clone());
        return Err(ExportError::Origin { log, checkpoint });
    }
    if checkpoint.size != tree.size() {
        return Err(ExportError::Size { entries: tree.size(), checkpoint: checkpoint.size });
    }
    if checkpoint.root == tree.root() { Ok(()) } else { Err(ExportError::Root(tree.size())) }
}
