//! The queue between those who log and the thread that writes.

use std::fs::File;
use std::io::{self, Write, stderr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait while the reader is slow. A line has some hundred bytes.
const LINES_MAX: usize = 4_096;
/// Lines written with one call, if they wait already.
const AT_ONCE_MAX: u64 = 64;
/// How long a stopping server waits for its last lines.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);
const FLUSH_RETRY: Duration = Duration::from_millis(5);

/// Lines of this process that were not written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Returns the number of lines of this process that were not written: the reader was too slow, or
/// gone.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// A bounded queue of lines. Clones share it.
#[derive(Clone)]
pub(super) struct Queue(SyncSender<Message>);

enum Message {
    Line(Vec<u8>),
    /// Answered once the lines before it are written.
    Flush(SyncSender<()>),
}

impl Queue {
    /// Starts the thread that writes to standard error.
    pub(super) fn to_stderr() -> io::Result<Self> {
        // Its own handle: a blocked write must not hold the lock of the standard library's.
        let out = File::from(stderr().as_fd().try_clone_to_owned()?);
        let (sender, receiver) = sync_channel(LINES_MAX);
        thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&receiver, out))?;
        Ok(Self(sender))
    }

    pub(super) fn flush(&self) {
        let end = Instant::now() + FLUSH_TIME_MAX;
        let (done, written) = sync_channel(1);
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = self.0.try_send(message) {
            if Instant::now() >= end {
                return;
            }
            message = back;
            thread::sleep(FLUSH_RETRY);
        }
        let _ = written.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

/// Writes lines until the process ends.
fn write_lines(queue: &Receiver<Message>, mut out: impl Write) {
    let mut reported = 0;
    while let Ok(first) = queue.recv() {
        let (mut lines, mut count, mut flushed) = (Vec::new(), 0_u64, None);
        let mut next = Some(first);
        while let Some(message) = next.take() {
            match message {
                Message::Line(line) => {
                    lines.extend_from_slice(&line);
                    count += 1;
                }
                Message::Flush(done) => flushed = Some(done),
            }
            if flushed.is_none() && count < AT_ONCE_MAX {
                next = queue.try_recv().ok();
            }
        }
        if out.write_all(&lines).is_err() {
            // Not reported: that line would fail as well.
            reported = DROPPED.fetch_add(count, Ordering::Relaxed) + count;
        }
        if let Some(done) = flushed {
            let _ = done.send(());
        }
        let dropped = dropped();
        if dropped > reported {
            reported = dropped;
            tracing::warn!(dropped, "log lines dropped");
        }
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Queue;

    fn make_writer(&'a self) -> &'a Queue {
        self
    }
}

impl Write for &Queue {
    /// Queues a line, which comes with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Message::Line(line.to_vec())).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A reader that takes nothing until it is released, and then fails if it is to.
    #[derive(Clone)]
    struct Slow {
        held: Arc<Mutex<()>>,
        written: Arc<Mutex<Vec<u8>>>,
        fails: bool,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _held = self.held.lock().unwrap();
            if self.fails {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue(fails: bool) -> (Queue, Slow) {
        let slow = Slow { held: Arc::default(), written: Arc::default(), fails };
        let (sender, receiver) = sync_channel(LINES_MAX);
        let out = slow.clone();
        thread::spawn(move || write_lines(&receiver, out));
        (Queue(sender), slow)
    }

    /// One test for all, because they count in one process.
    #[test]
    fn a_slow_or_closed_reader_loses_lines_and_holds_nobody_up() {
        let (queue, slow) = queue(false);
        let held = slow.held.lock().unwrap();
        let before = dropped();
        let sent = LINES_MAX as u64 + AT_ONCE_MAX + 100;
        for number in 0..sent {
            (&queue).write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        let lost = dropped() - before;
        assert!((100..=100 + AT_ONCE_MAX).contains(&lost), "{lost}");
        queue.flush();
        drop(held);
        queue.flush();
        let written = String::from_utf8(slow.written.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines.len() as u64 + lost, sent);
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(*line, format!("line {number}"), "whole and in order");
        }

        let (closed, _slow) = self::queue(true);
        let before = dropped();
        (&closed).write_all(b"a\n").unwrap();
        (&closed).write_all(b"b\n").unwrap();
        closed.flush();
        assert_eq!(dropped() - before, 2);
    }
}
