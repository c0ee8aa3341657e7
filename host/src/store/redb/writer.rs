//! The single writer thread. It takes the queued requests, up to the limits of a batch, applies them in one transaction, commits
//! it to disk, notifies the witness, publishes the commit to readers, tells the observers, and only then
//! replies.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use redb::{Database, ReadableDatabase};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::apply::{Applied, Tables};
use super::copy::Replacement;
use super::failure::{closed, shielded};
use super::log::{self, SAVE_AFTER, SAVE_EVERY};
use super::open::begin_durable;
use super::published::Published;
use super::snapshot::Snapshot;
use crate::log_key::origin;
use crate::store::log_state::Delta;
use crate::store::{
    Base, Change, Commit, CommittedChange, Compacted, RowChange, StoreError, Version,
};
use signoff_core::log::checkpoint::Checkpoint;

/// Limits of one batch: high enough to share a sync among all queued changes, low enough that no
/// change waits long.
const BATCH_CHANGES_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Capacity of the queue in KiB; `commit` waits when it is full.
const QUEUE_KIB_MAX: u32 = 32 * 1024;

/// Maximum size of a change: more than twice the largest one that the host makes, with context,
/// plan and answer at their limits.
const CHANGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Maximum size of a module's bytes. A change larger than the queue waits until the queue is empty.
const BLOB_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The queue and the thread that empties it.
pub(super) struct Writer {
    room: Arc<Semaphore>,
    queue: Mutex<Option<Sender<Message>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Request(Request),
    File(FileJob),
}

/// What concerns the file, and no row.
enum FileJob {
    /// Opens a snapshot that no later commit replaces.
    Snapshot(Reply<Snapshot>),
    Compact(Reply<Compacted>),
}

struct Request {
    work: Work,
    bytes: usize,
    /// Its share of the queue's capacity, released when the request is answered.
    _room: OwnedSemaphorePermit,
}

