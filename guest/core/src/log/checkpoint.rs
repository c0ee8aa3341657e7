//! Checkpoints (C2SP `tlog-checkpoint`): a log's name, its number of entries and their Merkle root,
//! as a signed note.
//!
//! ```text
//! signoff/default
//! {entries}
//! {root, base64}
//!
//! — signoff/default {base64 of the 4-byte key id and the signature}
//! ```

use std::fmt;

use super::key::LogKey;
use super::note::{Note, NoteError};
use super::tree::{EMPTY_ROOT, Frontier, Hash, SIZE_MAX};
use crate::base64;

/// A log's name, size and root.
///
/// ```
/// use signoff_core::log::checkpoint::Checkpoint;
/// use signoff_core::log::tree::{Frontier, leaf};
///
/// let mut tree = Frontier::new();
/// tree.add(leaf(b"{}"));
/// let text = Checkpoint::of(&tree, "signoff/default").text();
/// assert_eq!(text.lines().take(2).collect::<Vec<_>>(), ["signoff/default", "1"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, from the first line. signoff's own logs are named by
    /// [`super::key::origin`].
    pub origin: String,
    /// Number of entries that the root covers.
    pub size: u64,
    /// The root of the tree over these entries.
    pub root: Hash,
}

/// A checkpoint that a trusted key signed, and that key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The signed checkpoint.
    pub checkpoint: Checkpoint,
    /// The first trusted signer whose name is the checkpoint's origin.
    pub signer: LogKey,
}

/// Why a checkpoint is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointError {
    /// The note is too long or malformed, or a signature that names a trusted key is invalid.
    Note(NoteError),
    /// The note's text is not a checkpoint.
    Form(&'static str),
    /// No trusted key of the log signed it.
    Untrusted(String),
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(why) => why.fmt(f),
            Self::Form(why) => write!(f, "the text is not a checkpoint: {why}"),
            Self::Untrusted(log) => write!(f, "no trusted key of `{log}` signed it"),
        }
    }
}

impl std::error::Error for CheckpointError {}

impl From<NoteError> for CheckpointError {
    fn from(why: NoteError) -> Self {
        Self::Note(why)
    }
}

impl Checkpoint {
    /// Creates the checkpoint of a tree under the log's name.
    pub fn of(tree: &Frontier, origin: &str) -> Self {
        Self { origin: origin.to_owned(), size: tree.size(), root: tree.root() }
    }

