//! `signoff payload`: prints the exact message to sign for a decision, as text under v1 and
//! base64url under v2.

use clap::Args;
use serde::Deserialize;

use super::list::escaped;
use super::transport::Transport;
use super::{Exit, exit::Failure, output};

#[derive(Args)]
pub(super) struct PayloadArgs {
    /// The approval's id, or a unique prefix of it
    id: String,
    /// `approved` or `rejected`
    #[arg(long, default_value = "approved")]
    decision: String,
    /// The approver
    #[arg(long, env = "SIGNOFF_APPROVER")]
    approver: String,
    /// The signature profile
    #[arg(long, default_value = "v1")]
    profile: String,
    /// The key that will sign (v2)
    #[arg(long, value_name = "ID", required_if_eq("profile", "v2"))]
    key: Option<String>,
    /// The approver's comment, exactly as it will be sent (v2)
    #[arg(long)]
    comment: Option<String>,
}

pub(super) fn run(args: &PayloadArgs, transport: &Transport) -> Result<Exit, Failure> {
    #[derive(Deserialize)]
    struct Payload {
        message: Option<String>,
        base64url: String,
    }
    let id = transport.resolve(&args.id)?;
    let mut path = format!(
        "/api/v1/approvals/{id}/payload?decision={}&approver={}&profile={}",
        escaped(&args.decision),
        escaped(&args.approver),
        escaped(&args.profile)
    );
    for (name, value) in [("key", &args.key), ("comment", &args.comment)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", escaped(value)));
        }
    }
    let answer = transport.get(&path)?;
    if transport.json {
        output::line(&answer);
    } else {
        let payload: Payload = transport.parse(&answer)?;
        output::plain(&payload.message.unwrap_or(payload.base64url));
    }
    Ok(Exit::Done)
}
