//! The signed message: the format of the four fields, and how they are joined.

use std::fmt::Write;

use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta, Utc};

use crate::verifier::Statement;

/// A message as a signer may have made it. Initially the correct one.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) decision: String,
    pub(super) approver: String,
    expires_at: DateTime<Utc>,
    pub(super) offset_minutes: i32,
    pub(super) time_format: &'static str,
    pub(super) order: Vec<Field>,
    pub(super) separator: &'static str,
    pub(super) around: Around,
}

/// The fields of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Decision,
    Approver,
    ExpiresAt,
}

/// The text around the joined fields.
#[derive(Clone)]
pub(super) enum Around {
    Text(&'static str, &'static str),
    Json { id: &'static str, sorted: bool, compact: bool },
    Instead(&'static str),
}

/// The correct order.
pub(super) const FIELDS: [Field; 4] =
    [Field::Id, Field::Decision, Field::Approver, Field::ExpiresAt];
/// Python's `isoformat()` of an aware datetime in whole seconds.
const ISOFORMAT: &str = "%Y-%m-%dT%H:%M:%S%:z";

impl Draft {
    /// Returns the correct message.
    pub(super) fn of(statement: &Statement) -> Self {
        let seconds = i64::try_from(statement.expires_at).unwrap_or_default();
        Self {
            id: statement.approval_id.clone(),
            decision: statement.decision.clone(),
            approver: statement.approver.clone(),
            expires_at: DateTime::from_timestamp(seconds, 0).unwrap_or_default(),
            offset_minutes: 0,
            time_format: ISOFORMAT,
            order: FIELDS.to_vec(),
            separator: ":",
            around: Around::Text("", ""),
        }
    }

    /// Returns the expiry in the correct format, `seconds` later.
    pub(super) fn time_moved(&self, seconds: i64) -> Option<String> {
        let moved = self.expires_at.checked_add_signed(TimeDelta::try_seconds(seconds)?)?;
        Some(moved.to_rfc3339_opts(SecondsFormat::Secs, false))
    }

    pub(super) fn text(&self) -> String {
        let fields: Vec<String> = self.order.iter().map(|field| self.field(*field)).collect();
        match self.around {
            Around::Text(before, after) => {
                format!("{before}{}{after}", fields.join(self.separator))
            }
            Around::Instead(text) => text.to_owned(),
            Around::Json { id, sorted, compact } => self.json(id, sorted, compact),
        }
    }

    /// Returns the expiry in this message's format.
    pub(super) fn time(&self) -> String {
        let utc = FixedOffset::east_opt(0);
        let Some(zone) = FixedOffset::east_opt(self.offset_minutes * 60).or(utc) else {
            return String::new();
        };
        let mut text = String::new();
        let local = self.expires_at.with_timezone(&zone);
        // A time that cannot be formatted gives no message, and so no match.
        let _ = write!(text, "{}", local.format(self.time_format));
        text
    }

    fn field(&self, field: Field) -> String {
        match field {
            Field::Id => self.id.clone(),
            Field::Decision => self.decision.clone(),
            Field::Approver => self.approver.clone(),
            Field::ExpiresAt => self.time(),
        }
    }

    fn json(&self, id: &str, sorted: bool, compact: bool) -> String {
        let name = |field: &Field| match field {
            Field::Id => id,
            Field::Decision => "decision",
            Field::Approver => "approver",
            Field::ExpiresAt => "expires_at",
        };
        let mut members: Vec<_> = self.order.iter().map(|f| (name(f), self.field(*f))).collect();
        if sorted {
            members.sort_unstable();
        }
        let (comma, colon) = if compact { (",", ":") } else { (", ", ": ") };
        let member =
            |(name, text): (&str, String)| format!("\"{name}\"{colon}{}", serde_json::json!(text));
        let members: Vec<String> = members.into_iter().map(member).collect();
        format!("{{{}}}", members.join(comma))
    }
}

impl Field {
    /// Returns its name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Id => "approval id",
            Self::Decision => "decision",
            Self::Approver => "approver",
            Self::ExpiresAt => "expiry",
        }
    }
}
