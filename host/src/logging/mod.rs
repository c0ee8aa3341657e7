//! The log of a server: one line per event on standard error, as text or JSON. A reader that is slow
//! or gone never holds up the server: lines that do not fit into the queue are dropped and counted.
//!
//! Each line has a fixed message, which names its kind, and fields. `docs/monitoring.md` lists both,
//! and a test compares that list with the lines of a server.

mod limit;
mod queue;

use std::fmt;

use chrono::{SecondsFormat, Utc};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub(crate) use limit::Limited;
use queue::Queue;
pub use queue::dropped;

/// The format of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Time, level, message and fields as `name=value`.
    Text,
    /// One JSON object per line.
    Json,
}

/// The log of this process.
pub struct Log(Option<Queue>);

impl Log {
    /// Writes the lines of this program of a level or a more severe one to standard error, and those
    /// of its libraries from warnings up. The first call of a process counts.
    pub fn install(format: Format, level: Level) -> Self {
        // Without standard error there is no log.
        let Ok(queue) = Queue::to_stderr() else { return Self(None) };
        let targets = Targets::new()
            .with_target(env!("CARGO_PKG_NAME"), level)
            .with_default(level.min(Level::WARN));
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(queue.clone())
            .with_timer(UtcMillis)
            .with_target(false)
            // A line that cannot be formatted must not end a request: the default is to panic.
            .log_internal_errors(false)
            .with_ansi(false);
        let registry = tracing_subscriber::registry().with(targets);
        let _ = match format {
            Format::Text => registry.with(lines).try_init(),
            Format::Json => {
                let lines = lines.json().flatten_event(true);
                registry.with(lines.with_current_span(false).with_span_list(false)).try_init()
            }
        };
        Self(Some(queue))
    }

    /// Waits until the lines so far are written, for at most a second.
    pub fn flush(&self) {
        if let Some(queue) = &self.0 {
            queue.flush();
        }
    }
}

/// RFC 3339 in UTC, with milliseconds.
struct UtcMillis;

impl FormatTime for UtcMillis {
    fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        write!(line, "{}", Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}
