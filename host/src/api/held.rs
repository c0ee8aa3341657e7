//! Waits and streams: requests that hold their connection for long. One caller holds only so many,
//! so that it leaves room for others.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Connection;
use super::observe::RequestNotes;
use crate::caller::Caller;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::role::Role;

/// Waits and streams of one subject, whatever tokens it has.
pub const HELD_OF_SUBJECT_MAX: usize = 64;
/// Waits and streams of callers without a token from one address.
const OF_ADDRESS_MAX: usize = 256;
/// Waits and streams of all callers but admins: half of the connections stay for short requests.
const OF_ALL_MAX: usize = 512;

/// The waits and streams that are open.
#[derive(Debug, Default)]
pub(super) struct HeldRequests {
    by_holder: Mutex<HashMap<Holder, usize>>,
    waits: AtomicU64,
    streams: AtomicU64,
}

/// What a request is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldFor {
    /// A change of an approval or of the policy.
    Wait,
    /// Audit entries, one after the other.
    Stream,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Holder {
    /// A subject in lower case: one person in two spellings is one person.
    Subject(String),
    /// A caller without a token.
    Address(Option<IpAddr>),
}

/// Where a request comes from, and what its line in the log says of it.
#[derive(Default)]
pub(super) struct Address {
    /// `None` over a Unix socket and in process.
    ip: Option<IpAddr>,
    notes: Option<Arc<RequestNotes>>,
}

/// One wait or stream; dropping it ends it.
#[derive(Debug)]
pub(super) struct HeldRequest {
    all: Arc<HeldRequests>,
    holder: Holder,
    held_for: HeldFor,
}

impl HeldRequests {
    /// Begins a wait or stream.
    ///
    /// Refusals: `rate-limited`.
    pub(super) fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        address: &Address,
        held_for: HeldFor,
    ) -> Result<HeldRequest, Refusal> {
        let (holder, most) = match caller.proven_subject() {
            Some(subject) => (Holder::Subject(subject.to_ascii_lowercase()), HELD_OF_SUBJECT_MAX),
            None => (Holder::Address(address.ip), OF_ADDRESS_MAX),
        };
        let mut held = self.held();
        if held.get(&holder).is_some_and(|count| *count >= most) {
            return Err(Refusal::new(
                Code::RATE_LIMITED,
                format!(
                    "{most} waits and streams of this caller are open; close one, or ask without `wait`"
                ),
            ));
        }
        let is_admin = caller.proven_subject().is_some() && caller.has(Role::Admin);
        if !is_admin && held.values().sum::<usize>() >= OF_ALL_MAX {
            return Err(Refusal::new(
                Code::RATE_LIMITED,
                format!("{OF_ALL_MAX} waits and streams are open; ask without `wait`"),
            ));
        }
        *held.entry(holder.clone()).or_default() += 1;
        drop(held);
        self.of(held_for).fetch_add(1, Ordering::Relaxed);
        if let Some(notes) = &address.notes {
            notes.hold();
        }
        Ok(HeldRequest { all: Arc::clone(self), holder, held_for })
    }

    /// Returns how many there are of each kind.
    pub(super) fn counts(&self) -> [(&'static str, u64); 2] {
        let count = |held_for| self.of(held_for).load(Ordering::Relaxed);
        [("wait", count(HeldFor::Wait)), ("stream", count(HeldFor::Stream))]
    }

    fn of(&self, held_for: HeldFor) -> &AtomicU64 {
        match held_for {
            HeldFor::Wait => &self.waits,
            HeldFor::Stream => &self.streams,
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Holder, usize>> {
        self.by_holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let connection = parts.extensions.get::<Arc<Connection>>();
        Ok(Self {
            ip: connection.and_then(|connection| connection.address()),
            notes: parts.extensions.get().cloned(),
        })
    }
}

impl Drop for HeldRequest {
    fn drop(&mut self) {
        self.all.of(self.held_for).fetch_sub(1, Ordering::Relaxed);
        let mut held = self.all.held();
        if let Some(count) = held.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::caller::Holder as Token;

    fn begin(all: &Arc<HeldRequests>, caller: &Caller) -> Result<HeldRequest, Refusal> {
        all.begin(caller, &Address::default(), HeldFor::Wait)
    }

    fn caller(subject: &str) -> Caller {
        with_roles(subject, &[])
    }

    fn with_roles(subject: &str, roles: &[Role]) -> Caller {
        Caller::holding(Token {
            token_id: String::new(),
            subject: subject.to_owned(),
            roles: roles.to_vec(),
            agents: None,
        })
    }

    #[test]
    fn one_person_in_any_spelling_holds_only_so_many() {
        let all = Arc::<HeldRequests>::default();
        let subjects = ["ann@company.com", "Ann@Company.com"].into_iter().cycle();
        let mut held: Vec<_> = subjects
            .take(HELD_OF_SUBJECT_MAX)
            .map(|subject| begin(&all, &caller(subject)).unwrap())
            .collect();
        let refused = begin(&all, &caller("ANN@company.com")).unwrap_err();
        assert_eq!(refused.code, Code::RATE_LIMITED);
        held.push(begin(&all, &caller("ben@company.com")).unwrap());
        held.remove(0);
        held.push(begin(&all, &caller("ann@company.com")).unwrap());
        assert_eq!(all.counts(), [("wait", HELD_OF_SUBJECT_MAX as u64 + 1), ("stream", 0)]);
        drop(held);
        assert!(all.held().is_empty());
        assert_eq!(all.counts(), [("wait", 0), ("stream", 0)]);
    }

    #[test]
    fn callers_without_a_token_are_counted_by_address_and_all_together() {
        let all = Arc::<HeldRequests>::default();
        let addresses: Vec<IpAddr> =
            ["127.0.0.1", "127.0.0.2", "127.0.0.3"].iter().map(|a| a.parse().unwrap()).collect();
        let begin_at = |number: usize| {
            let address = Address { ip: addresses.get(number).copied(), notes: None };
            all.begin(&Caller::local(), &address, HeldFor::Stream)
        };
        let mut held: Vec<_> = (0..OF_ADDRESS_MAX).map(|_| begin_at(0).unwrap()).collect();
        assert!(begin_at(0).is_err());
        held.extend((OF_ADDRESS_MAX..OF_ALL_MAX).map(|_| begin_at(1).unwrap()));
        assert!(begin_at(2).is_err());
        assert!(begin(&all, &caller("ann@company.com")).is_err());
        begin(&all, &with_roles("admin@company.com", &[Role::Admin])).unwrap();
    }
}
