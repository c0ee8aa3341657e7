//! Reads the audit log of a file: its head, its saved state, and the state that results from its
//! entries.

use redb::Database;

use super::failure::{shielded, unreadable};
use super::format::{HEAD_KEY, META, STATE, STATE_KEY};
use super::open::begin_durable;
use super::rows;
use super::snapshot::Snapshot;
use crate::log_key::{LogSigner, origin};
use crate::store::log_state::{LogState, Pending, ReadEntry, read_entries, saved};
use crate::store::{StoreError, Trust, trust};
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::note;
use signoff_core::log::tree::Frontier;

/// Entries folded before they are applied to the state: pending changes take more memory than the
/// state.
const FOLD_AT_ONCE: usize = 8192;
/// Bytes of entries read before they are folded.
const FOLD_BYTES_AT_ONCE: usize = 8 << 20;
/// Bytes per chunk of the saved state.
const SAVED_CHUNK_BYTES: usize = 1 << 20;
/// New entries after which closing saves the state: a start reads fewer in negligible time.
pub(super) const SAVE_AFTER: u64 = 1_000;
/// New entries after which a running writer saves the state.
pub(super) const SAVE_EVERY: u64 = 1_000_000;

/// The log of a file.
pub(super) struct Log {
    /// The state that results from its entries. Its root is that of the head.
    pub(super) state: LogState,
    /// The number of entries in the saved state; 0 if there is none.
    pub(super) saved: u64,
    /// The text of its head.
    pub(super) head: String,
}

impl Log {
    /// Returns whether a log key signed the head. Rows are authenticated only then.
    pub(super) fn is_signed(&self) -> bool {
        trust::is_signed(&self.head)
    }

    /// Reads the head, the saved state if a log key signed one, and every entry after it.
    ///
    /// Errors, in this order: those of [`Trust::read_head`]; [`StoreError::Untrusted`] if entries
    /// are missing, are inconsistent with each other, or do not have the root of the head.
    pub(super) fn read(
        snapshot: &Snapshot,
        trust: &Trust,
        audience: &str,
    ) -> Result<Self, StoreError> {
        let head = trust.read_head(&snapshot.head, audience)?;
        let state = read_saved(snapshot, trust, audience, &head)?.unwrap_or_default();
        let saved = state.size();
        let mut log = Self { state, saved, head: snapshot.head.clone() };
        log.fold(snapshot, &head)?;
        Ok(log)
    }

    /// Signs a head that was accepted unsigned, if there is a log key now.
    pub(super) fn sign(
        &mut self,
        database: &Database,
        trust: &Trust,
        audience: &str,
    ) -> Result<(), StoreError> {
        if self.is_signed() {
            return Ok(());
        }
        let Some(signer) = trust.signer(audience)? else { return Ok(()) };
        let head = signer.sign(&Checkpoint::of(self.state.tree(), signer.key().name()));
        shielded(|| {
            let txn = begin_durable(database)?;
            txn.open_table(META)?.insert(HEAD_KEY, head.as_bytes())?;
            Ok(txn.commit()?)
        })?;
        self.head = head;
        Ok(())
    }

    /// Reads the entries that another process appended, up to the head of a snapshot.
    ///
    /// Errors: as [`Self::read`]. On error the state is unchanged.
    pub(super) fn follow(
        &mut self,
        snapshot: &Snapshot,
        trust: &Trust,
        audience: &str,
    ) -> Result<(), StoreError> {
        let head = trust.read_head(&snapshot.head, audience)?;
        let mut pending = Pending::after(&self.state);
        for row in snapshot.entries.range(pending.next_entry()..)? {
            let (number, row) = row?;
            let text = text_of(row.value(), number.value())?;
            fold(&mut pending, number.value(), &ReadEntry::of(text))?;
        }
        has_root(pending.tree(), &head)?;
        let delta = pending.finish();
        self.state.apply(delta);
        self.head.clone_from(&snapshot.head);
        Ok(())
    }

    fn fold(&mut self, snapshot: &Snapshot, head: &Checkpoint) -> Result<(), StoreError> {
        self.fold_all(snapshot)?;
        has_root(self.state.tree(), head)
    }

    fn fold_all(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let mut rows = snapshot.entries.range(self.state.size() + 1..)?;
        loop {
            let mut pending = Pending::after(&self.state);
            let (mut numbers, mut texts, mut bytes) = (Vec::new(), Vec::new(), 0);
            while numbers.len() < FOLD_AT_ONCE && bytes < FOLD_BYTES_AT_ONCE {
                let Some(row) = rows.next() else { break };
                let (number, row) = row?;
                let text = text_of(row.value(), number.value())?.to_owned();
                bytes += text.len();
                numbers.push(number.value());
                texts.push(text);
            }
            let is_last = texts.is_empty();
            for (number, entry) in numbers.into_iter().zip(read_entries(&texts)) {
                fold(&mut pending, number, &entry)?;
            }
            let delta = pending.finish();
            self.state.apply(delta);
            if is_last {
                return Ok(());
            }
        }
    }
}

