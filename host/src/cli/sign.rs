//! `signoff sign`: signs a decision on this machine with the verifier.

use clap::Args;
use serde_json::json;

use super::signer::SignerRequest;
use super::{Exit, Global, exit::Failure, output};
use crate::engine::{Allocation, Cache};
use crate::keys::Keys;
use crate::verifier::{Statement, Verifier};

#[derive(Args)]
pub(super) struct SignArgs {
    /// The signature profile
    #[arg(long, default_value = "v1", value_parser = ["v1", "v2"])]
    profile: String,
    /// The approval's id
    #[arg(long)]
    id: String,
    /// `approved` or `rejected`
    #[arg(long)]
    decision: String,
    /// The approver [default: the approver the key is bound to]
    #[arg(long, env = "SIGNOFF_APPROVER")]
    approver: Option<String>,
    /// The approval's expiry: 2025-10-17T11:30:00Z or 2025-10-17T11:30:00+00:00
    #[arg(long, value_name = "TIME")]
    expires_at: String,
    /// The key of this machine to sign with [default: a suitable key, bound to the approver under
    /// v2]
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// The deployment's name (v2)
    #[arg(long, required_if_eq("profile", "v2"))]
    audience: Option<String>,
    /// The approval's request digest (v2)
    #[arg(long, value_name = "DIGEST", required_if_eq("profile", "v2"))]
    request_digest: Option<String>,
    /// The approver's comment, exactly as it will be sent (v2)
    #[arg(long)]
    comment: Option<String>,
}

pub(super) fn run(args: &SignArgs, global: &Global) -> Result<Exit, Failure> {
    let of_v2 = [&args.audience, &args.request_digest, &args.comment];
    if args.profile == "v1" && of_v2.iter().any(|field| field.is_some()) {
        return Err(Failure::usage(
            "v1 covers no audience, request digest or comment; use --profile v2",
        ));
    }
    let expires_at = unix_seconds(&args.expires_at)?;
    let keys = Keys::load(&global.keyring())?;
    let request = SignerRequest {
        approver: args.approver.as_deref(),
        profile: Some(&args.profile),
        key: args.key.as_deref(),
        v1_counts: true,
    };
    let signing = request.resolve(&keys).map_err(|error| error.failure(global.json))?;
    let [audience, request_digest, comment] = of_v2.map(|field| field.clone().unwrap_or_default());
    let statement = Statement {
        audience,
        key_id: signing.key_id().to_owned(),
        approval_id: args.id.clone(),
        request_digest,
        expires_at,
        decision: args.decision.clone(),
        approver: signing.approver.clone(),
        comment,
    };
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    let signature = signing.sign_by(&statement, &verifier, global.json)?;
    if global.json {
        let answer = json!({
            "signature": signature,
            "profile": args.profile,
            "key_id": signing.id_of_key(),
        });
        output::line(&answer.to_string());
    } else {
        output::line(&signature);
    }
    Ok(Exit::Done)
}

/// Parses an RFC 3339 time in whole seconds to unix seconds.
pub(super) fn unix_seconds(text: &str) -> Result<u64, Failure> {
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|e| {
        Failure::usage(format!("`{text}` is not a time like 2025-10-17T11:30:00Z: {e}"))
    })?;
    if time.timestamp_subsec_nanos() != 0 {
        return Err(Failure::usage(format!(
            "`{text}` has fractions of a second; an expiry is in whole seconds"
        )));
    }
    u64::try_from(time.timestamp()).map_err(|_| Failure::usage(format!("`{text}` is before 1970")))
}
