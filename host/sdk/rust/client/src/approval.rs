//! Answers about approvals.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::error::Error;

/// An approval as the server shows it. Nothing here is verified, except in a guard with pinned keys.
#[derive(Clone)]
pub struct Approval {
    text: Arc<str>,
    shown: Arc<Shown>,
}

#[derive(Deserialize)]
struct Shown {
    id: String,
    status: Status,
    agent: String,
    action: String,
    expires_at: String,
    context_hash: String,
    #[serde(default)]
    audience: Option<String>,
    #[serde(default)]
    requested_by: Option<String>,
    #[serde(default)]
    plan_hash: Option<String>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    execution: Option<ShownExecution>,
}

#[derive(Deserialize)]
struct ShownExecution {
    id: String,
    outcome: String,
}

/// The status of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// Not decided yet.
    Pending,
    /// Approved, and not used yet.
    Approved,
    /// An approver said no.
    Rejected,
    /// Claimed by an executor.
    Executed,
    /// Too late.
    Expired,
    /// Withdrawn before it was used.
    Withdrawn,
    /// A status that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Status {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Executed => "executed",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Unknown => "unknown",
        }
    }
}

impl Approval {
    /// Reads an approval. With an id, it must be that one.
    pub(crate) fn read(body: Vec<u8>, id: Option<&str>) -> Result<Self, Error> {
        let text = text(body)?;
        let shown: Shown = object(&text)?;
        if let Some(id) = id.filter(|id| *id != shown.id) {
            let detail =
                format!("the server showed `{}`, not the approval that was named", shown.id);
            return Err(Error::untrusted(detail).about(id));
        }
        Ok(Self { text: text.into(), shown: Arc::new(shown) })
    }

    /// The answer as it came: what a verifier takes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `appr_` and 26 characters.
    pub fn id(&self) -> &str {
        &self.shown.id
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.shown.status
    }

    /// The agent.
    pub fn agent(&self) -> &str {
        &self.shown.agent
    }

    /// The action.
    pub fn action(&self) -> &str {
        &self.shown.action
    }

    /// The requester.
    pub fn requested_by(&self) -> Option<&str> {
        self.shown.requested_by.as_deref()
    }

    /// When it expires: RFC 3339, UTC.
    pub fn expires_at(&self) -> &str {
        &self.shown.expires_at
    }

    /// The deployment.
    pub fn audience(&self) -> Option<&str> {
        self.shown.audience.as_deref()
    }

    /// SHA-256 of the canonical context.
    pub fn context_hash(&self) -> &str {
        &self.shown.context_hash
    }

    /// SHA-256 of the canonical plan.
    pub fn plan_hash(&self) -> Option<&str> {
        self.shown.plan_hash.as_deref()
    }

    /// The approver's comment.
    pub fn comment(&self) -> Option<&str> {
        self.shown.comment.as_deref()
    }

    /// The id of its single execution.
    pub fn execution_id(&self) -> Option<&str> {
        self.shown.execution.as_ref().map(|execution| execution.id.as_str())
    }

    /// The outcome of its execution: `claimed`, `succeeded`, `failed` or `unknown`.
    pub fn outcome(&self) -> Option<&str> {
        self.shown.execution.as_ref().map(|execution| execution.outcome.as_str())
    }

    /// Reads any member by its name; `None` if it is absent or null.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if it has another type.
    pub fn member<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        member(&self.text, name)
    }
}

/// Shows id and status alone: an approval holds a context.
impl fmt::Debug for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Approval")
            .field("id", &self.shown.id)
            .field("status", &self.shown.status)
            .finish_non_exhaustive()
    }
}

/// A page of approvals, newest first, without contexts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The approvals.
    pub items: Vec<Approval>,
    /// The cursor of the next page; `None` after the last.
    pub next_cursor: Option<String>,
}

impl Page {
    pub(crate) fn read(body: Vec<u8>) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Shown {
            items: Vec<Box<RawValue>>,
            #[serde(default)]
            next_cursor: Option<String>,
        }
        let text = text(body)?;
        let shown: Shown = object(&text)?;
        let items = shown.items.into_iter().map(|item| {
            let item: Box<str> = item.into();
            Approval::read(item.into_string().into_bytes(), None)
        });
        Ok(Self { items: items.collect::<Result<_, _>>()?, next_cursor: shown.next_cursor })
    }
}

/// Reads an answer as text.
pub(crate) fn text(body: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(body).map_err(|_| Error::unreachable("the server's answer is not UTF-8"))
}

/// Reads an answer as what its route returns: an object.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    // Serde would also read an array with the members in order.
    if !text.trim_start().starts_with('{') {
        return Err(Error::unreachable("the server's answer is not a JSON object"));
    }
    parse(text)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        let detail = "the server's answer is not what this call returns";
        Error::unreachable(format!("{detail}: line {line}, column {column}"))
    })
}

/// Reads one member of an answer.
pub(crate) fn member<T: DeserializeOwned>(text: &str, name: &str) -> Result<Option<T>, Error> {
    let members: std::collections::BTreeMap<String, &RawValue> = object(text)?;
    members.get(name).map_or(Ok(None), |member| parse(member.get()))
}
