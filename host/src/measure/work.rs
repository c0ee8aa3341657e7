//! The measured operations: verifying a signature, digesting a text, committing decisions.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64ct::{Base64UrlUnpadded, Encoding};
use futures_util::future::try_join_all;
use tokio::runtime::Runtime;

use crate::api::{Approval, TokenShown};
use crate::approvals::{Ballot, NewApproval};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::{Allocation, Cache, Loader};
use crate::id::ApprovalId;
use crate::identity::NewToken;
use crate::keys::{KeySource, Keys, keyring_beside, make_keyring};
use crate::role::Role;
use crate::service::Service;
use crate::store::Store;
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::verifier::{Accepted, Key, Statement, Verifier};

/// More than the length of one member of the JSON plus the padding after the last one.
const MEMBER_BYTES_MAX: usize = 200;

/// Seed and public key of RFC 8032, section 7.1, test 1.
const ED25519: [&str; 2] =
    ["nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"];

/// A statement with its signature and key.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The signed statement.
    pub statement: Statement,
    /// Its signature.
    pub signature: String,
    /// The key that made it.
    pub key: Key,
    keys: Vec<Key>,
    accept: Vec<String>,
}

/// A service with its own store, and an approver.
pub struct Decisions {
    /// The service.
    pub service: Arc<Service>,
    /// Its store.
    pub store: Arc<RedbStore>,
    by: Arc<By>,
    runtime: Runtime,
}

/// The tokens of requester and approver, and the approver's key.
struct By {
    key: Key,
    requester: String,
    approver: String,
}

const APPROVER: &str = "user@company.com";

impl Signed {
    /// Signs a statement of typical length under `v1`.
    ///
    /// # Errors
    ///
    /// The verifier returns no signature.
    pub fn new(verifier: &Verifier) -> Result<Self> {
        let statement = statement("appr_01k7rbxhm0abcdefghjkmnpqrs", 1_760_700_600);
        let key = key()?;
        let signature = sign(verifier, &statement, "v1", &key)?;
        let (keys, accept) = (vec![key.clone()], vec!["v1".to_owned()]);
        Ok(Self { statement, signature, key, keys, accept })
    }

    /// Signs the same statement under `v2` with an Ed25519 key.
    ///
    /// # Errors
    ///
    /// The verifier returns no signature.
    pub fn ed25519(verifier: &Verifier) -> Result<Self> {
        let statement = Statement {
            audience: "bench".to_owned(),
            key_id: "user".to_owned(),
            request_digest: "0123456789abcdef".repeat(4),
            ..statement("appr_01k7rbxhm0abcdefghjkmnpqrs", 1_760_700_600)
        };
        let [seed, public] = ED25519.map(|material| Key {
            id: statement.key_id.clone(),
            algorithm: "ed25519".to_owned(),
            material: material.to_owned(),
            status: "active".to_owned(),
            usage: "approve".to_owned(),
            approver: Some(statement.approver.clone()),
            groups: Vec::new(),
        });
        let signature = sign(verifier, &statement, "v2", &seed)?;
        let (keys, accept) = (vec![public.clone()], vec!["v2".to_owned()]);
        Ok(Self { statement, signature, key: public, keys, accept })
    }

    /// Verifies the signature.
    ///
    /// # Errors
    ///
    /// The signature does not verify.
    pub fn verify(&self, verifier: &Verifier) -> Result<String> {
        let accepted = Accepted { keys: &self.keys, profiles: &self.accept };
        Ok(verifier.verify(&self.statement, &self.signature, accepted)?)
    }
}

impl Decisions {
    /// Opens a service on the store at a path, with a keyring next to it. Creates both if they are
    /// missing.
    ///
    /// # Errors
    ///
    /// The store or the keyring cannot be read or created.
    pub fn new(path: &Path, verifier: Verifier, clock: Arc<dyn Clock>) -> Result<Self> {
        let keyring = keyring_beside(path);
        if !keyring.try_exists()? {
            make_keyring(&keyring)?;
        }
        let keys = Arc::new(KeySource::new(keyring, None));
        let key = keys.load()?.to_sign_v1().context("no key")?.clone();
        let mode = OpenMode::Create { audience: "bench".to_owned() };
        let store = RedbStore::open(path, mode, CheckIntegrity::No, crate::keys::trust(&keys))?;
        let store = Arc::new(store);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let service = runtime.block_on(Service::new(
            Arc::clone(&store) as Arc<dyn Store>,
            verifier,
            Loader::new(Allocation::OnDemand, Cache::none()),
            keys,
            clock,
            Config::default(),
        ))?;
        let requester = runtime.block_on(token(&service, "agent:deploy-bot", Role::Requester))?;
        let approver = runtime.block_on(token(&service, APPROVER, Role::Approver))?;
        let by = Arc::new(By { key, requester, approver });
        Ok(Self { service: Arc::new(service), store, by, runtime })
    }

