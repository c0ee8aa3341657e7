//! Ids: a prefix and the 26 lower-case characters of a ULID, made in order of time.

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

/// Makes ULIDs that only go up, also within a millisecond and when the clock steps back.
#[derive(Default)]
pub struct IdMaker(Mutex<Ulid>);

const APPROVAL_PREFIX: &str = "appr_";
const EXECUTION_PREFIX: &str = "exec_";
const TOKEN_PREFIX: &str = "tok_";

impl IdMaker {
    /// The next approval's id.
    pub fn approval(&self) -> ApprovalId {
        ApprovalId(self.next())
    }

    /// The next execution's id.
    pub fn execution(&self) -> ExecutionId {
        ExecutionId(self.next())
    }

    /// The next token's id: `tok_` and a ULID.
    pub fn token(&self) -> String {
        token_id(self.next())
    }

    fn next(&self) -> Ulid {
        let fresh = fresh_ulid();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = if fresh.timestamp_ms() > last.timestamp_ms() {
            fresh
        } else {
            // 80 random bits do not overflow within a millisecond but by a chance of 2^-60 or so;
            // then the fresh one is as good.
            last.increment().unwrap_or(fresh)
        };
        *last
    }
}

/// A ULID of now, in no order with others of the same millisecond.
pub(crate) fn fresh_ulid() -> Ulid {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let unix_ms = since_epoch.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    Ulid::from_parts(unix_ms, rand::random())
}

/// Whether a text is a token's id as it is written.
pub fn is_token_id(text: &str) -> bool {
    let ulid = text.strip_prefix(TOKEN_PREFIX).and_then(|ulid| Ulid::from_string(ulid).ok());
    ulid.is_some_and(|ulid| token_id(ulid) == text)
}

fn token_id(ulid: Ulid) -> String {
    format!("{TOKEN_PREFIX}{}", ulid.to_string().to_ascii_lowercase())
}

impl ApprovalId {
    /// Reads an id as it is written: lower case, nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(Ulid::from_string(text.strip_prefix(APPROVAL_PREFIX)?).ok()?);
        (id.to_string() == text).then_some(id)
    }

    /// The 128 bits, in order of time.
    pub fn to_u128(self) -> u128 {
        self.0.into()
    }

    /// The id of 128 bits.
    pub fn from_u128(bits: u128) -> Self {
        Self(Ulid::from(bits))
    }

    /// The lowest and highest id that begin with a prefix, or none where no id can.
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
