//! The tokens after an accepted rollback. A revocation in the lost part of the log is undone, and
//! nobody can tell which tokens it concerned, so every token is revoked.

use futures_util::future::join_all;

use super::tokens::TokenRow;
use crate::caller::Caller;
use crate::ledger::{Event, Ledger, Note};
use crate::refusal::Refusal;
use crate::store::{Row, RowKind};

/// Tokens that are revoked concurrently, so that they share a commit.
const BATCH: usize = 256;

/// Returns whether a token is neither revoked nor expired.
///
/// Refusals: `store-unavailable`, `store-tampered`.
pub(crate) async fn is_in_force(ledger: &Ledger, id: &str) -> Result<bool, Refusal> {
    let Some(row) = ledger.store().row(RowKind::Token, id).await? else { return Ok(false) };
    let token = TokenRow::read(&row)?;
    let has_expired = token.expires_at.is_some_and(|expires_at| ledger.now() >= expires_at);
    Ok(token.revoked_at.is_none() && !has_expired)
}

/// Revokes every token except one, each with its own audit entry. Returns how many it revoked.
///
/// Refusals: those of every change; `store-tampered` for a token that cannot be read, because its
/// row could be restored later. Tokens that were revoked before stay revoked.
pub(crate) async fn revoke_all_but(ledger: &Ledger, kept: Option<&str>) -> Result<usize, Refusal> {
    let (mut after, mut revoked) = (String::new(), 0);
    loop {
        let ids = ledger.store().row_ids(RowKind::Token, &after, BATCH).await?;
        let Some(last) = ids.last() else { return Ok(revoked) };
        after.clone_from(last);
        let mut living = Vec::new();
        for id in ids.iter().filter(|id| kept != Some(id.as_str())) {
            let Some(row) = ledger.store().row(RowKind::Token, id).await? else { continue };
            let token = TokenRow::read(&row)?;
            if token.revoked_at.is_none() {
                living.push((row, token));
            }
        }
        revoked += living.len();
        let all = living.into_iter().map(|(row, token)| revoke(ledger, row, token));
        for result in join_all(all).await {
            result?;
        }
    }
}

async fn revoke(ledger: &Ledger, row: Row, mut token: TokenRow) -> Result<(), Refusal> {
    let now = ledger.now_to_write()?;
    let system = Caller::system();
    token.revoked_at = Some(now);
    token.revoked_by = Some(system.subject().to_owned());
    let note =
        Note::of(Event::TokenRevoked(token.audited())).changing(vec![token.change(row.entry)?]);
    ledger.note_at(now, &system, note, None).await.map(drop)
}
