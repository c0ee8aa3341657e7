//! Tokens: create, list, revoke and authenticate.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signoff_core::name::Identifier;
use signoff_core::person::{agent_of, same_person};
use tokio::sync::watch;

use crate::caller::{Caller, Holder, SYSTEM};
use crate::code::Code;
use crate::id::IdMaker;
use crate::identity::token::Token;
use crate::keys::RecordedKeys;
use crate::ledger::{Event, Idempotency, Ledger, Note, Reply, TokenFields, rfc3339};
use crate::refusal::{Missing, Refusal};
use crate::role::Role;
use crate::store::{Row, RowChange, RowKind, Store, StoreError};

/// How much of an unknown token's hash is logged.
const HASH_CHARS_LOGGED: usize = 12;
/// Token rows per read.
const ROWS_AT_ONCE: usize = 256;
/// Attempts of a revocation if other changes of the same token come first.
const REVOKE_TRIES: usize = 10;
/// Maximum lifetime of a token: ten years.
pub const TOKEN_SECONDS_MAX: u64 = 315_360_000;
const ROW_FORMAT: u32 = 1;

/// A token to create.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The holder's name.
    pub subject: String,
    /// The roles of the token.
    pub roles: Vec<Role>,
    /// The agents it requests and executes for; `*` matches any run of characters.
    pub agents: Option<String>,
    /// Its lifetime; unlimited if unset.
    pub expires_in_seconds: Option<i64>,
}

/// A token's row: its hash, never the token. Times are unix seconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs, reason = "the fields of `TokenShown` in the API")]
pub struct TokenRow {
    format: u32,
    pub id: String,
    /// SHA-256 of the token, in hex.
    hash: String,
    pub subject: String,
    pub roles: Vec<Role>,
    pub agents: Option<String>,
    pub created_at: u64,
    pub created_by: String,
    pub expires_at: Option<u64>,
    pub revoked_at: Option<u64>,
    pub revoked_by: Option<String>,
}

/// The tokens of a store.
pub struct Tokens {
    ledger: Arc<Ledger>,
    ids: IdMaker,
    /// Whether a token is known to exist: then every caller needs one.
    required: AtomicBool,
    index: TokenIndex,
    keys: Arc<RecordedKeys>,
    /// The number of revocations in this process.
    revocations: watch::Sender<u64>,
    /// One token is created at a time, so that no two spell one subject differently.
    creating: tokio::sync::Mutex<()>,
}

/// Token ids by the hash of the token, and all subjects in lower case with their spelling. An id only
/// finds a row: the row is compared with the log, and its hash with the token.
#[derive(Default)]
struct TokenIndex(RwLock<Option<Known>>);

#[derive(Default)]
struct Known {
    ids: HashMap<String, String>,
    subjects: HashMap<String, String>,
    /// Tokens that are not revoked, with their expiry.
    unrevoked: HashMap<String, Option<u64>>,
}

/// The tokens that are neither revoked nor expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// How many there are.
    pub count: usize,
    /// When the next of them expires, in unix seconds.
    pub next_expiry: Option<u64>,
}

impl Known {
    fn add(&mut self, row: TokenRow) {
        self.subjects.entry(row.subject.to_ascii_lowercase()).or_insert(row.subject);
        // A row that was read before the token was revoked may be added after.
        if row.revoked_at.is_none() && !self.ids.contains_key(&row.hash) {
            self.unrevoked.insert(row.id.clone(), row.expires_at);
        }
        self.ids.insert(row.hash, row.id);
    }

    fn in_force(&self, now: u64) -> InForce {
        let in_force = self.unrevoked.values().filter(|expiry| expiry.is_none_or(|at| at > now));
        InForce { count: in_force.clone().count(), next_expiry: in_force.flatten().min().copied() }
    }
}

/// Returns whether callers of a store need a token: always, once a token was created.
///
/// # Errors
///
/// The store cannot be read.
pub async fn tokens_required(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(!store.row_ids(RowKind::Token, "", 1).await?.is_empty())
}

/// Returns every token of a store, for maintenance.
///
/// # Errors
///
/// The store, or a row, cannot be read.
pub async fn token_rows(store: &dyn Store) -> Result<Vec<TokenRow>, StoreError> {
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let ids = store.row_ids(RowKind::Token, &after, ROWS_AT_ONCE).await?;
        let Some(last) = ids.last() else { return Ok(rows) };
        after.clone_from(last);
        for id in &ids {
            if let Some(row) = store.row(RowKind::Token, id).await? {
                rows.push(TokenRow::read(&row)?);
            }
        }
    }
}

