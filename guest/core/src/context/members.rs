//! The order of an object's members.

use std::cmp::Ordering;

use super::input::{Fault, invalid};
use super::invalid::Reason;
use super::string;

/// Maximum number of characters of a key in an error.
const KEY_SHOWN_MAX: usize = 64;

/// A member that has been parsed and written.
pub(super) struct Member<'a> {
    pub(super) key: Key<'a>,
    /// Offset of its opening quote in the input.
    pub(super) key_at: usize,
    /// Offset of the member's start in the output.
    pub(super) start: usize,
    /// Offset of its end in the output.
    pub(super) end: usize,
}

/// A member's name as the input spells it. Names are compared after decoding, by code points, whose
/// order UTF-8 preserves.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    /// The first eight decoded bytes as a number; they settle most comparisons.
    prefix: u64,
    /// The text between the quotes.
    spelled: &'a str,
    /// Whether that text has escapes.
    escaped: bool,
}

impl<'a> Key<'a> {
    /// Creates the key from the text between the quotes of a string that [`string::copy`] has
    /// accepted. `word` holds the eight bytes after its opening quote, including any after the
    /// key's end.
    #[inline]
    pub(super) fn new(spelled: &'a str, escaped: bool, word: [u8; 8]) -> Self {
        let prefix = if escaped { decoded_prefix(spelled) } else { prefix(word, spelled.len()) };
        Self { prefix, spelled, escaped }
    }

    #[inline]
    fn compare(&self, other: &Self) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| self.compare_all(other))
    }

    fn compare_all(&self, other: &Self) -> Ordering {
        if self.escaped || other.escaped {
            string::characters(self.spelled).cmp(string::characters(other.spelled))
        } else {
            self.spelled.cmp(other.spelled)
        }
    }

    /// Returns the name as an error shows it.
    fn shown(&self) -> String {
        let mut characters = string::characters(self.spelled);
        let mut shown = string::escaped(characters.by_ref().take(KEY_SHOWN_MAX));
        if characters.next().is_some() {
            shown.push('…');
        }
        shown
    }
}

/// Returns the first `len` of eight bytes as a number, zero-padded.
#[inline]
fn prefix(word: [u8; 8], len: usize) -> u64 {
    let beyond = match len {
        0..8 => u64::MAX >> (8 * len),
        _ => 0,
    };
    u64::from_be_bytes(word) & !beyond
}

#[cold]
fn decoded_prefix(spelled: &str) -> u64 {
    let mut word = [0; 8];
    let bytes = string::characters(spelled).flat_map(|c| {
        let mut utf8 = [0; 4];
        let len = c.encode_utf8(&mut utf8).len();
        utf8.into_iter().take(len)
    });
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = from;
    }
    u64::from_be_bytes(word)
}

/// The members parsed so far of all open objects, innermost last.
#[derive(Default)]
pub(super) struct Members<'a> {
    stack: Vec<Member<'a>>,
    scratch: Vec<u8>,
}

impl<'a> Members<'a> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.stack.len()
    }

    #[inline]
    pub(super) fn push(&mut self, member: Member<'a>) {
        self.stack.push(member);
    }

    /// Removes the members of the object whose first member is at `first`.
    #[inline]
    pub(super) fn truncate(&mut self, first: usize) {
        self.stack.truncate(first);
    }

    /// Returns whether `key` comes after the last key of the object whose first member is at
    /// `first`.
    #[inline]
    pub(super) fn in_order(&self, first: usize, key: &Key<'a>) -> bool {
        match self.stack.last() {
            Some(last) if self.stack.len() > first => last.key.compare(key).is_lt(),
            _ => true,
        }
    }

    /// Sorts the members of the object at the end of `out` whose first member is at `first`.
    ///
    /// Each byte moves twice per enclosing object, so the depth limit bounds the work.
    pub(super) fn sort(&mut self, first: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        let members = self.stack.get_mut(first..).unwrap_or_default();
        let start = members.first().map_or(out.len(), |member| member.start);
        members.sort_unstable_by(|a, b| a.key.compare(&b.key).then(a.key_at.cmp(&b.key_at)));
        refuse_duplicates(members)?;

        self.scratch.clear();
        for member in members {
            if !self.scratch.is_empty() {
                self.scratch.extend_from_slice(b", ");
            }
            #[expect(clippy::indexing_slicing, reason = "a member without its text must not pass")]
            self.scratch.extend_from_slice(&out[member.start..member.end]);
        }
        out.truncate(start);
        out.extend_from_slice(&self.scratch);
        out.push(b'}');
        Ok(())
    }
}

fn refuse_duplicates(members: &[Member<'_>]) -> Result<(), Fault> {
    let pairs = members.iter().zip(members.iter().skip(1));
    let seconds = pairs.filter(|(a, b)| a.key.compare(&b.key).is_eq()).map(|(_, second)| second);
    match seconds.min_by_key(|second| second.key_at) {
        None => Ok(()),
        Some(second) => Err(invalid(second.key_at, Reason::DuplicateKey(second.key.shown()))),
    }
}
