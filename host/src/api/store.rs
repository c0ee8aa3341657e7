//! Handlers of operations on the store: backup, pruning, compaction.

use std::fs::File;
use std::os::unix::fs::FileExt;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use signoff_core::object::objects;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::App;
use super::command::Command;
use super::enums::ApprovalStatus;
use super::params::Params;
use super::reply::{answer, json_answer};
use super::requests::NoMembers;
use super::shown::Binary;
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::Removed;
use crate::upkeep::{Backup, PRUNED_AT_ONCE_MAX, Pruned};

/// Bytes of a backup in memory. Before each piece the caller's token is looked up again.
const PIECE_BYTES: usize = 1 << 20;
/// The highest age in a call: a hundred years.
const SECONDS_MAX: u64 = 3_153_600_000;
const PAGE_MAX: u64 = PRUNED_AT_ONCE_MAX as u64;

/// Approvals to prune.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PruneRequest)]
pub(super) struct PruneBody {
    /// How long ago the last change of each approval must be, in seconds.
    older_than_seconds: u64,
    /// The approvals, 1 to 256, as `GET /store/prunable` lists them.
    #[serde(deserialize_with = "objects")]
    #[schema(min_items = 1, max_items = 256)]
    approvals: Vec<PruneItem>,
}

/// An approval to prune.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PruneItem {
    /// Its id.
    id: String,
    /// The entry of its last change.
    entry: u64,
}

/// An approval that can be pruned.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct PrunableShown {
    /// Its id.
    pub id: String,
    /// The entry of its last change.
    pub entry: u64,
    /// `rejected`, `executed`, `expired` or `withdrawn`.
    #[schema(value_type = ApprovalStatus)]
    pub status: String,
    /// The time of its last change: RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub changed_at: String,
}

/// A page of approvals that can be pruned, oldest first.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct PrunableList {
    /// The approvals. A page may be empty without being the last.
    pub items: Vec<PrunableShown>,
    /// How many approvals were left out because their rows do not match the audit log.
    pub damaged: u64,
    /// The cursor of the next page; null after the last.
    pub next_cursor: Option<String>,
}

/// The result of a pruning.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct PrunedShown {
    /// The number of removed approvals.
    pub pruned: u64,
    /// The number of approvals that are not final, not old enough, gone, or were changed meanwhile.
    pub skipped: u64,
}

/// The result of a compaction.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CompactedShown {
    /// The disk space of the store's file before; the file is sparse, so its length is more.
    pub bytes_before: u64,
    /// The disk space of the new file.
    pub bytes_after: u64,
}

/// Get a backup: a store file as of the last commit, complete and without unused space.
///
/// One is made at a time; another call gets `rate-limited`. Each is recorded in the audit log. The answer
/// has a `Content-Length`: one with fewer bytes was cut, as by a server that stops.
#[utoipa::path(post, path = "/api/v1/store/backup", tag = "store", operation_id = "back_up_store",
    request_body = NoMembers,
    responses((status = 200, description = "The store's file.", content_type = "application/octet-stream", body = Binary)))]
