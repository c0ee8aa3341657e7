//! Signed notes (C2SP `signed-note`): a text, an empty line, and lines of signatures.

use std::fmt;

use super::key::{LogKey, is_name};
use crate::base64;

/// The longest note that is read: a checkpoint and sixteen signatures, of which the largest kind has
/// 5 kB.
pub const NOTE_BYTES_MAX: usize = 128 << 10;
/// What a line with a signature begins with.
const DASH: &str = "\u{2014} ";

/// Why a note is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// It is longer than [`NOTE_BYTES_MAX`].
    TooLong,
    /// It is not of a signed note's form.
    Form(&'static str),
    /// A signature that names a trusted key is not that key's.
    BadSignature(String),
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("it is longer than 128 KiB"),
            Self::Form(why) => write!(f, "it is no signed note: {why}"),
            Self::BadSignature(name) => {
                write!(f, "the signature of `{name}` is not by the trusted key of that name")
            }
        }
    }
}

impl std::error::Error for NoteError {}

/// A note that was read; nothing of it is verified yet.
pub struct Note<'a> {
    /// The signed text, its last line feed included.
    pub text: &'a str,
    signatures: Vec<Signature<'a>>,
}

struct Signature<'a> {
    name: &'a str,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// Returns a text with the signature that a key made over it, as a note. The text ends with a line
/// feed.
pub fn signed(text: &str, key: &LogKey, signature: &[u8; 64]) -> String {
    let line = [key.id().as_slice(), signature].concat();
    format!("{text}\n{DASH}{} {}\n", key.name(), base64::encode(&line))
}

/// The text of a note that a trusted key signed; `None` for any other.
pub fn open<'a>(note: &'a str, trusted: &[LogKey]) -> Option<&'a str> {
    let note = Note::read(note).ok()?;
    let is_signed = note.signers(trusted).is_ok_and(|signers| !signers.is_empty());
    is_signed.then_some(note.text)
}

impl<'a> Note<'a> {
    /// Takes a note apart.
    pub fn read(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::Form("it has a control character"));
        }
        let lines = note.strip_suffix('\n').ok_or(NoteError::Form("its last line does not end"))?;
        let (text, signatures) =
            lines.rsplit_once("\n\n").ok_or(NoteError::Form("no empty line ends its text"))?;
        let text = note.get(..=text.len()).unwrap_or(text);
        let signatures = signatures.split('\n').map(signature).collect::<Option<_>>();
        let signatures = signatures.ok_or(NoteError::Form("a line is no signature"))?;
        Ok(Self { text, signatures })
    }

    /// The trusted keys that signed it. Signatures of other keys are passed over.
    pub fn signers<'k>(&self, trusted: &'k [LogKey]) -> Result<Vec<&'k LogKey>, NoteError> {
        let mut signers = Vec::new();
        for signature in &self.signatures {
            let is_named = |key: &&LogKey| key.name() == signature.name && key.id() == signature.id;
            let mut named = trusted.iter().filter(is_named).peekable();
            if named.peek().is_none() {
                continue;
            }
            match named.find(|key| key.verifies(self.text, &signature.bytes)) {
                Some(key) => signers.push(key),
                None => return Err(NoteError::BadSignature(signature.name.to_owned())),
            }
        }
        Ok(signers)
    }
}

/// A line of a signature: em dash, name, base64 of the key's id and the signature.
fn signature(line: &str) -> Option<Signature<'_>> {
    let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let decoded = base64::decode(encoded)?;
    let (id, bytes) = decoded.split_first_chunk::<4>()?;
    let is_sound = is_name(name) && !bytes.is_empty();
    is_sound.then(|| Signature { name, id: *id, bytes: bytes.to_vec() })
}
