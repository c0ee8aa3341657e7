//! Tokens: making, listing and revoking them, and who holds one.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Service;
use super::caller::{Caller, Holder, SYSTEM};
use super::commit::{Idempotency, Reply};
use super::note::{Note, rfc3339};
use crate::code::Code;
use crate::refusal::Refusal;
use crate::role::{AGENT_PREFIX, Role};
use crate::store::{About, Fact, Store, StoreError};
use crate::token::Token;

/// A fact that is there once a token was ever made: from then on every caller needs one.
const REQUIRED: &str = "tokens";
/// Rows by the hash of the token.
const BY_HASH: &str = "token/";
/// Hashes by the token's id.
const BY_ID: &str = "token-id/";
/// Longest life of a token: ten years.
pub const TOKEN_SECONDS_MAX: u64 = 315_360_000;
const NAME_BYTES_MAX: usize = 128;
const ROW_FORMAT: u32 = 1;

/// A token to make.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Who will hold it.
    pub subject: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// Which agents it asks and executes for; `*` is any run of characters.
    pub agents: Option<String>,
    /// How long it lives; for good if left out.
    pub expires_in_seconds: Option<i64>,
}

/// A token as it is kept: never itself. Times are unix seconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs, reason = "the fields of `TokenShown` in the API")]
pub struct TokenRow {
    format: u32,
    pub id: String,
    pub subject: String,
    pub roles: Vec<Role>,
    pub agents: Option<String>,
    pub created_at: u64,
    pub created_by: String,
    pub expires_at: Option<u64>,
    pub revoked_at: Option<u64>,
    pub revoked_by: Option<String>,
}

/// Whether callers of a store need a token.
///
/// # Errors
///
/// Where the store cannot be read.
pub async fn tokens_required(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.fact(REQUIRED).await?.is_some())
}

/// Every token of a store, for who looks after it.
///
/// # Errors
///
/// Where the store, or a row, cannot be read.
pub async fn token_rows(store: &dyn Store) -> Result<Vec<TokenRow>, StoreError> {
    let rows = store.facts(BY_HASH, "", usize::MAX).await?;
    rows.iter().map(|(_, text)| TokenRow::read(text)).collect()
}

impl Service {
    /// Whether callers need a token: from the first one that was made, for good.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn tokens_required(&self) -> Result<bool, Refusal> {
        if self.tokens_required.load(Ordering::Acquire) {
            return Ok(true);
        }
        let required = tokens_required(&*self.store).await?;
        self.tokens_required.fetch_or(required, Ordering::AcqRel);
        Ok(required)
    }

    /// Who sends this token. Without one the caller is local, as long as no token was ever made.
    ///
    /// # Errors
    ///
    /// `unauthenticated`, `store-unavailable`.
    pub async fn authenticate(&self, token: Option<&str>) -> Result<Caller, Refusal> {
        let refused = |why: &str| Err(Refusal::new(Code::UNAUTHENTICATED, why));
        let Some(token) = token else {
            return match self.tokens_required().await? {
                false => Ok(Caller::local()),
                true => refused("expected `Authorization: Bearer TOKEN`"),
            };
        };
        let Some(token) = Token::parse(token) else {
            return refused("the token is no token of signoff, or has a typing error");
        };
        let Some(row) = self.token_row(&token.hash()).await? else {
            return refused("the token is unknown here");
        };
        self.counts(&row)?;
        let TokenRow { id, subject, roles, agents, .. } = row;
        Ok(Caller::holding(Holder { token_id: id, subject, roles, agents }))
    }

    /// Whether a caller who was let in would be again: what takes its time asks before each answer.
    ///
    /// # Errors
    ///
    /// As [`Self::authenticate`].
    pub async fn authenticate_again(&self, caller: &Caller) -> Result<(), Refusal> {
        let gone = || Refusal::new(Code::UNAUTHENTICATED, "the token is unknown here");
        let Some(id) = caller.token_id() else {
            return self.authenticate(None).await.map(drop);
        };
        let hash = self.store.fact(&format!("{BY_ID}{id}")).await?.ok_or_else(gone)?;
        self.counts(&self.token_row(&hash).await?.ok_or_else(gone)?)
    }

    /// Refusals: `unauthenticated` for a token that is revoked or has expired.
    fn counts(&self, row: &TokenRow) -> Result<(), Refusal> {
        let why = if row.revoked_at.is_some() {
            "the token is revoked"
        } else if row.expires_at.is_some_and(|expires_at| self.now() >= expires_at) {
            "the token has expired"
        } else {
            return Ok(());
        };
        Err(Refusal::new(Code::UNAUTHENTICATED, why))
    }

    /// Makes a token. The answer is the only place where it is ever shown.
    ///
    /// # Errors
    ///
    /// 1. `request-invalid`, `limit-exceeded` 2. those of every change.
    pub async fn create_token(
        &self,
        caller: &Caller,
        new: NewToken,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        if let Some(reply) = self.kept(idempotency).await? {
            return Ok(reply);
        }
        let now = self.now_to_write()?;
        let token = Token::generate();
        let row = new.row(self.ids.token(), caller.subject(), now)?;
        let hash = token.hash();
        let mut facts =
            vec![row.fact(&hash)?, Fact { key: format!("{BY_ID}{}", row.id), value: hash }];
        if !self.tokens_required().await? {
            facts.push(Fact { key: REQUIRED.to_owned(), value: "required".to_owned() });
        }
        let mut shown = row.shown();
        let note = Note {
            event: "token_created",
            about: About::named("token", &row.id),
            facts,
            fields: row.audited(),
            // A repeat gets everything but the token: that is kept nowhere.
            answer: Some(Reply::new(201, shown.to_string())),
        };
        let reply = self.keep_note(caller, note, idempotency, now).await?;
        self.tokens_required.store(true, Ordering::Release);
        if reply.replayed {
            return Ok(reply);
        }
        if let Value::Object(fields) = &mut shown {
            fields.insert("token".to_owned(), token.expose().into());
        }
        Ok(Reply { body: shown.to_string(), ..reply })
    }

    /// Revokes a token, from the next request on. Revoking it again changes nothing.
    ///
    /// # Errors
    ///
    /// 1. `not-found` 2. those of every change.
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        id: &str,
        idempotency: Option<&Idempotency>,
    ) -> Result<Reply, Refusal> {
        if let Some(reply) = self.kept(idempotency).await? {
            return Ok(reply);
        }
        let now = self.now_to_write()?;
        let missing = || Refusal::new(Code::NOT_FOUND, "no such token");
        let hash = self.store.fact(&format!("{BY_ID}{id}")).await?.ok_or_else(missing)?;
        let mut row = self.token_row(&hash).await?.ok_or_else(missing)?;
        if row.revoked_at.is_some() {
            return Ok(Reply::new(200, row.shown().to_string()));
        }
        row.revoked_at = Some(now);
        row.revoked_by = Some(caller.subject().to_owned());
        let note = Note {
            event: "token_revoked",
            about: About::named("token", &row.id),
            facts: vec![row.fact(&hash)?],
            fields: row.audited(),
            answer: Some(Reply::new(200, row.shown().to_string())),
        };
        self.keep_note(caller, note, idempotency, now).await
    }

    /// Tokens in the order of their making, after one of them.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn tokens(&self, after: &str, limit: usize) -> Result<Vec<Value>, Refusal> {
        let after = if after.is_empty() { String::new() } else { format!("{BY_ID}{after}") };
        let mut tokens = Vec::new();
        for (_, hash) in self.store.facts(BY_ID, &after, limit).await? {
            if let Some(row) = self.token_row(&hash).await? {
                tokens.push(row.shown());
            }
        }
        Ok(tokens)
    }

    async fn token_row(&self, hash: &str) -> Result<Option<TokenRow>, Refusal> {
        let Some(text) = self.store.fact(&format!("{BY_HASH}{hash}")).await? else {
            return Ok(None);
        };
        Ok(Some(TokenRow::read(&text)?))
    }
}

