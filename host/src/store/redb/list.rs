//! Iteration over the ids of a list, newest first.

use redb::Range;

use super::failure::unreadable;
use super::format::{self, Filter, ListKey};
use super::snapshot::Snapshot;
use crate::store::{Query, Status, StoreError};

/// The ids that match a query: one stream if one list holds them all, six if every status counts.
/// Names are matched by their digests only.
pub(super) enum Newest {
    /// All approvals.
    All(Box<Range<'static, u128, &'static [u8]>>),
    /// Lists, one per status.
    Merged(Vec<Stream>),
}

/// One list, read from its newest id.
pub(super) struct Stream {
    status: Status,
    rows: Range<'static, &'static ListKey, ()>,
    /// The newest id not yet returned.
    head: Option<u128>,
}

impl Newest {
    pub(super) fn matching(snapshot: &Snapshot, query: &Query) -> Result<Self, StoreError> {
        let before = query.before.map_or(u128::MAX, |id| id.to_u128());
        let filter = Filter::new(query.agent.as_deref(), query.action.as_deref());
        let statuses = match &query.status {
            Some(status) => std::slice::from_ref(status),
            None if filter == Filter::new(None, None) => {
                return Ok(Self::All(Box::new(snapshot.approvals.range(..before)?)));
            }
            None => &Status::ALL,
        };
        let name = filter.name();
        let streams = statuses.iter().map(|status| {
            let first = format::list_key(*status, &name, 0);
            let end = format::list_key(*status, &name, before);
            Stream::new(*status, snapshot.lists.range::<&ListKey>(&first..&end)?)
        });
        Ok(Self::Merged(streams.collect::<Result<_, _>>()?))
    }

    /// Returns the next id and the status whose list contains it; no status if no list was read.
    pub(super) fn next_id(&mut self) -> Result<Option<(u128, Option<Status>)>, StoreError> {
        match self {
            Self::All(rows) => Ok(rows.next_back().transpose()?.map(|(id, _)| (id.value(), None))),
            Self::Merged(streams) => {
                let Some(newest) = streams.iter_mut().max_by_key(|stream| stream.head) else {
                    return Ok(None);
                };
                let status = Some(newest.status);
                Ok(newest.next_id()?.map(|id| (id, status)))
            }
        }
    }
}

impl Stream {
    fn new(status: Status, rows: Range<'static, &'static ListKey, ()>) -> Result<Self, StoreError> {
        let mut stream = Self { status, rows, head: None };
        stream.next_id()?;
        Ok(stream)
    }

    fn next_id(&mut self) -> Result<Option<u128>, StoreError> {
        let next = match self.rows.next_back().transpose()? {
            Some((key, _)) => Some(format::id_of(key.value()).ok_or_else(|| unreadable("a list"))?),
            None => None,
        };
        Ok(std::mem::replace(&mut self.head, next))
    }
}