enum Work {
    Keep(Box<Change>, Reply<Commit>),
    Forget {
        before: u64,
        limit: usize,
        reply: Reply<usize>,
    },
    /// Rewrites the head, signed by the current log key.
    Sign(Reply<()>),
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// The result of a request, before it is on disk.
enum Outcome {
    Change(Applied),
    Forgotten(usize),
    Signed,
}

impl Writer {
    pub(super) fn start(database: Database, published: Arc<Published>) -> Result<Self, StoreError> {
        let (sender, receiver) = mpsc::channel();
        let batches = Batches { database, published };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || batches.run(&receiver))
            .map_err(|error| StoreError::Io(format!("cannot start its writer: {error}")))?;
        Ok(Self {
            room: Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize)),
            queue: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) async fn keep(&self, change: Change) -> Result<Commit, StoreError> {
        let (bytes, blob) = (change_bytes(&change), blob_bytes(&change));
        for (what, bytes, most) in
            [("change", bytes, CHANGE_BYTES_MAX), ("module", blob, BLOB_BYTES_MAX)]
        {
            if bytes > most {
                let message = format!("a {what} of {bytes} bytes is over the limit of {most}");
                return Err(StoreError::Io(message));
            }
        }
        let bytes = bytes + blob;
        let (reply, answer) = oneshot::channel();
        self.send(Work::Keep(Box::new(change), reply), bytes).await?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) async fn forget(&self, before: u64, limit: usize) -> Result<usize, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Work::Forget { before, limit, reply }, 0).await?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) async fn sign(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Work::Sign(reply), 0).await?;
        answer.await.map_err(|_| closed())?
    }

    /// Returns a snapshot of the last commit. Later commits and a compaction do not end it.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send_job(FileJob::Snapshot(reply))?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) async fn compact(&self) -> Result<Compacted, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send_job(FileJob::Compact(reply))?;
        answer.await.map_err(|_| closed())?
    }

    fn send_job(&self, job: FileJob) -> Result<(), StoreError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().ok_or_else(closed)?.send(Message::File(job)).map_err(|_| closed())
    }

    async fn send(&self, work: Work, bytes: usize) -> Result<(), StoreError> {
        let kib = u32::try_from(bytes / 1024).unwrap_or(QUEUE_KIB_MAX).clamp(1, QUEUE_KIB_MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| closed())?;
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = queue.as_ref().ok_or_else(closed)?;
        let request = Request { work, bytes, _room: room };
        sender.send(Message::Request(request)).map_err(|_| closed())
    }

    /// Stops accepting requests, finishes the accepted ones, and closes the database.
    pub(super) fn close(&self) {
        self.room.close();
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // If the thread panicked, the waiting callers have already received an error.
        let _ = thread.map(JoinHandle::join);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

struct Batches {
    database: Database,
    published: Arc<Published>,
}

impl Batches {
    fn run(mut self, queue: &Receiver<Message>) {
        while let Some((batch, job)) = next_batch(queue) {
            if !batch.is_empty() {
                self.keep(batch);
                self.save_after(SAVE_EVERY);
            }
            match job {
                None => {}
                Some(FileJob::Snapshot(reply)) => drop(reply.send(self.snapshot())),
                Some(FileJob::Compact(reply)) => drop(reply.send(self.compact())),
            }
        }
        self.save_after(SAVE_AFTER);
        self.published.close();
        let _ = shielded(|| Ok(self.database.close()?));
    }

    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.published.refuse_if_stopped()?;
        shielded(|| Snapshot::open(self.database.begin_read()?))
    }

    /// Writes a new file and exchanges it for the old one, which stays in use if anything fails before
    /// the exchange.
    fn compact(&mut self) -> Result<Compacted, StoreError> {
        self.published.refuse_if_replaced()?;
        let snapshot = self.snapshot()?;
        let path = self.published.path().ok_or_else(|| {
            StoreError::Io("a store that is in no file cannot be compacted".to_owned())
        })?;
        // The file is sparse: its length doubles when it grows.
        let bytes = || fs::metadata(path).map(|meta| 512 * meta.blocks()).unwrap_or_default();
        let bytes_before = bytes();
        let replacement = Replacement::write(&snapshot, path)?;
        drop(snapshot);
        let opened = shielded(|| Snapshot::open(replacement.database.begin_read()?));
        let placed = opened.and_then(|opened| {
            self.published.refuse_if_replaced()?;
            replacement.place().map(|()| opened)
        });
        let snapshot = match placed {
            Ok(snapshot) => snapshot,
            Err(error) => {
                replacement.discard();
                return Err(error);
            }
        };
        let synced = replacement.sync();
        self.published.publish_file(snapshot, replacement.id());
        let old = std::mem::replace(&mut self.database, replacement.database);
        // Nothing reads the old file any more, and its name is gone.
        let _ = shielded(|| Ok(old.close()?));
        if let Err(error) = synced {
            return Err(StoreError::Stopped(self.published.stop(&error)));
        }
        Ok(Compacted { bytes_before, bytes_after: bytes() })
    }

    fn keep(&self, batch: Vec<Request>) {
        let outcomes = match self.published.refuse_if_stopped() {
            Ok(()) => shielded(|| self.write(&batch)),
            stopped => stopped.map(|()| Vec::new()),
        };
        match outcomes {
            Ok(outcomes) => {
                for (request, outcome) in batch.into_iter().zip(outcomes) {
                    if let Some(committed) = request.committed(&outcome) {
                        self.published.notify_observers(committed);
                    }
                    request.answer(outcome);
                }
            }
            // Nothing was written, and the store keeps accepting writes: the keys may be readable
            // again for the next batch.
            Err(StoreError::Unsigned(why)) => {
                for request in batch {
                    request.refuse(StoreError::Unsigned(why.clone()));
                }
            }
            Err(error) => {
                let reason = self.published.stop(&error);
                for request in batch {
                    request.refuse(StoreError::Stopped(reason.clone()));
                }
            }
        }
    }

    /// Writes a batch in one transaction. Writes nothing if no request of the batch changes
    /// anything.
    fn write(&self, batch: &[Request]) -> Result<Vec<Outcome>, StoreError> {
        let started = Instant::now();
        let txn = begin_durable(&self.database)?;
        let view = self.published.view();
        let mut tables = Tables::open(&txn, &view.log.state)?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for request in batch {
            outcomes.push(request.work.apply(&mut tables)?);
        }
        if !outcomes.iter().any(Outcome::wrote) {
            drop(tables);
            txn.abort()?;
            return Ok(outcomes);
        }
        let (delta, head) = tables.finish(|tree| {
            let audience = self.published.audience();
            let head =
                Checkpoint { origin: origin(audience), size: tree.size(), root: tree.root() };
            self.published.trust().write_head(&head, audience)
        })?;
        drop(view);
        txn.commit()?;
        if batch.iter().zip(&outcomes).any(|(request, outcome)| request.leaves_bytes(outcome)) {
            self.published.owe_compaction();
        }
        self.published.count_batch(batch.len(), started.elapsed());
        // The witness comes first: no reader sees a commit that the witness has not seen.
        self.published.notify_witness(&head)?;
        self.publish(delta, head);
        Ok(outcomes)
    }

    /// Publishes a commit to readers. It is already on disk: if it cannot be published, the callers
    /// still get the result of the commit, and the store stops accepting writes.
    fn publish(&self, delta: Delta, head: String) {
        match shielded(|| Snapshot::open(self.database.begin_read()?)) {
            Ok(snapshot) => self.published.publish(snapshot, delta, head),
            Err(error) => drop(self.published.stop(&error)),
        }
    }

    /// Saves the log state if at least `entries` entries were added since the last save. A start
    /// reads later entries from the log.
    fn save_after(&self, entries: u64) {
        let saved = shielded(|| {
            let view = self.published.view();
            let size = view.log.state.size();
            let audience = self.published.audience();
            if size - view.log.saved < entries || self.published.refuse_if_stopped().is_err() {
                return Ok(None);
            }
            let Some(signer) = self.published.trust().signer(audience)? else { return Ok(None) };
            log::save(&self.database, &view.log.state, &signer, audience)?;
            Ok(Some(size))
        });
        match saved {
            Ok(size) => size.into_iter().for_each(|size| self.published.saved(size)),
            Err(StoreError::Unsigned(_)) => {}
            Err(error) => drop(self.published.stop(&error)),
        }
    }
}

