//! `signoff sign`: the signature of a decision, made on this machine by the verifier.

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::transport::asked;
use super::{Exit, Global, exit::Failure, output};
use crate::bindings::Statement;
use crate::engine::{Allocation, Cache, Verifier};
use crate::keys::Keys;

#[derive(Args)]
pub(super) struct SignArgs {
    /// How the statement becomes bytes
    #[arg(long, default_value = "v1", value_parser = ["v1"])]
    profile: String,
    /// The approval's id
    #[arg(long)]
    id: String,
    /// `approved` or `rejected`
    #[arg(long)]
    decision: String,
    /// Who decides
    #[arg(long, env = "SIGNOFF_APPROVER")]
    approver: String,
    /// The approval's expiry: 2025-10-17T11:30:00Z or 2025-10-17T11:30:00+00:00
    #[arg(long, value_name = "TIME")]
    expires_at: String,
}

pub(super) fn run(args: &SignArgs, global: &Global) -> Result<Exit, Failure> {
    let keys = Keys::load(&global.keyring())?;
    let key = keys.to_sign_v1().context("no active key of this machine signs v1")?;
    let statement = Statement {
        audience: String::new(),
        key_id: String::new(),
        approval_id: args.id.clone(),
        request_digest: String::new(),
        expires_at: unix_seconds(&args.expires_at)?,
        decision: args.decision.clone(),
        approver: args.approver.clone(),
        comment: String::new(),
    };
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    let signature = asked(global.json, || {
        verifier.call(|i| {
            let signing = i.exports.signoff_approval_signing();
            signing.call_sign(&mut i.store, &statement, &args.profile, key)
        })
    })?;
    if global.json {
        let answer = json!({ "signature": signature, "profile": args.profile, "key_id": key.id });
        output::line(&answer.to_string());
    } else {
        output::line(&signature);
    }
    Ok(Exit::Done)
}

/// Unix seconds of an RFC 3339 time in whole seconds.
pub(super) fn unix_seconds(text: &str) -> Result<u64, Failure> {
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|e| {
        Failure::usage(format!("`{text}` is no time like 2025-10-17T11:30:00Z: {e}"))
    })?;
    if time.timestamp_subsec_nanos() != 0 {
        return Err(Failure::usage(format!(
            "`{text}` has parts of a second; an expiry is in whole seconds"
        )));
    }
    u64::try_from(time.timestamp()).map_err(|_| Failure::usage(format!("`{text}` is before 1970")))
}