    /// Runs callers that request and approve, for about the given time. Returns the seconds per
    /// decision, over all callers.
    ///
    /// # Errors
    ///
    /// The first error of a caller.
    pub fn keep(&self, callers: usize, time: Duration) -> Result<f64> {
        let start = Instant::now();
        let one = || {
            let (service, by) = (Arc::clone(&self.service), Arc::clone(&self.by));
            self.runtime.spawn(async move {
                let mut decisions = 0_u32;
                while start.elapsed() < time || decisions == 0 {
                    decide(&service, &by).await?;
                    decisions += 1;
                }
                anyhow::Ok(decisions)
            })
        };
        let callers: Vec<_> = (0..callers).map(|_| one()).collect();
        let done = self.runtime.block_on(try_join_all(callers))?;
        let done: u32 = done.into_iter().sum::<Result<u32>>()?;
        Ok(start.elapsed().as_secs_f64() / f64::from(done))
    }

    /// Creates pending approvals, many at a time.
    ///
    /// # Errors
    ///
    /// The first refusal.
    pub fn fill(&self, approvals: usize, ttl_seconds: i64) -> Result<()> {
        const AT_ONCE: usize = 512;
        for begun in (0..approvals).step_by(AT_ONCE) {
            let batch = (begun..approvals.min(begun + AT_ONCE)).map(|_| async {
                self.service
                    .approvals
                    .request(&Caller::local(), request(ttl_seconds), None)
                    .await
                    .map(drop)
            });
            self.runtime.block_on(try_join_all(batch))?;
        }
        Ok(())
    }

    /// Runs a future of the service to completion.
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }
}

/// Returns a JSON object of about this many bytes, always the same: unsorted names, numbers of all
/// kinds, text that needs escapes, nesting.
pub fn mixed_json(bytes: usize) -> String {
    let mut text = String::from("{");
    let mut member = 0_u64;
    while text.len() < bytes.saturating_sub(MEMBER_BYTES_MAX) {
        // Knuth's multiplicative hash: an order that looks random.
        let random = member.wrapping_mul(2_654_435_761) % 0x1_0000_0000;
        let _ = write!(
            text,
            "\"k{random:08x}\": {{\"name\": \"r\\u00e9sum\\u00e9 \\\"{member}\\\" ☃\\n\", \"count\": {random}, \
             \"ratio\": {}.{}, \"tags\": [\"deploy\", null, true, -1.5e-7], \"at\": \"2025-10-17T11:30:00Z\"}}, ",
            member % 97,
            random % 99_991 + 1,
        );
        member += 1;
    }
    let rest = bytes.saturating_sub(text.len() + "\"fill\": \"\"}".len());
    let _ = write!(text, "\"fill\": \"{}\"}}", "x".repeat(rest));
    text
}

/// Creates a token for one role.
async fn token(service: &Service, subject: &str, role: Role) -> Result<String> {
    let new = NewToken {
        subject: subject.to_owned(),
        roles: vec![role],
        agents: None,
        expires_in_seconds: None,
    };
    let made = service.tokens.create(&Caller::local(), new, None).await?;
    let made: TokenShown = serde_json::from_str(&made.body)?;
    made.token.context("the response has no token")
}

/// Makes one request and its approval, each authenticated, audited and durable before the reply.
async fn decide(service: &Service, by: &By) -> Result<()> {
    let requester = service.tokens.authenticate(Some(&by.requester)).await?;
    let reply = service.approvals.request(&requester, request(3_600), None).await?;
    let approval: Approval = serde_json::from_str(&reply.body)?;
    let expires_at = chrono::DateTime::parse_from_rfc3339(&approval.expires_at)?.timestamp();
    let statement = statement(&approval.id, u64::try_from(expires_at)?);
    let ballot = Ballot {
        decision: statement.decision.clone(),
        approver: Some(statement.approver.clone()),
        comment: None,
        signature: sign(&service.verifier.current(), &statement, "v1", &by.key)?,
    };
    let approver = service.tokens.authenticate(Some(&by.approver)).await?;
    service.approvals.decide(&approver, ApprovalId::parse(&approval.id), &ballot, None).await?;
    Ok(())
}

fn request(ttl_seconds: i64) -> NewApproval {
    NewApproval {
        agent: "deploy-bot".to_owned(),
        action: "deploy_to_production".to_owned(),
        context: r#"{"service": "billing", "version": "1.2.3", "replicas": 12, "ratio": 0.25}"#
            .to_owned(),
        plan: None,
        reason: Some("release of the week".to_owned()),
        expires_in_seconds: Some(ttl_seconds),
        requirement: None,
    }
}

fn statement(id: &str, expires_at: u64) -> Statement {
    Statement {
        audience: String::new(),
        key_id: String::new(),
        approval_id: id.to_owned(),
        request_digest: String::new(),
        expires_at,
        decision: "approved".to_owned(),
        approver: APPROVER.to_owned(),
        comment: String::new(),
    }
}

fn sign(verifier: &Verifier, statement: &Statement, profile: &str, key: &Key) -> Result<String> {
    Ok(verifier.sign(statement, profile, key)?)
}

fn key() -> Result<Key> {
    let keys = Keys::of_secret(&secret())?;
    keys.to_sign_v1().cloned().context("no key")
}

/// Returns a secret that is used for one run only.
fn secret() -> String {
    Base64UrlUnpadded::encode_string(&rand::random::<[u8; 32]>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on may stop")]
mod tests {
    use super::*;

    #[test]
    fn mixed_json_is_an_object_of_the_requested_size() {
        for bytes in [1 << 10, 64 << 10] {
            let text = mixed_json(bytes);
            assert_eq!(text.len(), bytes);
            assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap().is_object());
        }
    }
}
