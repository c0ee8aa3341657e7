//! Waits and streams: requests that hold their connection for long. One caller holds only so many,
//! so that it leaves room for others.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Connection;
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
pub(super) struct HeldRequests(Mutex<HashMap<Holder, usize>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Holder {
    /// A subject in lower case: one person in two spellings is one person.
    Subject(String),
    /// A caller without a token.
    Address(Option<IpAddr>),
}

/// Where a request comes from; `None` over a Unix socket and in process.
pub(super) struct Address(pub(super) Option<IpAddr>);

/// One wait or stream; dropping it ends it.
#[derive(Debug)]
pub(super) struct HeldRequest {
    all: Arc<HeldRequests>,
    holder: Holder,
}

impl HeldRequests {
    /// Begins a wait or stream.
    ///
    /// Refusals: `rate-limited`.
    pub(super) fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        address: Option<IpAddr>,
    ) -> Result<HeldRequest, Refusal> {
        let (holder, most) = match caller.proven_subject() {
            Some(subject) => (Holder::Subject(subject.to_ascii_lowercase()), HELD_OF_SUBJECT_MAX),
            None => (Holder::Address(address), OF_ADDRESS_MAX),
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
        Ok(HeldRequest { all: Arc::clone(self), holder })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Holder, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let connection = parts.extensions.get::<Arc<Connection>>();
        Ok(Self(connection.and_then(|connection| connection.address())))
    }
}

impl Drop for HeldRequest {
    fn drop(&mut self) {
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
            .map(|subject| all.begin(&caller(subject), None).unwrap())
            .collect();
        let refused = all.begin(&caller("ANN@company.com"), None).unwrap_err();
        assert_eq!(refused.code, Code::RATE_LIMITED);
        held.push(all.begin(&caller("ben@company.com"), None).unwrap());
        held.remove(0);
        held.push(all.begin(&caller("ann@company.com"), None).unwrap());
        drop(held);
        assert!(all.held().is_empty());
    }

    #[test]
    fn callers_without_a_token_are_counted_by_address_and_all_together() {
        let all = Arc::<HeldRequests>::default();
        let addresses: Vec<IpAddr> =
            ["127.0.0.1", "127.0.0.2", "127.0.0.3"].iter().map(|a| a.parse().unwrap()).collect();
        let begin = |number: usize| all.begin(&Caller::local(), addresses.get(number).copied());
        let mut held: Vec<_> = (0..OF_ADDRESS_MAX).map(|_| begin(0).unwrap()).collect();
        assert!(begin(0).is_err());
        held.extend((OF_ADDRESS_MAX..OF_ALL_MAX).map(|_| begin(1).unwrap()));
        assert!(begin(2).is_err());
        assert!(all.begin(&caller("ann@company.com"), None).is_err());
        all.begin(&with_roles("admin@company.com", &[Role::Admin]), None).unwrap();
    }
}
