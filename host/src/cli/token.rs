//! `signoff token`: creates, lists and revokes tokens.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::list::{escaped, next};
use super::output::{line, note, plain, table};
use super::transport::{Access, Transport};
use super::{Exit, context, exit::Failure};
use crate::api::TokenShown;
use crate::clock::{Clock, SystemClock};
use crate::refusal::Missing;

/// The time before its expiry in which a token is marked: 14 days, as for certificates.
const SOON: i64 = 14 * 24 * 60 * 60;

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token, and print it once
    Create(CreateArgs),
    /// List tokens, in order of creation
    List(ListArgs),
    /// Revoke a token; later requests with it are refused
    Revoke(RevokeArgs),
}

#[derive(Args)]
pub(super) struct CreateArgs {
    /// The token's subject; agent:NAME for an agent
    #[arg(long)]
    subject: String,
    /// The token's roles; may be repeated
    #[arg(long = "role", required = true, value_name = "ROLE", value_delimiter = ',',
        value_parser = ["requester", "approver", "executor", "auditor", "policy", "admin"])]
    roles: Vec<String>,
    /// The agents it may request and execute for, with * as a wildcard [default: all, or for
    /// agent:NAME that agent]
    #[arg(long = "agent", value_name = "PATTERN")]
    agents: Option<String>,
    /// Time to live: 3600, 8h, 90d [default: unlimited]
    #[arg(long, visible_alias = "expires-in-seconds", value_name = "TIME", value_parser = context::seconds)]
    expires_in: Option<i64>,
}

#[derive(Args)]
#[command(after_help = "Examples:
  signoff token list
  signoff token list --expires-within 14d   # what to renew now; nothing printed: nothing to do")]
pub(super) struct ListArgs {
    /// Only tokens in use that expire within this time: 3600, 8h, 14d
    #[arg(long, value_name = "TIME", value_parser = context::seconds)]
    expires_within: Option<i64>,
}

#[derive(Args)]
pub(super) struct RevokeArgs {
    /// The token's id, or a unique prefix of it
    id: String,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<TokenShown>,
    next_cursor: Option<String>,
}

pub(super) fn run(command: &TokenCommand, transport: &Transport) -> Result<Exit, Failure> {
    match command {
        TokenCommand::Create(args) => create(args, transport),
        TokenCommand::List(args) => list(args, transport),
        TokenCommand::Revoke(args) => revoke(args, transport),
    }
}

/// Creates a token. Returns the response of the API.
pub(super) fn make(
    transport: &Transport,
    subject: &str,
    roles: &[String],
    agents: Option<&str>,
    expires_in_seconds: Option<i64>,
) -> Result<String, Failure> {
    let body = json!({
        "subject": subject,
        "roles": roles,
        "agents": agents,
        "expires_in_seconds": expires_in_seconds,
    });
    transport.post("/api/v1/tokens", body.to_string(), Access::Create)
}

/// Returns whether a token was ever created.
pub(super) fn any(transport: &Transport) -> Result<bool, Failure> {
    let page: Page = transport.parse(&transport.get("/api/v1/tokens?limit=1")?)?;
    Ok(!page.items.is_empty())
}

fn create(args: &CreateArgs, transport: &Transport) -> Result<Exit, Failure> {
    let agents = args.agents.as_deref();
    let answer = make(transport, &args.subject, &args.roles, agents, args.expires_in)?;
    if transport.json {
        line(&answer);
        return Ok(Exit::Done);
    }
    let made: TokenShown = transport.parse(&answer)?;
    // Alone on standard output, so that a shell can capture it.
    plain(made.token.as_deref().unwrap_or_default());
    note(&format!("{} for {}: shown only once and not stored", made.id, made.subject));
    Ok(Exit::Done)
}

fn list(args: &ListArgs, transport: &Transport) -> Result<Exit, Failure> {
    let mut tokens = all(transport)?;
    let now = SystemClock.now();
    if let Some(within) = args.expires_within {
        tokens.retain(|token| {
            let left = left(token, now);
            token.revoked_at.is_none() && left.is_some_and(|left| (1..=within).contains(&left))
        });
    }
    if transport.json {
        line(&serde_json::to_string(&json!({ "items": tokens }))?);
        return Ok(Exit::Done);
    }
    let row = |token: &TokenShown| {
        let roles: Vec<&str> = token.roles.iter().map(|role| role.as_str()).collect();
        let state = match (&token.revoked_at, &token.expires_at) {
            (Some(at), _) => format!("revoked {at}"),
            (None, Some(at)) => match left(token, now) {
                Some(left) if left <= 0 => format!("expired {at}"),
                Some(left) if left <= SOON => format!("expires soon, {at}"),
                _ => format!("until {at}"),
            },
            (None, None) => "for good".to_owned(),
        };
        let agents = token.agents.as_deref().unwrap_or("-").to_owned();
        [token.id.clone(), token.subject.clone(), roles.join(","), agents, state]
    };
    let rows = tokens.iter().map(row).collect();
    table(["ID", "SUBJECT", "ROLES", "AGENTS", "STATE"], rows);
    Ok(Exit::Done)
}

/// Returns the seconds until a token expires; `None` if it does not.
fn left(token: &TokenShown, now: u64) -> Option<i64> {
    let at = chrono::DateTime::parse_from_rfc3339(token.expires_at.as_deref()?).ok()?;
    Some(at.timestamp().saturating_sub_unsigned(now))
}

fn revoke(args: &RevokeArgs, transport: &Transport) -> Result<Exit, Failure> {
    let tokens = all(transport)?;
    let mut matching = tokens.iter().filter(|token| token.id.starts_with(&args.id));
    let id = match (matching.next(), matching.next()) {
        (Some(one), None) => one.id.clone(),
        (None, _) => {
            let detail = format!("no token's id begins with `{}`", args.id);
            return Err(transport.missing(Missing::Token, detail));
        }
        (Some(_), Some(_)) => {
            return Err(Failure::usage(format!(
                "more than one token's id begins with `{}`",
                args.id
            )));
        }
    };
    let path = format!("/api/v1/tokens/{}/revoke", escaped(&id));
    let answer = transport.post(&path, "{}".to_owned(), Access::Write)?;
    if transport.json {
        line(&answer);
    } else {
        let revoked: TokenShown = transport.parse(&answer)?;
        let at = revoked.revoked_at.unwrap_or_default();
        plain(&format!("{} of {} revoked {at}", revoked.id, revoked.subject));
    }
    Ok(Exit::Done)
}

fn all(transport: &Transport) -> Result<Vec<TokenShown>, Failure> {
    let mut tokens = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let after = cursor.as_ref().map(|cursor| format!("&cursor={}", escaped(cursor)));
        let path = format!("/api/v1/tokens?limit=200{}", after.unwrap_or_default());
        let page: Page = transport.parse(&transport.get(&path)?)?;
        tokens.extend(page.items);
        next(&mut cursor, page.next_cursor)?;
        if cursor.is_none() {
            return Ok(tokens);
        }
    }
}
