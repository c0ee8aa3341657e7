//! The exported log: a file of JSON lines that can be verified without a server.
//!
//! ```text
//! {"format":1,"kind":"signoff-audit","audience":"default","entries":2}
//! {…entry 1, byte for byte as it is stored…}
//! {…entry 2…}
//! {"checkpoint":"signoff/default\n2\n…"}
//! ```
//!
//! The first and the last line have a single valid spelling, every entry is one line, and every
//! line ends with a line feed: of two files that differ in a byte, at most one verifies against a
//! checkpoint. The checkpoint covers exactly the entries in the file; it is `null` if no key signs
//! the log.

mod verify;
mod write;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use verify::{Expected, Report, verify};
pub use write::Writer;

use signoff_core::log::checkpoint::CheckpointError;

/// Maximum length of a line, without its line feed. The longest entry is a report of 256 decisions
/// with the longest names, about 350 KiB; a checkpoint has at most 128 KiB, and escaping doubles at
/// most its line feeds and quotation marks.
pub const LINE_BYTES_MAX: usize = 1 << 20;
const FORMAT: u32 = 1;
const KIND: &str = "signoff-audit";

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    kind: String,
    audience: String,
    entries: u64,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    // Required, but may be `null`.
    #[serde(deserialize_with = "Option::deserialize")]
    checkpoint: Option<String>,
}

/// The first problem of an exported log.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The first line is not a header written by this version.
    #[error("line 1 is not the header of an exported audit log of format 1")]
    Header,
    /// A line is malformed or unexpected.
    #[error("line {line} {why}")]
    Line {
        /// Its number in the file; the first is 1.
        line: u64,
        /// The reason.
        why: &'static str,
    },
    /// There are fewer entries than the header says.
    #[error("the log ends after {found} of the {entries} entries in its header")]
    Ended {
        /// The number of entries found.
        found: u64,
        /// The number of entries in the header.
        entries: u64,
    },
    /// The checkpoint is malformed, or no trusted key signed it.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// There are trusted keys, but no checkpoint.
    #[error("the log has no checkpoint, so no trusted key authenticates it")]
    Unsigned,
    /// The checkpoint is from another log.
    #[error("the log is called `{log}`, its checkpoint `{checkpoint}`")]
    Origin {
        /// The log name derived from the header's audience.
        log: String,
        /// The name in the checkpoint.
        checkpoint: String,
    },
    /// The checkpoint covers another number of entries.
    #[error("the log has {entries} entries, its checkpoint covers {checkpoint}")]
    Size {
        /// The number of entries in the file.
        entries: u64,
        /// The number of entries that the checkpoint covers.
        checkpoint: u64,
    },
    /// The entries are not those that the checkpoint covers.
    #[error("the entries are not those that the checkpoint of size {0} covers")]
    Root(u64),
    /// The saved checkpoint is from another log.
    #[error("the log is called `{log}`, the saved checkpoint `{saved}`")]
    SavedOrigin {
        /// The log name derived from the header's audience.
        log: String,
        /// The name in the saved checkpoint.
        saved: String,
    },
    /// The log is shorter than the saved checkpoint.
    #[error("the log has {entries} entries, fewer than the {saved} of the saved checkpoint")]
    Shorter {
        /// The number of entries in the file.
        entries: u64,
        /// The number of entries that the saved checkpoint covers.
        saved: u64,
    },
    /// The log does not begin with the entries of the saved checkpoint.
    #[error("the log does not extend the saved checkpoint: its first {0} entries differ")]
    Rewritten(u64),
}

/// Serializes a first or last line in its only valid spelling.
fn line(value: &impl Serialize) -> Result<String, std::io::Error> {
    Ok(serde_json::to_string(value)?)
}

/// Parses a line written by [`line`]; `None` for any other spelling.
fn read_line<'a, T: Serialize + Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    let value: T = serde_json::from_slice(text).ok()?;
    line(&value).is_ok_and(|written| written.as_bytes() == text).then_some(value)
}

/// Returns why bytes cannot be an entry, if they cannot: an entry is an object on one line. Its
/// content is verified by the root.
fn entry_flaw(text: &[u8]) -> Option<&'static str> {
    let is_object = matches!(text, [b'{', .., b'}']);
    if text.len() > LINE_BYTES_MAX {
        Some("is longer than 256 KiB")
    } else if !is_object || text.contains(&b'\n') {
        Some("is not an entry: expected a JSON object on one line")
    } else if std::str::from_utf8(text).is_err() {
        Some("is not UTF-8")
    } else {
        None
    }
}