impl Tokens {
    pub(crate) fn new(ledger: Arc<Ledger>, keys: Arc<RecordedKeys>) -> Self {
        Self {
            keys,
            revocations: watch::channel(0).0,
            creating: tokio::sync::Mutex::new(()),
            ledger,
            ids: IdMaker::default(),
            required: AtomicBool::new(false),
            index: TokenIndex::default(),
        }
    }

    /// Returns whether callers need a token: always, once a token was created.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn required(&self) -> Result<bool, Refusal> {
        if self.required.load(Ordering::Acquire) {
            return Ok(true);
        }
        let required = tokens_required(self.ledger.store()).await?;
        self.required.fetch_or(required, Ordering::AcqRel);
        Ok(required)
    }

    /// Returns the caller that holds this token. Without a token, returns the local caller, as long
    /// as no token was ever created.
    ///
    /// # Errors
    ///
    /// `unauthenticated`, `store-unavailable`.
    pub async fn authenticate(&self, token: Option<&str>) -> Result<Caller, Refusal> {
        let refused = |why: &str| Err(Refusal::new(Code::UNAUTHENTICATED, why));
        let Some(token) = token else {
            return match self.required().await? {
                false => Ok(Caller::local()),
                true => refused("expected `Authorization: Bearer TOKEN`"),
            };
        };
        let Some(token) = Token::parse(token) else {
            return refused("malformed token");
        };
        let hash = token.hash();
        let row = match self.id_of(&hash).await? {
            Some(id) => self.row(&id).await?,
            None => None,
        };
        let Some(row) = row.filter(|row| row.hash == hash) else {
            // As much of its hash as finds it in a list of leaked tokens.
            let start = hash.get(..HASH_CHARS_LOGGED).unwrap_or_default();
            return refused("unknown token")
                .map_err(|refusal: Refusal| refusal.because(format!("SHA-256 {start}…")));
        };
        self.counts(&row)?;
        let TokenRow { id, subject, roles, agents, .. } = row;
        Ok(Caller::holding(Holder { token_id: id, subject, roles, agents }))
    }

    /// Authenticates a caller again. Long-running calls do so before each answer.
    ///
    /// # Errors
    ///
    /// As [`Self::authenticate`].
    pub async fn authenticate_again(&self, caller: &Caller) -> Result<(), Refusal> {
        let gone = || Refusal::new(Code::UNAUTHENTICATED, "unknown token");
        let Some(id) = caller.token_id() else {
            return self.authenticate(None).await.map(drop);
        };
        self.counts(&self.row(id).await?.ok_or_else(gone)?)
    }

    /// Subscribes to revocations of tokens.
    pub fn revocations(&self) -> watch::Receiver<u64> {
        self.revocations.subscribe()
    }

    /// Checks that a token is in force.
    ///
    /// Refusals: `unauthenticated` for a token that is revoked or has expired.
    fn counts(&self, row: &TokenRow) -> Result<(), Refusal> {
        let why = if row.revoked_at.is_some() {
            "the token is revoked"
        } else if row.expires_at.is_some_and(|expires_at| self.ledger.now() >= expires_at) {
            "the token has expired"
        } else {
            return Ok(());
        };
        Err(Refusal::new(Code::UNAUTHENTICATED, why).because(format!("token {}", row.id)))
    }

    /// Creates a token. Only this answer ever shows it.
    ///
    /// # Errors
    ///
    /// 1. `request-invalid`, `limit-exceeded` 2. `request-invalid`: the subject differs from a known
    ///    one only in case 3. the errors of every change.
    pub async fn create(
        &self,
        caller: &Caller,
        new: NewToken,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        let _one_at_a_time = self.creating.lock().await;
        let now = self.ledger.now_to_write()?;
        let token = Token::generate();
        let row = new.row(self.ids.token(), token.hash(), caller.subject(), now)?;
        self.spelled_alike(&row.subject).await?;
        let mut shown = row.shown();
        // A repeat gets everything except the token, which is not stored.
        let note = Note::of(Event::TokenCreated(row.audited()))
            .changing(vec![row.change(0)?])
            .answering(201, shown.to_string());
        let reply = self.ledger.note_at(now, caller, note, idempotency).await?;
        self.required.store(true, Ordering::Release);
        if reply.replayed {
            return Ok(reply);
        }
        self.index.add(row);
        if let Value::Object(fields) = &mut shown {
            fields.insert("token".to_owned(), token.expose().into());
        }
        Ok(Reply { body: shown.to_string(), ..reply })
    }

    /// Revokes a token. Later requests with it are refused. Revoking it again has no effect.
    ///
    /// # Errors
    ///
    /// 1. `not-found` 2. the errors of every change.
    pub async fn revoke(
        &self,
        caller: &Caller,
        id: &str,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        if let Some(reply) = self.ledger.kept(idempotency).await? {
            return Ok(reply);
        }
        for _ in 0..REVOKE_TRIES {
            let now = self.ledger.now_to_write()?;
            let row = self.ledger.store().row(RowKind::Token, id).await?;
            let stored = row.ok_or_else(|| Refusal::missing(Missing::Token, "no such token"))?;
            let mut row = TokenRow::read(&stored)?;
            if row.revoked_at.is_some() {
                return Ok(Reply::new(200, row.shown().to_string()));
            }
            row.revoked_at = Some(now);
            row.revoked_by = Some(caller.subject().to_owned());
            let note = Note::of(Event::TokenRevoked(row.audited()))
                .changing(vec![row.change(stored.entry)?])
                .answering(200, row.shown().to_string());
            let revoked = self.ledger.note_at(now, caller, note, idempotency).await;
            let after = self.ledger.store().row(RowKind::Token, id).await?;
            self.revocations.send_modify(|count| *count += 1);
            // Filled first: a row that was read before the revocation must not be added after it.
            if revoked.is_ok() && self.fill_index().await.is_ok() {
                self.index.revoke(id);
            }
            if revoked.is_ok() || after.is_none_or(|after| after.entry == stored.entry) {
                return revoked;
            }
        }
        Err(Refusal::new(
            Code::STORE_UNAVAILABLE,
            "too many concurrent changes to this token; retry",
        ))
    }

    /// Returns how many tokens are in force, and when the next of them expires.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn in_force(&self) -> Result<InForce, Refusal> {
        self.fill_index().await?;
        Ok(self.index.in_force(self.ledger.now()))
    }

    /// Lists tokens after `after`, in order of creation.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn list(&self, after: &str, limit: usize) -> Result<Vec<Value>, Refusal> {
        let mut tokens = Vec::new();
        for id in self.ledger.store().row_ids(RowKind::Token, after, limit).await? {
            if let Some(row) = self.row(&id).await? {
                tokens.push(row.shown());
            }
        }
        Ok(tokens)
    }

    async fn row(&self, id: &str) -> Result<Option<TokenRow>, Refusal> {
        let row = self.ledger.store().row(RowKind::Token, id).await?;
        Ok(row.as_ref().map(TokenRow::read).transpose()?)
    }

    /// Checks that a subject is written as in the tokens and keys that name it already.
    ///
    /// Refusals: `request-invalid`; `store-unavailable`, `keyring-unavailable`.
    async fn spelled_alike(&self, subject: &str) -> Result<(), Refusal> {
        self.fill_index().await?;
        let keys = self.keys.current()?;
        let approvers = keys.described().into_iter().filter_map(|key| key.approver);
        let known = self.index.spelling(subject);
        let known = known.into_iter().chain(approvers).find(|known| same_person(known, subject));
        match known {
            Some(known) if known != subject => Err(Refusal::new(
                Code::REQUEST_INVALID,
                format!(
                    "subject `{subject}` differs from `{known}` only in case; write one person in one way"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Returns the id of the token with this hash.
    async fn id_of(&self, hash: &str) -> Result<Option<String>, Refusal> {
        if let Some(found) = self.index.find(hash) {
            return Ok(found);
        }
        self.fill_index().await?;
        Ok(self.index.find(hash).flatten())
    }

    async fn fill_index(&self) -> Result<(), Refusal> {
        if self.index.is_filled() {
            return Ok(());
        }
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.ledger.store().row_ids(RowKind::Token, &after, ROWS_AT_ONCE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(last);
            for id in page {
                // A row that was tampered with authenticates no one and does not affect other
                // tokens.
                match self.row(&id).await {
                    Ok(row) => rows.extend(row),
                    Err(refusal) if refusal.code == Code::STORE_TAMPERED => {}
                    Err(refusal) => return Err(refusal),
                }
            }
        }
        self.index.fill(rows);
        Ok(())
    }
}

impl TokenIndex {
    /// Returns the id for a hash. The outer `None` means that the index is not filled yet.
    #[expect(clippy::option_option, reason = "unknown is not the same as absent")]
    fn find(&self, hash: &str) -> Option<Option<String>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|known| known.ids.get(hash).cloned())
    }

    fn in_force(&self, now: u64) -> InForce {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map_or(InForce { count: 0, next_expiry: None }, |known| known.in_force(now))
    }

    fn revoke(&self, id: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_mut() {
            known.unrevoked.remove(id);
        }
    }

    fn is_filled(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Returns how a subject is written.
    fn spelling(&self, subject: &str) -> Option<String> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref()?.subjects.get(&subject.to_ascii_lowercase()).cloned()
    }

    /// Adds the store's tokens to those that were created meanwhile.
    fn fill(&self, stored: Vec<TokenRow>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        stored.into_iter().for_each(|row| known.add(row));
    }

    fn add(&self, row: TokenRow) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_mut() {
            known.add(row);
        }
    }
}

impl NewToken {
    fn row(
        self,
        id: String,
        hash: String,
        created_by: &str,
        now: u64,
    ) -> Result<TokenRow, Refusal> {
        let invalid = |why: String| Err(Refusal::new(Code::REQUEST_INVALID, why));
        Identifier::subject("subject", &self.subject)?;
        self.agents.as_deref().map(|agents| Identifier::new("agents", agents)).transpose()?;
        if same_person(&self.subject, SYSTEM) {
            return invalid(format!("subject `{SYSTEM}` is reserved for the server's own changes"));
        }
        let mut roles = self.roles;
        roles.sort_unstable();
        if let Some(twice) = roles.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        }) {
            return invalid(format!("duplicate role `{twice}`"));
        }
        if roles.is_empty() {
            return invalid("`roles` is empty; expected at least one role".to_owned());
        }
        let agent = agent_of(&self.subject).is_some();
        // An admin can create approvers.
        if agent && roles.iter().any(|role| matches!(role, Role::Approver | Role::Admin)) {
            let subject = self.subject;
            return invalid(format!(
                "`{subject}` is an agent and can be neither approver nor admin"
            ));
        }
        let expires_at = match self.expires_in_seconds.map(u64::try_from) {
            None => None,
            Some(Ok(seconds @ 1..=TOKEN_SECONDS_MAX)) => Some(now.saturating_add(seconds)),
            Some(Err(_) | Ok(0)) => {
                return invalid(format!("expires_in_seconds must be 1 to {TOKEN_SECONDS_MAX}"));
            }
            Some(Ok(seconds)) => {
                return Err(Refusal::new(
                    Code::LIMIT_EXCEEDED,
                    format!("expires_in_seconds is {seconds}, the limit is {TOKEN_SECONDS_MAX}"),
                ));
            }
        };
        Ok(TokenRow {
            format: ROW_FORMAT,
            id,
            hash,
            subject: self.subject,
            roles,
            agents: self.agents,
            created_at: now,
            created_by: created_by.to_owned(),
            expires_at,
            revoked_at: None,
            revoked_by: None,
        })
    }
}