pub(super) async fn backup(
    State(app): State<App>,
    Command { caller, body, .. }: Command,
) -> Result<Response, Refusal> {
    body.parse::<NoMembers>()?;
    // Goes on when the client has gone, so that the audit log and the copies stay one to one.
    let (service, by) = (app.service.clone(), caller.clone());
    let made = tokio::spawn(async move { service.upkeep.backup(&by).await });
    let backup = made.await.map_err(Refusal::internal)??;
    let length = backup.bytes;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    let pieces = stream::try_unfold(Some((app, caller, backup, 0)), next_piece);
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// A backup and what of it was sent; `None` when all of it was.
type Sending = Option<(App, Caller, Backup, u64)>;

/// Reads the next piece of a backup. A revoked token or a server that stops ends the answer early, which
/// its client notices by the length.
async fn next_piece(sending: Sending) -> Result<Option<(Bytes, Sending)>, std::io::Error> {
    let Some((app, caller, backup, at)) = sending else { return Ok(None) };
    app.admits_still(&caller).await.map_err(|e| std::io::Error::other(e.to_string()))?;
    if *app.stopping.borrow() {
        return Err(std::io::Error::other("the server stops"));
    }
    let length = usize::try_from(backup.bytes - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
    let file = backup.file.try_clone()?;
    let read = spawn_blocking(move || piece(&file, at, length));
    let piece = read.await.map_err(std::io::Error::other)??;
    let next = at + piece.len() as u64;
    // With the last piece the next backup may begin.
    let rest = (next < backup.bytes).then_some((app, caller, backup, next));
    Ok(Some((piece, rest)))
}

fn piece(file: &File, at: u64, length: usize) -> std::io::Result<Bytes> {
    let mut piece = vec![0; length];
    file.read_exact_at(&mut piece, at)?;
    Ok(piece.into())
}

/// List final approvals whose last change is old, for `POST /store/prune`. Export their receipts first.
///
/// A page may be shorter than its limit, or empty, without being the last.
#[utoipa::path(get, path = "/api/v1/store/prunable", tag = "store", operation_id = "list_prunable_approvals",
    params(
        ("older_than_seconds" = u64, Query, maximum = 3_153_600_000_u64, description = "The least age of the last change."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 256, description = "Approvals per page; default 256."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page.")),
    responses((status = 200, description = "A page of approvals.", body = PrunableList)))]
pub(super) async fn prunable(State(app): State<App>, params: Params) -> Result<Response, Refusal> {
    params.known(&["older_than_seconds", "limit", "cursor"])?;
    params.required("older_than_seconds")?;
    let older_than = params.number("older_than_seconds", SECONDS_MAX)?.unwrap_or(SECONDS_MAX);
    let limit = params.number("limit", PAGE_MAX)?.unwrap_or(PAGE_MAX);
    let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
    let limit =
        limit.ok_or_else(|| Refusal::new(Code::REQUEST_INVALID, "`limit` must be 1 to 256"))?;
    let cursor = params.get("cursor").map(|cursor| {
        ApprovalId::parse(cursor).ok_or_else(|| {
            let detail = "malformed `cursor`; expected `next_cursor` of the previous page";
            Refusal::new(Code::REQUEST_INVALID, detail)
        })
    });
    let page = app.service.upkeep.prunable(older_than, cursor.transpose()?, limit).await?;
    let items = page.items.into_iter().map(|prunable| PrunableShown {
        id: prunable.id.to_string(),
        entry: prunable.entry,
        status: prunable.status.as_str().to_owned(),
        changed_at: prunable.changed_at,
    });
    let list = PrunableList {
        items: items.collect(),
        damaged: page.damaged as u64,
        next_cursor: page.next.map(|id| id.to_string()),
    };
    Ok(json_answer(200, json!(list).to_string()))
}

/// Remove final approvals whose last change is old.
///
/// The audit log keeps their entries; a receipt can no longer be made. An approval that changed since it was
/// listed is skipped.
#[utoipa::path(post, path = "/api/v1/store/prune", tag = "store", operation_id = "prune_approvals",
    request_body = PruneBody,
    responses((status = 200, description = "How many approvals were removed and skipped.", body = PrunedShown)))]
pub(super) async fn prune(
    State(app): State<App>,
    Command { caller, idempotency, body }: Command,
) -> Result<Response, Refusal> {
    let PruneBody { older_than_seconds, approvals } = body.parse()?;
    let removed = |item: PruneItem| {
        let id = ApprovalId::parse(&item.id).ok_or_else(|| {
            let detail = format!("`{}` is not an approval id", item.id.escape_debug());
            Refusal::new(Code::REQUEST_INVALID, detail)
        })?;
        Ok::<_, Refusal>(Removed { id, entry: item.entry })
    };
    let approvals = approvals.into_iter().map(removed).collect::<Result<_, _>>()?;
    let pruned = Pruned { older_than_seconds, approvals };
    Ok(answer(app.service.upkeep.prune(&caller, &pruned, idempotency.as_ref()).await?))
}

/// Rewrite the store's file without unused space, in which bytes of erased and removed rows may be left.
///
/// Changes wait meanwhile. The server does it by itself soon after an erasure or a pruning; this call
/// returns when it is done.
#[utoipa::path(post, path = "/api/v1/store/compact", tag = "store", operation_id = "compact_store",
    request_body = NoMembers,
    responses((status = 200, description = "The disk space of the file before and after.", body = CompactedShown)))]
pub(super) async fn compact(
    State(app): State<App>,
    Command { body, .. }: Command,
) -> Result<Response, Refusal> {
    body.parse::<NoMembers>()?;
    let compacted = app.service.upkeep.compact().await?;
    let shown =
        CompactedShown { bytes_before: compacted.bytes_before, bytes_after: compacted.bytes_after };
    Ok(json_answer(200, json!(shown).to_string()))
}
