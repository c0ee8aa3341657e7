//! An in-memory disk that fails on command and can show its content after a power cut.

use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{BackendError, StorageBackend};

use super::Dice;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    live: Vec<u8>,
    synced: Vec<u8>,
    since_sync: Vec<Step>,
    operations: u64,
    fault: Fault,
}

/// The injected fault.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Fault {
    #[default]
    None,
    /// One operation fails, counted from 0.
    Once(u64),
    /// Every operation from this one on fails.
    From(u64),
    /// The disk has a capacity of this many bytes.
    Full(u64),
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Disk {
    pub(super) fn with(bytes: Vec<u8>) -> Self {
        let state = State { synced: bytes.clone(), live: bytes, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Resets the operation counter and injects a fault.
    pub(super) fn set(&self, fault: Fault) {
        let mut state = self.state();
        state.operations = 0;
        state.fault = fault;
    }

    pub(super) fn operations(&self) -> u64 {
        self.state().operations
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.state().live.clone()
    }

    /// A possible content after a power cut: everything synced, and any part of the later writes.
    pub(super) fn after_power_cut(&self, dice: &mut Dice) -> Vec<u8> {
        let state = self.state();
        let mut bytes = state.synced.clone();
        for step in &state.since_sync {
            if dice.below(2) == 0 {
                step.take(&mut bytes);
            }
        }
        bytes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn operate(&self, grows_to: u64) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        let operation = state.operations;
        state.operations += 1;
        match state.fault {
            Fault::Once(at) if operation == at => Err(io::Error::other("it failed once")),
            Fault::From(at) if operation >= at => Err(io::Error::other("it is broken")),
            Fault::Full(bytes) if grows_to > bytes => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(state),
        }
    }
}

impl Step {
    fn take(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                let start = *offset as usize;
                let end = start + data.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[start..end].copy_from_slice(data);
            }
            Self::SetLen(len) => bytes.resize(*len as usize, 0),
        }
    }
}

impl State {
    fn step(&mut self, step: Step) {
        step.take(&mut self.live);
        self.since_sync.push(step);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.operate(0)?.live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.operate(0)?;
        let from = state.live.get(offset as usize..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.operate(len)?.step(Step::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.operate(0)?;
        state.synced = state.live.clone();
        state.since_sync.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.operate(offset + data.len() as u64)?.step(Step::Write(offset, data.to_vec()));
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

/// A backend whose writes fail once a switch is on. Other handles can still read the file.
#[derive(Debug)]
pub(super) struct Breaking<B> {
    file: B,
    is_broken: Arc<AtomicBool>,
}

pub(super) fn breaking<B: StorageBackend>(file: B) -> (Breaking<B>, Arc<AtomicBool>) {
    let is_broken = Arc::new(AtomicBool::new(false));
    (Breaking { file, is_broken: Arc::clone(&is_broken) }, is_broken)
}

impl<B> Breaking<B> {
    fn writes(&self) -> io::Result<&B> {
        let is_broken = self.is_broken.load(Ordering::Relaxed);
        if is_broken { Err(io::ErrorKind::StorageFull.into()) } else { Ok(&self.file) }
    }
}

impl<B: StorageBackend> StorageBackend for Breaking<B> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writes()?.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.writes()?.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.writes()?.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
