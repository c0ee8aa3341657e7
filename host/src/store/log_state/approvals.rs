//! The state of every approval, 42 bytes each: sorted by id and kept in chunks, so that a million
//! approvals take 42 MB and no reallocation doubles that.

use crate::store::Status;
use signoff_core::log::tree::Hash;

/// Approvals per chunk.
const CHUNK: usize = 4096;
/// Approvals that move from a full last chunk to the next one. Ids arrive almost in order, so later
/// ones go to the new chunk and the full chunk stays nearly full.
const TAIL: usize = 128;
/// Bytes kept of a row's hash: SHA-256 truncated to 160 bits, which leaves 80 bits of collision
/// resistance.
pub(crate) const FINGERPRINT_BYTES: usize = 20;
/// Bytes of an entry number: enough for 10^12 entries.
const ENTRY_BYTES: usize = 5;
/// The status byte of a removed approval, which the state forgets.
const REMOVED: u8 = u8::MAX;

/// The latest state of an approval in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ApprovalState {
    /// Its stored status; `None` if it was removed.
    pub(crate) status: Option<Status>,
    /// The entry that wrote this version.
    pub(crate) entry: u64,
    fingerprint: [u8; FINGERPRINT_BYTES],
}

#[derive(Clone, Copy, Debug)]
struct Packed {
    id: [u8; 16],
    status: u8,
    entry: [u8; ENTRY_BYTES],
    fingerprint: [u8; FINGERPRINT_BYTES],
}

/// The states of all approvals.
#[derive(Clone, Debug, Default)]
pub(super) struct Approvals {
    chunks: Vec<Vec<Packed>>,
    len: u64,
}

impl ApprovalState {
    /// Makes the state after `entry` wrote a row with this hash, or removed the row if there is no
    /// hash.
    pub(crate) fn new(status: Option<Status>, entry: u64, sha256: Option<&Hash>) -> Self {
        let fingerprint = sha256.and_then(|sha256| sha256.first_chunk());
        let fingerprint = *fingerprint.unwrap_or(&[0; FINGERPRINT_BYTES]);
        Self { status: sha256.and(status), entry, fingerprint }
    }

    /// Makes the state from its saved parts; `None` for an unknown status byte.
    pub(super) fn from_parts(
        status: u8,
        entry: u64,
        fingerprint: [u8; FINGERPRINT_BYTES],
    ) -> Option<Self> {
        let status = *Status::ALL.get(usize::from(status))?;
        Some(Self { status: Some(status), entry, fingerprint })
    }

    /// Returns the status byte and the fingerprint, which a saved state stores after id and entry.
    pub(super) fn parts(&self) -> (u8, &[u8; FINGERPRINT_BYTES]) {
        (self.status.map_or(REMOVED, |status| status as u8), &self.fingerprint)
    }

    /// Returns whether a row with this hash is the latest version.
    pub(crate) fn is(&self, sha256: &Hash) -> bool {
        self.status.is_some() && sha256.starts_with(&self.fingerprint)
    }
}

impl Packed {
    fn new(id: u128, state: ApprovalState) -> Self {
        let [_, _, _, entry @ ..] = state.entry.to_be_bytes();
        let (status, fingerprint) = state.parts();
        Self { id: id.to_be_bytes(), status, entry, fingerprint: *fingerprint }
    }

    fn state(&self) -> ApprovalState {
        let [a, b, c, d, e] = self.entry;
        let entry = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
        let status = Status::ALL.get(usize::from(self.status)).copied();
        ApprovalState { status, entry, fingerprint: self.fingerprint }
    }
}

impl Approvals {
    /// Memory per approval.
    #[cfg(test)]
    pub(super) const BYTES_EACH: usize = size_of::<Packed>();

    /// Memory of all approvals.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.capacity() * Self::BYTES_EACH).sum()
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn get(&self, id: u128) -> Option<ApprovalState> {
        let id = id.to_be_bytes();
        let chunk = self.chunks.get(self.chunk_of(&id)?)?;
        let at = chunk.binary_search_by(|packed| packed.id.cmp(&id)).ok()?;
        chunk.get(at).map(Packed::state)
    }

    /// Adds an approval, or replaces its state.
    pub(super) fn put(&mut self, id: u128, state: ApprovalState) {
        let packed = Packed::new(id, state);
        if self.chunks.is_empty() {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        // An id before all others belongs to the first chunk.
        let at = self.chunk_of(&packed.id).unwrap_or(0);
        let is_last = at + 1 == self.chunks.len();
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        match chunk.binary_search_by(|other| other.id.cmp(&packed.id)) {
            Ok(place) => {
                if let Some(old) = chunk.get_mut(place) {
                    *old = packed;
                }
                return;
            }
            Err(place) if chunk.len() >= CHUNK => {
                let is_in_tail = is_last && place >= CHUNK - TAIL;
                let lower = if is_in_tail { CHUNK - TAIL } else { CHUNK / 2 };
                let mut upper = Vec::with_capacity(CHUNK);
                upper.extend(chunk.drain(lower..));
                match place.checked_sub(lower) {
                    Some(place) => upper.insert(place, packed),
                    None => chunk.insert(place, packed),
                }
                self.chunks.insert(at + 1, upper);
            }
            Err(place) => chunk.insert(place, packed),
        }
        self.len += 1;
    }

    /// Forgets approvals, and joins chunks that became small.
    pub(super) fn remove(&mut self, ids: Vec<u128>) {
        if ids.is_empty() {
            return;
        }
        let mut ids: Vec<_> = ids.into_iter().map(u128::to_be_bytes).collect();
        ids.sort_unstable();
        let is_removed = |packed: &Packed| ids.binary_search(&packed.id).is_ok();
        let mut left: Vec<Vec<Packed>> = Vec::with_capacity(self.chunks.len());
        for mut chunk in std::mem::take(&mut self.chunks) {
            let (first, last) = (chunk.first().map(|p| p.id), chunk.last().map(|p| p.id));
            let next = first.map(|first| ids.partition_point(|id| *id < first));
            let next = next.and_then(|next| ids.get(next));
            if next.zip(last).is_some_and(|(next, last)| *next <= last) {
                chunk.retain(|packed| !is_removed(packed));
            }
            match left.last_mut() {
                _ if chunk.is_empty() => {}
                Some(before) if before.len() + chunk.len() <= CHUNK / 2 => before.extend(chunk),
                _ => left.push(chunk),
            }
        }
        self.chunks = left;
        self.len = self.chunks.iter().map(|chunk| chunk.len() as u64).sum();
    }

    /// Iterates over the approvals that exist with an id above `after`, in order.
    pub(super) fn after(
        &self,
        after: Option<u128>,
    ) -> impl Iterator<Item = (u128, ApprovalState)> + '_ {
        let after = after.map(u128::to_be_bytes);
        let first = after.and_then(|id| self.chunk_of(&id)).unwrap_or(0);
        let rows = self.chunks.iter().skip(first).flatten();
        rows.filter(move |packed| after.is_none_or(|after| packed.id > after))
            .map(|packed| (u128::from_be_bytes(packed.id), packed.state()))
    }

    /// Iterates over every approval with its id, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u128, ApprovalState)> + '_ {
        self.chunks.iter().flatten().map(|p| (u128::from_be_bytes(p.id), p.state()))
    }

    /// Returns the index of the last chunk that begins at or before an id.
    fn chunk_of(&self, id: &[u8; 16]) -> Option<usize> {
        let begins = |chunk: &Vec<Packed>| chunk.first().is_some_and(|first| first.id <= *id);
        self.chunks.partition_point(begins).checked_sub(1)
    }
}