    /// Returns the text to sign: three lines.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, base64::encode(&self.root))
    }

    /// Parses a checkpoint without verifying its signatures.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Note`], [`CheckpointError::Form`].
    pub fn unverified(note: &str) -> Result<Self, CheckpointError> {
        Self::from_text(Note::read(note)?.text)
    }

    /// Parses the text of a checkpoint, without signatures.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Form`].
    pub fn from_text(text: &str) -> Result<Self, CheckpointError> {
        let wrong = CheckpointError::Form;
        let lines = text.strip_suffix('\n').ok_or(wrong("it lacks a final line feed"))?;
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(wrong("it has fewer than three lines"));
        };
        // Lines after the third are extension lines and are ignored; no line may be empty.
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(wrong("it has an empty line"));
        }
        let size = number(size).ok_or(wrong("its second line is not a size"))?;
        let root = base64::decode(root).and_then(|root| Hash::try_from(root).ok());
        let root = root.ok_or(wrong("its third line is not a root"))?;
        if size == 0 && root != EMPTY_ROOT {
            return Err(wrong("its size is 0, but its root is not that of an empty tree"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// Opens a signed checkpoint. At least one trusted key whose name is the checkpoint's origin must
/// have signed it. Signatures by unknown keys are ignored; an invalid signature that names a
/// trusted key is an error.
///
/// # Errors
///
/// [`CheckpointError`], in the order of its variants.
pub fn open(note: &str, trusted: &[LogKey]) -> Result<Opened, CheckpointError> {
    let note = Note::read(note)?;
    let signers = note.signers(trusted)?;
    let checkpoint = Checkpoint::from_text(note.text)?;
    match signers.into_iter().find(|key| key.name() == checkpoint.origin) {
        Some(signer) => Ok(Opened { signer: signer.clone(), checkpoint }),
        None => Err(CheckpointError::Untrusted(checkpoint.origin)),
    }
}

/// Parses a canonical decimal number of at most [`SIZE_MAX`].
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text && number <= SIZE_MAX).then_some(number)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::super::key::origin;
    use super::super::note::{NOTE_BYTES_MAX, signed};
    use super::super::tree::leaf;
    use super::*;

    struct LogSigner(LogKey, SigningKey);

    impl LogSigner {
        fn new(audience: &str, seed: u8) -> Self {
            let secret = SigningKey::from_bytes(&[seed; 32]);
            let public = secret.verifying_key().to_bytes();
            Self(LogKey::new(&origin(audience), &public).unwrap(), secret)
        }

        fn key(&self) -> &LogKey {
            &self.0
        }

        fn note(&self, text: &str) -> String {
            signed(text, &self.0, &self.1.sign(text.as_bytes()).to_bytes())
        }
    }

    fn signer() -> LogSigner {
        LogSigner::new("default", 7)
    }

    fn checkpoint() -> Checkpoint {
        let mut tree = Frontier::new();
        (0..20_u8).for_each(|n| tree.add(leaf(&[n])));
        Checkpoint::of(&tree, &origin("default"))
    }

    fn trusted() -> Vec<LogKey> {
        vec![signer().key().clone()]
    }

    #[test]
    fn opening_returns_the_signed_checkpoint_and_its_signer() {
        let note = signer().note(&checkpoint().text());
        let opened = open(&note, &trusted()).unwrap();
        assert_eq!(opened, Opened { checkpoint: checkpoint(), signer: signer().key().clone() });
        assert_eq!(Checkpoint::unverified(&note), Ok(checkpoint()));
    }

    /// An example from a C2SP specification. Its key is not published, so parsing and `Untrusted`
    /// are tested, not the signature.
    #[test]
    fn a_published_example_parses() {
        let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let read = Checkpoint::unverified(note).unwrap();
        assert_eq!((read.origin.as_str(), read.size), ("example.com/behind-the-sofa", 20_852_163));
        let untrusted = CheckpointError::Untrusted("example.com/behind-the-sofa".to_owned());
        assert_eq!(open(note, &trusted()), Err(untrusted));
    }

    /// Signed by Go's `golang.org/x/mod/sumdb/note`, whose documentation has this key and note.
    #[test]
    fn a_note_signed_by_go_verifies() {
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let trusted = [key.parse().unwrap()];
        assert_eq!(Note::read(note).unwrap().signers(&trusted).unwrap(), [&trusted[0]]);
    }

    #[test]
    fn a_changed_or_truncated_note_is_refused() {
        let note = signer().note(&checkpoint().text());
        for (at, was) in note.char_indices() {
            for other in ["", "A", "1", " ", "\n", "=", "\u{2014}", "\r", "+"] {
                let mut changed = note.clone();
                changed.replace_range(at..at + was.len_utf8(), other);
                assert!(changed == note || open(&changed, &trusted()).is_err(), "{changed}");
            }
        }
        for (cut, _) in note.char_indices() {
            assert!(open(&note[..cut], &trusted()).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_in_key_id_or_signature_is_refused() {
        let signed = signer().note(&checkpoint().text());
        let (head, encoded) = signed.trim_end().rsplit_once(' ').unwrap();
        let bytes = base64::decode(encoded).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let note = format!("{head} {}\n", base64::encode(&other));
            assert!(open(&note, &trusted()).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn unknown_keys_are_ignored_and_wrong_signatures_of_trusted_keys_are_errors() {
        let note = signer().note(&checkpoint().text());
        let stranger = LogSigner::new("default", 8);
        let by_stranger = stranger.note(&checkpoint().text());
        let line = by_stranger.rsplit_once("\n\n").unwrap().1;
        let both = format!("{note}{line}");
        assert_eq!(open(&both, &trusted()).unwrap().signer, *signer().key());
        assert_eq!(open(&both, &[stranger.key().clone()]).unwrap().signer, *stranger.key());
        let untrusted = CheckpointError::Untrusted("signoff/default".to_owned());
        assert_eq!(open(&by_stranger, &trusted()), Err(untrusted.clone()));
        assert_eq!(open(&by_stranger, &[]), Err(untrusted));

        // The stranger's signature under the trusted key's name and id.
        let signature = base64::decode(line.trim_end().rsplit_once(' ').unwrap().1).unwrap();
        let posing = [signer().key().id().as_slice(), &signature[4..]].concat();
        let posing = format!("— signoff/default {}\n", base64::encode(&posing));
        let bad = CheckpointError::Note(NoteError::BadSignature("signoff/default".to_owned()));
        assert_eq!(open(&format!("{note}{posing}"), &trusted()), Err(bad));
    }

    #[test]
    fn a_key_of_another_log_is_untrusted() {
        let other = LogSigner::new("staging", 9);
        let note = other.note(&checkpoint().text());
        let untrusted = CheckpointError::Untrusted("signoff/default".to_owned());
        assert_eq!(open(&note, &[other.key().clone()]), Err(untrusted));
    }

    #[test]
    fn signed_malformed_checkpoints_are_refused() {
        let root = base64::encode(&checkpoint().root);
        let empty = base64::encode(&EMPTY_ROOT);
        let origin = origin("default");
        let lines = |size: &str, root: &str| format!("{origin}\n{size}\n{root}\n");
        for (odd, why) in [
            (format!("{origin}\n20\n"), "fewer than three lines"),
            (format!("\n20\n{root}\n"), "empty line"),
            (format!("{origin}\n20\n{root}\n\nmore\n"), "empty line"),
            (lines("020", &root), "not a size"),
            (lines("+20", &root), "not a size"),
            (lines("", &root), "not a size"),
            (lines("18446744073709551616", &root), "not a size"),
            (lines("9223372036854775807", &root), "not a size"),
            (lines("20", root.trim_end_matches('=')), "not a root"),
            (lines("20", &base64::encode(&[1; 31])), "not a root"),
            (lines("20", &format!("{root} ")), "not a root"),
            (lines("0", &root), "not that of an empty tree"),
        ] {
            let error = open(&signer().note(&odd), &trusted()).unwrap_err();
            assert!(error.to_string().contains(why), "{odd:?}: {error}");
        }
        open(&signer().note(&lines("0", &empty)), &trusted()).unwrap();
        // Extension lines are signed and ignored.
        let extended = format!("{}more\n", lines("20", &root));
        let opened = open(&signer().note(&extended), &trusted()).unwrap();
        assert_eq!(opened.checkpoint, checkpoint());
    }

    #[test]
    fn an_oversized_note_is_refused() {
        let huge = "x\n".repeat(NOTE_BYTES_MAX / 2 + 1);
        let too_long = CheckpointError::Note(NoteError::TooLong);
        assert_eq!(Checkpoint::unverified(&huge), Err(too_long));
    }
}