/// Returns the state that results from the entries, up to the first inconsistent one, and the
/// problems of the log. Does not use the saved state.
pub(super) fn replay(
    snapshot: &Snapshot,
    trust: &Trust,
    audience: &str,
) -> Result<(LogState, Vec<String>), StoreError> {
    let mut wrong = Vec::new();
    let head = trust.read_head(&snapshot.head, audience);
    let head = head.map_err(|e| wrong.push(e.to_string())).ok();
    let mut log = Log { state: LogState::default(), saved: 0, head: snapshot.head.clone() };
    let read = match &head {
        Some(head) => log.fold(snapshot, head),
        None => log.fold_all(snapshot),
    };
    match read {
        Ok(()) => {}
        Err(e @ (StoreError::Untrusted(_) | StoreError::Damaged(_))) => wrong.push(e.to_string()),
        Err(e) => return Err(e),
    }
    if let Some(head) = &head
        && snapshot.saved_note.is_some()
        && read_saved(snapshot, trust, audience, head)?.is_none()
    {
        wrong.push("its saved state is not one that a log key signed".to_owned());
    }
    Ok((log.state, wrong))
}

fn fold(pending: &mut Pending<'_>, number: u64, entry: &ReadEntry<'_>) -> Result<(), StoreError> {
    let expected = pending.next_entry();
    if number != expected {
        return Err(StoreError::Untrusted(format!("audit entry {expected} is missing")));
    }
    pending.fold(entry).map_err(|e| StoreError::Untrusted(e.to_string()))
}

fn text_of(row: &[u8], number: u64) -> Result<&str, StoreError> {
    rows::decode_text(row).ok_or_else(|| unreadable(format_args!("audit entry {number}")))
}

fn has_root(tree: &Frontier, head: &Checkpoint) -> Result<(), StoreError> {
    if (tree.size(), tree.root()) == (head.size, head.root) {
        return Ok(());
    }
    let why = if tree.size() == head.size {
        "its audit entries do not match the root of its head".to_owned()
    } else {
        format!("it has {} audit entries, but its head has {}", tree.size(), head.size)
    };
    Err(StoreError::Untrusted(why))
}

/// Returns the saved state, if a log key signed one. An unusable saved state is not an error:
/// everything in it is also in the log.
fn read_saved(
    snapshot: &Snapshot,
    trust: &Trust,
    audience: &str,
    head: &Checkpoint,
) -> Result<Option<LogState>, StoreError> {
    let Some(text) = snapshot.saved_note.as_deref() else { return Ok(None) };
    let name = saved::name(&origin(audience));
    let keys = trust.trusted(audience)?;
    let Ok(keys) = keys.iter().map(|key| key.named(&name)).collect::<Result<Vec<_>, _>>() else {
        return Ok(None);
    };
    let Some(signed) = note::open(text, &keys) else { return Ok(None) };
    let size = signed.split('\n').nth(1).and_then(|size| size.parse::<u64>().ok());
    let Some(size) = size.filter(|size| *size <= head.size) else { return Ok(None) };
    let mut bytes = Vec::new();
    for (number, row) in (0..).zip(snapshot.state.range::<u64>(..)?) {
        let (key, chunk) = row?;
        if key.value() != number {
            return Ok(None);
        }
        bytes.extend_from_slice(chunk.value());
    }
    let source = snapshot.log_source();
    let Ok(tree) = Frontier::load(size, |position| source.hash(position)) else { return Ok(None) };
    let sha256 = saved::sha256(std::iter::once(&bytes));
    if saved::note_text(&name, size, &tree.root(), &sha256) != signed {
        return Ok(None);
    }
    Ok(saved::read(&bytes, tree))
}

/// Saves a state with a signed note.
pub(super) fn save(
    database: &Database,
    state: &LogState,
    signer: &LogSigner,
    audience: &str,
) -> Result<(), StoreError> {
    let name = saved::name(&origin(audience));
    let bytes = saved::write(state);
    let sha256 = saved::sha256(std::iter::once(&bytes));
    let text = saved::note_text(&name, state.size(), &state.tree().root(), &sha256);
    let signer = signer.named(&name).map_err(|e| StoreError::Unsigned(e.to_string()))?;
    let note = signer.note(&text);
    let txn = begin_durable(database)?;
    {
        let mut table = txn.open_table(STATE)?;
        table.retain(|_, _| false)?;
        for (number, chunk) in bytes.chunks(SAVED_CHUNK_BYTES).enumerate() {
            table.insert(number as u64, chunk)?;
        }
        txn.open_table(META)?.insert(STATE_KEY, note.as_bytes())?;
    }
    Ok(txn.commit()?)
}