impl NewToken {
    fn row(self, id: String, created_by: &str, now: u64) -> Result<TokenRow, Refusal> {
        let invalid = |why: String| Err(Refusal::new(Code::REQUEST_INVALID, why));
        let own = self.subject.strip_prefix(AGENT_PREFIX).unwrap_or(&self.subject);
        let names = [Some(("subject", own)), self.agents.as_deref().map(|p| ("agents", p))];
        for (field, name) in names.into_iter().flatten() {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
                return invalid(format!("{field} must be printable ASCII without spaces"));
            }
            if name.len() > NAME_BYTES_MAX {
                return Err(Refusal::new(
                    Code::LIMIT_EXCEEDED,
                    format!("{field} is {} bytes, the limit is {NAME_BYTES_MAX}", name.len()),
                ));
            }
        }
        if self.subject == SYSTEM {
            return invalid(format!("`{SYSTEM}` is this server itself in the audit"));
        }
        let mut roles = self.roles;
        roles.sort_unstable();
        if let Some(twice) = roles.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        }) {
            return invalid(format!("roles names `{twice}` twice"));
        }
        if roles.is_empty() {
            return invalid("roles names no role".to_owned());
        }
        let agent = self.subject.starts_with(AGENT_PREFIX);
        // An admin makes approvers.
        if agent && roles.iter().any(|role| matches!(role, Role::Approver | Role::Admin)) {
            let subject = self.subject;
            return invalid(format!("`{subject}` is an agent and cannot decide, nor say who does"));
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
    fn read(text: &str) -> Result<Self, StoreError> {
        let row = serde_json::from_str::<Self>(text).ok().filter(|row| row.format == ROW_FORMAT);
        row.ok_or_else(|| StoreError::Damaged("a token's row cannot be read".to_owned()))
    }

    fn fact(&self, hash: &str) -> Result<Fact, Refusal> {
        let value = serde_json::to_string(self)
            .map_err(|e| Refusal::new(Code::INTERNAL_ERROR, e.to_string()))?;
        Ok(Fact { key: format!("{BY_HASH}{hash}"), value })
    }

    /// What people see.
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

    /// What the audit keeps.
    fn audited(&self) -> Value {
        json!({
            "token_id": self.id,
            "subject": self.subject,
            "roles": self.roles,
            "agents": self.agents,
            "expires_at": self.expires_at.map(rfc3339),
        })
    }
}
