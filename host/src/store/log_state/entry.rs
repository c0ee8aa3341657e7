//! The text of an audit entry, format 2.
//!
//! ```text
//! {"format":2,"at":"2026-11-29T01:20:53Z","event":{…},"host":{…},
//!  "state":[{"kind":"approval","id":"appr_…","status":"approved","sha256":"…","prev":12}]}
//! ```
//!
//! `event` is the verifier's or the host's object, byte for byte as given. `host` holds the members
//! that the host adds: the verifier's digest, the policy's verdict, the request id. `state` has an
//! item for each row that the change wrote: its kind and id, an approval's stored status, the hash
//! of the row (`null` if the row was removed), and the entry that wrote the previous version (0 if
//! there is none).

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::IgnoredAny;
use signoff_core::time::UnixSeconds;

use crate::store::{RowKind, Status};
use signoff_core::log::tree::Hash;

/// The format written and read here.
const FORMAT: u32 = 2;

/// A row that a change wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateItem<'a> {
    pub(crate) kind: RowKind,
    pub(crate) id: Cow<'a, str>,
    /// The status of an approval.
    pub(crate) status: Option<Status>,
    /// The hash of the row; `None` if it was removed.
    pub(crate) sha256: Option<Hash>,
    /// The entry that wrote the previous version; 0 if there is none.
    pub(crate) prev: u64,
}

/// The parts of an entry that the log state uses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EntryParts<'a> {
    /// In unix seconds.
    pub(crate) at: u64,
    pub(crate) state: Vec<StateItem<'a>>,
}

/// Returns the text of an entry. `event` and `host` are JSON objects.
pub(crate) fn write(at: u64, event: &str, host: &str, state: &[StateItem<'_>]) -> String {
    let mut text = String::with_capacity(event.len() + host.len() + 80 + state.len() * 160);
    let time = UnixSeconds::new(at).unwrap_or_default().rfc3339();
    // Writing to a `String` cannot fail.
    let _ = write!(
        text,
        r#"{{"format":{FORMAT},"at":"{time}","event":{event},"host":{host},"state":["#
    );
    for (at, item) in state.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        item.write(&mut text);
    }
    text.push_str("]}");
    text
}

impl StateItem<'_> {
    fn write(&self, text: &mut String) {
        // Ids are hex, ULIDs and names of letters, digits, `_` and `-`: JSON escapes none of these.
        let _ = write!(text, r#"{{"kind":"{}","id":"{}""#, self.kind, self.id);
        if let Some(status) = self.status {
            let _ = write!(text, r#","status":"{}""#, status.as_str());
        }
        match &self.sha256 {
            Some(sha256) => {
                let _ = write!(text, r#","sha256":"{}""#, hex::encode(sha256));
            }
            None => text.push_str(r#","sha256":null"#),
        }
        let _ = write!(text, r#","prev":{}}}"#, self.prev);
    }
}

impl<'a> EntryParts<'a> {
    /// Reads the parts of an entry.
    ///
    /// # Errors
    ///
    /// The reason why a text is not an entry of format 2.
    pub(crate) fn read(text: &'a str) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields<'a> {
            format: u32,
            #[serde(borrow)]
            at: Cow<'a, str>,
            #[serde(rename = "event")]
            _event: IgnoredAny,
            #[serde(rename = "host")]
            _host: IgnoredAny,
            #[serde(borrow)]
            state: Vec<Item<'a>>,
        }
        #[derive(Deserialize)]
        struct Item<'a> {
            #[serde(borrow)]
            kind: Cow<'a, str>,
            #[serde(borrow)]
            id: Cow<'a, str>,
            #[serde(borrow)]
            status: Option<Cow<'a, str>>,
            #[serde(borrow)]
            sha256: Option<Cow<'a, str>>,
            prev: u64,
        }
        let fields: Fields<'a> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if fields.format != FORMAT {
            return Err(format!("format {}, expected {FORMAT}", fields.format));
        }
        let at = UnixSeconds::parse(&fields.at).ok_or("at: not an RFC 3339 time in UTC")?.seconds();
        let item = |item: Item<'a>| {
            let status = item.status.map(|status| Status::parse(&status).ok_or("status"));
            let sha256 = item.sha256.map(|text| {
                let mut hash = Hash::default();
                hex::decode_to_slice(text.as_bytes(), &mut hash)
                    .map(|()| hash)
                    .map_err(|_| "sha256")
            });
            Ok(StateItem {
                kind: RowKind::parse(&item.kind).ok_or("kind")?,
                id: item.id,
                status: status.transpose()?,
                sha256: sha256.transpose()?,
                prev: item.prev,
            })
        };
        let state: Result<Vec<_>, &str> = fields.state.into_iter().map(item).collect();
        let state = state.map_err(|member| format!("state: malformed {member}"))?;
        Ok(Self { at, state })
    }

    /// Returns the hash that the entry records for a row.
    pub(crate) fn hash_of(&self, kind: RowKind, id: &str) -> Option<Hash> {
        self.state.iter().find(|item| item.kind == kind && item.id == id)?.sha256
    }
}
