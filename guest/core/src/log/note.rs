//! Signed notes (C2SP `signed-note`): a text, an empty line, and signature lines.

use std::fmt;

use super::key::{LogKey, is_name};
use crate::base64;

/// Maximum length of a note: room for a checkpoint and sixteen signatures, the largest kind of
/// which has 5 kB.
pub const NOTE_BYTES_MAX: usize = 128 << 10;
/// Prefix of a signature line.
const DASH: &str = "\u{2014} ";

/// Why a note is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// It is longer than [`NOTE_BYTES_MAX`].
    TooLong,
    /// It does not have the form of a signed note.
    Form(&'static str),
    /// A signature that names a trusted key was not made by that key.
    BadSignature(String),
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("it is longer than 128 KiB"),
            Self::Form(why) => write!(f, "it is not a signed note: {why}"),
            Self::BadSignature(name) => {
                write!(f, "the signature of `{name}` is not by the trusted key of that name")
            }
        }
    }
}

impl std::error::Error for NoteError {}

/// A parsed note whose signatures are not verified yet.
pub struct Note<'a> {
    /// The signed text, including its last line feed.
    pub text: &'a str,
    signatures: Vec<Signature<'a>>,
}

struct Signature<'a> {
    name: &'a str,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// Returns a note of a text and the signature that a key made over it. The text must end with a
/// line feed.
pub fn signed(text: &str, key: &LogKey, signature: &[u8; 64]) -> String {
    let line = [key.id().as_slice(), signature].concat();
    format!("{text}\n{DASH}{} {}\n", key.name(), base64::encode(&line))
}

/// Returns the text of a note that a trusted key signed; `None` for any other note.
pub fn open<'a>(note: &'a str, trusted: &[LogKey]) -> Option<&'a str> {
    let note = Note::read(note).ok()?;
    let is_signed = note.signers(trusted).is_ok_and(|signers| !signers.is_empty());
    is_signed.then_some(note.text)
}

impl<'a> Note<'a> {
    /// Parses a note.
    pub fn read(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::Form("it has a control character"));
        }
        let lines = note.strip_suffix('\n').ok_or(NoteError::Form("it lacks a final line feed"))?;
        let (text, signatures) =
            lines.rsplit_once("\n\n").ok_or(NoteError::Form("no empty line follows its text"))?;
        let text = note.get(..=text.len()).unwrap_or(text);
        let signatures = signatures.split('\n').map(signature).collect::<Option<_>>();
        let signatures = signatures.ok_or(NoteError::Form("a signature line is malformed"))?;
        Ok(Self { text, signatures })
    }

    /// Returns the trusted keys that signed the note. Signatures by other keys are ignored.
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

/// Parses a signature line: em dash, name, base64 of the key id and the signature.
fn signature(line: &str) -> Option<Signature<'_>> {
    let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let decoded = base64::decode(encoded)?;
    let (id, bytes) = decoded.split_first_chunk::<4>()?;
    let is_sound = is_name(name) && !bytes.is_empty();
    is_sound.then(|| Signature { name, id: *id, bytes: bytes.to_vec() })
}