impl TokenRow {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        let read = serde_json::from_str::<Self>(&row.value).ok();
        let read = read.filter(|read| read.format == ROW_FORMAT && read.id == row.id);
        read.ok_or_else(|| StoreError::Damaged("a token's row cannot be read".to_owned()))
    }

    /// Returns the change that replaces the version written by entry `prev`; 0 for a new row.
    pub(super) fn change(&self, prev: u64) -> Result<RowChange, Refusal> {
        let value = serde_json::to_string(self).map_err(Refusal::internal)?;
        Ok(RowChange { kind: RowKind::Token, id: self.id.clone(), value: Some(value), prev })
    }

    /// Returns the token as the API shows it.
    fn shown(&self) -> Value {
        json!({
            "id": self.id,
            "subject": self.subject,
            "roles": self.roles,
            "agents": self.agents,
            "created_at": rfc3339(self.created_at),
            "created_by": self.created_by,
            "expires_at": self.expires_at.map(rfc3339),
            "revoked_at": self.revoked_at.map(rfc3339),
            "revoked_by": self.revoked_by,
        })
    }

    /// Returns the members of the audit event.
    pub(super) fn audited(&self) -> TokenFields<'_> {
        TokenFields {
            token_id: &self.id,
            subject: &self.subject,
            roles: &self.roles,
            agents: self.agents.as_deref(),
            expires_at: self.expires_at.map(rfc3339),
        }
    }
}
