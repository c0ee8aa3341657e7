//! What services read from the text of an audit entry.

use super::log_state::entry::EntryParts;
use super::{RowKind, Scope};

/// Returns the time of an entry in unix seconds; `None` for a text that is no entry.
pub(crate) fn time_of(entry: &str) -> Option<u64> {
    EntryParts::read(entry).ok().map(|parts| parts.at)
}

/// Returns the scopes of the answers that an entry's change stored.
pub(crate) fn answers_of(entry: &str) -> Vec<Scope> {
    let Ok(parts) = EntryParts::read(entry) else { return Vec::new() };
    let stored = parts.state.iter().filter(|item| item.kind == RowKind::Answer);
    let scope = |id: &str| {
        let mut scope = Scope::default();
        hex::decode_to_slice(id.as_bytes(), &mut scope).ok().map(|()| scope)
    };
    stored.filter(|item| item.sha256.is_some()).filter_map(|item| scope(&item.id)).collect()
}
