//! The serialized state, which lets a start read only the entries after it.
//!
//! ```text
//! 0        format 1
//! 1..9     entries
//! 9..17    time of the last one
//! 17..25   number of approvals, then each:
//!            0..16   id
//!           16       status
//!           17..25   entry
//!           25..45   first 20 bytes of its row's hash
//! ..+8     number of other rows, then each:
//!            0       kind, its place in `RowKind::ALL`
//!            1..5    length of the id, then the id
//!            ..+8    entry
//!            ..+1    1 and the row's hash, or 0 if it was removed
//! ```
//!
//! Numbers are big-endian. The bytes are signed by a C2SP note of the log key under the name
//! `signoff-state/AUDIENCE`, which no checkpoint uses. The lines of the note are the name, the
//! number of entries, the root of the tree in base64 and the SHA-256 of the bytes in hex.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};

use super::approvals::FINGERPRINT_BYTES;
use super::{ApprovalState, LogState, RowState, count};
use crate::store::RowKind;
use signoff_core::log::tree::{Frontier, Hash};

const FORMAT: u8 = 1;

/// Returns the name of the note that signs the state of an audience.
pub(crate) fn name(origin: &str) -> String {
    format!("signoff-state/{}", origin.strip_prefix("signoff/").unwrap_or(origin))
}

/// Returns the text to sign: it binds the bytes to a log of this name, size and root.
pub(crate) fn note_text(name: &str, size: u64, root: &Hash, bytes_sha256: &Hash) -> String {
    let root = Base64::encode_string(root);
    format!("{name}\n{size}\n{root}\n{}\n", hex::encode(bytes_sha256))
}

/// Returns the SHA-256 of saved bytes.
pub(crate) fn sha256(chunks: impl Iterator<Item = impl AsRef<[u8]>>) -> Hash {
    let mut hash = Sha256::new();
    for chunk in chunks {
        hash.update(chunk.as_ref());
    }
    hash.finalize().into()
}

/// Serializes a state.
pub(crate) fn write(state: &LogState) -> Vec<u8> {
    let approvals = state.approvals.len();
    let mut bytes = Vec::with_capacity(usize::try_from(approvals * 45).unwrap_or_default() + 4096);
    bytes.push(FORMAT);
    for number in [state.size(), state.at, approvals] {
        bytes.extend(number.to_be_bytes());
    }
    for (id, approval) in state.approvals.iter() {
        let (status, fingerprint) = approval.parts();
        bytes.extend(id.to_be_bytes());
        bytes.push(status);
        bytes.extend(approval.entry.to_be_bytes());
        bytes.extend(fingerprint);
    }
    let count: usize = state.rows.iter().map(BTreeMap::len).sum();
    bytes.extend((count as u64).to_be_bytes());
    let rows = RowKind::ALL.into_iter().zip(&state.rows);
    for (kind, (id, row)) in rows.flat_map(|(kind, rows)| rows.iter().map(move |row| (kind, row))) {
        bytes.push(kind as u8);
        // An id is far shorter than 4 GiB: the store refuses larger changes.
        bytes.extend(u32::try_from(id.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(id.as_bytes());
        bytes.extend(row.entry.to_be_bytes());
        bytes.push(u8::from(row.sha256.is_some()));
        bytes.extend(row.sha256.iter().flatten());
    }
    bytes
}

/// Deserializes a state; `tree` is the audit tree of its size. `None` for malformed bytes.
pub(crate) fn read(bytes: &[u8], tree: Frontier) -> Option<LogState> {
    let mut unread = Unread(bytes);
    if unread.byte()? != FORMAT || unread.u64()? != tree.size() {
        return None;
    }
    let mut state = LogState { tree, at: unread.u64()?, ..LogState::default() };
    for _ in 0..unread.u64()? {
        let id = u128::from_be_bytes(unread.array()?);
        let status = unread.byte()?;
        let entry = unread.u64()?;
        let fingerprint = unread.array::<FINGERPRINT_BYTES>()?;
        let approval = ApprovalState::from_parts(status, entry, fingerprint)?;
        count(&mut state.counts, None, approval.status)?;
        state.approvals.put(id, approval);
    }
    for _ in 0..unread.u64()? {
        let kind = *RowKind::ALL.get(usize::from(unread.byte()?))?;
        let length = usize::try_from(u32::from_be_bytes(unread.array()?)).ok()?;
        let id = std::str::from_utf8(unread.bytes(length)?).ok()?.to_owned();
        let entry = unread.u64()?;
        let sha256 = match unread.byte()? {
            0 => None,
            1 => Some(unread.array()?),
            _ => return None,
        };
        state.rows.get_mut(kind as usize)?.insert(id, RowState { sha256, entry });
    }
    unread.0.is_empty().then_some(state)
}

struct Unread<'a>(&'a [u8]);

impl<'a> Unread<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}
