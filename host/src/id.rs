//! Ids: a prefix and the 26 lower-case characters of a ULID, in chronological order.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ulid::Ulid;

/// `appr_` and 26 lower-case characters of a ULID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApprovalId(Ulid);

/// `exec_` and 26 lower-case characters of a ULID.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExecutionId(Ulid);

/// Makes strictly increasing ULIDs, even within a millisecond and when the clock is set back.
#[derive(Default)]
pub struct IdMaker(Mutex<Ulid>);

const APPROVAL_PREFIX: &str = "appr_";
const EXECUTION_PREFIX: &str = "exec_";
const TOKEN_PREFIX: &str = "tok_";

impl IdMaker {
    /// Returns the next approval's id.
    pub fn approval(&self) -> ApprovalId {
        ApprovalId(self.next())
    }

    /// Returns the next execution's id.
    pub fn execution(&self) -> ExecutionId {
        ExecutionId(self.next())
    }

    /// Returns the next token's id: `tok_` and a ULID.
    pub fn token(&self) -> String {
        token_id(self.next())
    }

    fn next(&self) -> Ulid {
        let fresh = fresh_ulid();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = if fresh.timestamp_ms() > last.timestamp_ms() {
            fresh
        } else {
            // 80 random bits overflow within a millisecond with a probability of about 2^-60; then
            // the fresh one is used.
            last.increment().unwrap_or(fresh)
        };
        *last
    }
}

/// Returns a ULID of the current time, unordered within a millisecond.
pub(crate) fn fresh_ulid() -> Ulid {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let unix_ms = since_epoch.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    Ulid::from_parts(unix_ms, rand::random())
}

/// Returns whether a text is a token id in its canonical form.
pub fn is_token_id(text: &str) -> bool {
    let ulid = text.strip_prefix(TOKEN_PREFIX).and_then(|ulid| Ulid::from_string(ulid).ok());
    ulid.is_some_and(|ulid| token_id(ulid) == text)
}

fn token_id(ulid: Ulid) -> String {
    format!("{TOKEN_PREFIX}{}", ulid.to_string().to_ascii_lowercase())
}

impl ApprovalId {
    /// Parses an id in its canonical form, which is lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(Ulid::from_string(text.strip_prefix(APPROVAL_PREFIX)?).ok()?);
        (id.to_string() == text).then_some(id)
    }

    /// Returns the 128 bits, which are in chronological order.
    pub fn to_u128(self) -> u128 {
        self.0.into()
    }

    /// Makes an id from 128 bits.
    pub fn from_u128(bits: u128) -> Self {
        Self(Ulid::from(bits))
    }

    /// Returns the lowest and highest id that begin with a prefix; `None` if no id can.
    pub fn prefix_range(prefix: &str) -> Option<(Self, Self)> {
        let digits = prefix.strip_prefix(APPROVAL_PREFIX).unwrap_or(prefix);
        if digits.len() > 26 || !digits.is_ascii() {
            return None;
        }
        let bound = |fill: char| {
            let tail: String = std::iter::repeat_n(fill, 26 - digits.len()).collect();
            let first_fits = !digits.is_empty() || fill == '0';
            let text =
                if first_fits { format!("{digits}{tail}") } else { format!("7{}", &tail[1..]) };
            Self::parse(&format!("{APPROVAL_PREFIX}{text}"))
        };
        Some((bound('0')?, bound('z')?))
    }
}

macro_rules! shown {
    ($($name:ident, $prefix:ident;)*) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.to_string().to_ascii_lowercase())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )* };
}
shown! {
    ApprovalId, APPROVAL_PREFIX;
    ExecutionId, EXECUTION_PREFIX;
}
