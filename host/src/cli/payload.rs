//! `signoff payload`: the exact message that a decision signs.

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
    /// Who decides
    #[arg(long, env = "SIGNOFF_APPROVER")]
    approver: String,
    /// How the statement becomes bytes
    #[arg(long, default_value = "v1")]
    profile: String,
}

pub(super) fn run(args: &PayloadArgs, transport: &Transport) -> Result<Exit, Failure> {
    #[derive(Deserialize)]
    struct Payload {
        message: Option<String>,
        base64url: String,
    }
    let id = transport.resolve(&args.id)?;
    let answer = transport.get(&format!(
        "/api/v1/approvals/{id}/payload?decision={}&approver={}&profile={}",
        escaped(&args.decision),
        escaped(&args.approver),
        escaped(&args.profile)
    ))?;
    if transport.json {
        output::line(&answer);
    } else {
        let payload: Payload = transport.parse(&answer)?;
        output::line(&payload.message.unwrap_or(payload.base64url));
    }
    Ok(Exit::Done)
}
