//! The settings of a server's log and of its events.

use tracing::Level;

use crate::config::Effective;
use crate::logging::Format;

/// What a server logs and prints.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogSettings {
    /// `None`: text, JSON with `--json`.
    format: Option<Format>,
    level: Level,
    no_events: bool,
    quiet: bool,
}

impl LogSettings {
    /// Reads them from the settings in force.
    pub(super) fn of(effective: &Effective) -> Self {
        let word = |name| effective.words(name).first().map(String::as_str);
        Self {
            format: match word("log.format") {
                Some("text") => Some(Format::Text),
                Some("json") => Some(Format::Json),
                _ => None,
            },
            level: match word("log.level") {
                Some("error") => Level::ERROR,
                Some("warn") => Level::WARN,
                Some("debug") => Level::DEBUG,
                _ => Level::INFO,
            },
            no_events: effective.is_on("log.no_events"),
            quiet: effective.is_on("log.quiet"),
        }
    }

    /// Returns the format of the log.
    pub(super) fn format(self, json: bool) -> Format {
        self.format.unwrap_or(if json { Format::Json } else { Format::Text })
    }

    /// Returns the least severe level of the log.
    pub(super) fn level(self) -> Level {
        if self.quiet { self.level.min(Level::WARN) } else { self.level }
    }

    /// Returns whether to print audit entries.
    pub(super) fn prints_events(self) -> bool {
        !self.quiet && !self.no_events
    }

    /// Returns whether to print the start lines. With `--json` they are one line of data, which a
    /// script needs to know the address.
    pub(super) fn prints_start(self, json: bool) -> bool {
        json || !self.quiet
    }
}
