//! A backend that buffers redb's writes in memory until the file is known to be a valid store.
//!
//! Opening a file for writing changes it: redb repairs after a crash and marks it as in use. A file
//! that is damaged or belongs to another program must stay unchanged, so nothing is written until
//! [`Gate::open`]. Then the same writes and syncs follow in the same order, which makes them as
//! safe against a crash as unbuffered ones.

use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use redb::{BackendError, StorageBackend};

/// The backend passed to redb.
#[derive(Debug)]
pub(super) struct BufferedBackend<B>(Arc<Gate<B>>);

/// Controls when the writes reach the file.
#[derive(Debug)]
pub(super) struct Gate<B> {
    file: B,
    /// The file's length, which is constant while nothing is written. redb locks the file before it
    /// reads the length.
    file_len: OnceLock<u64>,
    open: AtomicBool,
    buffered: Mutex<Vec<Step>>,
}

#[derive(Debug)]
enum Step {
    SetLen(u64),
    Write(u64, Vec<u8>),
    Sync,
}

impl<B: StorageBackend> BufferedBackend<B> {
    pub(super) fn new(file: B) -> (Self, Arc<Gate<B>>) {
        let gate = Arc::new(Gate {
            file,
            file_len: OnceLock::new(),
            open: AtomicBool::new(false),
            buffered: Mutex::new(Vec::new()),
        });
        (Self(Arc::clone(&gate)), gate)
    }
}

impl<B: StorageBackend> Gate<B> {
    /// Writes the buffered steps and stops buffering.
    pub(super) fn open(&self) -> io::Result<()> {
        let mut buffered = self.buffered();
        for step in buffered.drain(..) {
            match step {
                Step::SetLen(len) => self.file.set_len(len)?,
                Step::Write(offset, data) => self.file.write(offset, &data)?,
                Step::Sync => self.file.sync_data()?,
            }
        }
        self.open.store(true, Ordering::Release);
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    fn buffered(&self) -> MutexGuard<'_, Vec<Step>> {
        self.buffered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The length including the buffered steps.
    fn len(&self) -> io::Result<u64> {
        let set = self.buffered().iter().rev().find_map(|step| match step {
            Step::SetLen(len) => Some(*len),
            Step::Write(..) | Step::Sync => None,
        });
        set.map_or_else(|| self.file_len(), Ok)
    }

    fn file_len(&self) -> io::Result<u64> {
        if let Some(len) = self.file_len.get() {
            return Ok(*len);
        }
        let len = self.file.len()?;
        Ok(*self.file_len.get_or_init(|| len))
    }

    /// Reads the file as if the buffered steps had been applied.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let in_file =
            usize::try_from(self.file_len()?.saturating_sub(offset)).unwrap_or(usize::MAX);
        let past_end = offset.saturating_add(out.len() as u64) > self.len()?;
        if past_end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (from_file, beyond) = out.split_at_mut(in_file.min(out.len()));
        if !from_file.is_empty() {
            self.file.read(offset, from_file)?;
        }
        beyond.fill(0);
        for step in self.buffered().iter() {
            match step {
                Step::Write(at, data) => lay_over(out, offset, data, *at),
                Step::SetLen(len) => blank_from(out, offset, *len),
                Step::Sync => {}
            }
        }
        Ok(())
    }
}

/// Copies the part of `data` (at offset `data_at`) that overlaps `out` (at offset `out_at`).
fn lay_over(out: &mut [u8], out_at: u64, data: &[u8], data_at: u64) {
    let skip_out = usize::try_from(data_at.saturating_sub(out_at)).unwrap_or(usize::MAX);
    let skip_data = usize::try_from(out_at.saturating_sub(data_at)).unwrap_or(usize::MAX);
    for (to, from) in out.iter_mut().skip(skip_out).zip(data.iter().skip(skip_data)) {
        *to = *from;
    }
}

/// Zeroes bytes past `len`: they read as zero if the file grows again.
fn blank_from(out: &mut [u8], out_at: u64, len: u64) {
    let keep = usize::try_from(len.saturating_sub(out_at)).unwrap_or(usize::MAX);
    for byte in out.iter_mut().skip(keep) {
        *byte = 0;
    }
}

impl<B: StorageBackend> StorageBackend for BufferedBackend<B> {
    fn len(&self) -> io::Result<u64> {
        if self.0.is_open() { self.0.file.len() } else { self.0.len() }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.0.is_open() { self.0.file.read(offset, out) } else { self.0.read(offset, out) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.0.is_open() {
            return self.0.file.set_len(len);
        }
        self.0.buffered().push(Step::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.0.is_open() {
            return self.0.file.sync_data();
        }
        self.0.buffered().push(Step::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.0.is_open() {
            return self.0.file.write(offset, data);
        }
        self.0.buffered().push(Step::Write(offset, data.to_vec()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}