/// Waits for a request, and takes it together with the queued ones, up to the limits of a batch. A job
/// of the file ends the batch and follows it.
fn next_batch(queue: &Receiver<Message>) -> Option<(Vec<Request>, Option<FileJob>)> {
    let mut next = queue.recv().ok();
    next.as_ref()?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(message) = next {
        match message {
            Message::File(job) => return Some((batch, Some(job))),
            Message::Request(request) => {
                bytes += request.bytes;
                batch.push(request);
            }
        }
        let is_full = batch.len() >= BATCH_CHANGES_MAX || bytes >= BATCH_BYTES_MAX;
        next = if is_full { None } else { queue.try_recv().ok() };
    }
    Some((batch, None))
}

impl Work {
    fn apply(&self, tables: &mut Tables<'_>) -> Result<Outcome, StoreError> {
        match self {
            Self::Keep(change, _) => tables.apply(change).map(Outcome::Change),
            Self::Forget { before, limit, .. } => {
                tables.forget(*before, *limit).map(Outcome::Forgotten)
            }
            Self::Sign(_) => Ok(Outcome::Signed),
        }
    }
}

impl Request {
    /// Returns the change that a request committed, if it did.
    fn committed(&self, outcome: &Outcome) -> Option<CommittedChange> {
        match (&self.work, outcome) {
            (Work::Keep(change, _), Outcome::Change(Ok(Commit::Committed { entry }))) => {
                let approval = change.approval.as_ref().map(|version| version.summary.id);
                Some(CommittedChange { approval, entry: *entry, at: change.at })
            }
            _ => None,
        }
    }

    /// Returns whether it was committed and left bytes of rows that must not be in the file any more.
    fn leaves_bytes(&self, outcome: &Outcome) -> bool {
        let Work::Keep(change, _) = &self.work else { return false };
        matches!(outcome, Outcome::Change(Ok(Commit::Committed { .. })))
            && (change.approval.as_ref().is_some_and(Version::erases)
                || !change.removed.is_empty()
                || !change.forgotten.is_empty())
    }

    /// Replies to the caller. The caller may have stopped waiting; a committed change remains
    /// committed.
    fn answer(self, outcome: Outcome) {
        match (self.work, outcome) {
            (Work::Keep(_, reply), Outcome::Change(applied)) => drop(reply.send(applied)),
            (Work::Forget { reply, .. }, Outcome::Forgotten(count)) => drop(reply.send(Ok(count))),
            (Work::Sign(reply), Outcome::Signed) => drop(reply.send(Ok(()))),
            (Work::Keep(..) | Work::Forget { .. } | Work::Sign(_), _) => {}
        }
    }

    fn refuse(self, error: StoreError) {
        match self.work {
            Work::Keep(_, reply) => drop(reply.send(Err(error))),
            Work::Forget { reply, .. } => drop(reply.send(Err(error))),
            Work::Sign(reply) => drop(reply.send(Err(error))),
        }
    }
}

impl Outcome {
    fn wrote(&self) -> bool {
        match self {
            Self::Change(applied) => matches!(applied, Ok(Commit::Committed { .. })),
            Self::Forgotten(count) => *count > 0,
            Self::Signed => true,
        }
    }
}

fn change_bytes(change: &Change) -> usize {
    let approval = change.approval.as_ref().map_or(0, version_bytes);
    let row = |row: &RowChange| row.id.len() + row.value.as_ref().map_or(0, String::len);
    let rows: usize = change.rows.iter().map(row).sum();
    let answer = change.answer.as_ref().map_or(0, |(_, answer)| answer.body.len());
    // An item of the entry for each.
    let items = 160 * (change.removed.len() + change.forgotten.len());
    approval + rows + items + change.event.len() + change.host.len() + answer
}

fn blob_bytes(change: &Change) -> usize {
    change.blob.as_ref().and_then(|blob| blob.bytes.as_ref()).map_or(0, |bytes| bytes.len())
}

fn version_bytes(version: &Version) -> usize {
    let texts = match &version.base {
        Base::New(texts) => texts.context.len() + texts.plan.as_ref().map_or(0, String::len),
        Base::Entry(_) | Base::Erased(_) => 0,
    };
    texts + version.summary.agent.len() + version.summary.action.len() + version.record.len()
}
