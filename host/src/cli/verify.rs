//! `signoff verify`: checks whether an executor may execute now.

use clap::Args;
use serde_json::json;

use super::transport::{Access, Transport};
use super::{Exit, context, exit::Failure, output};
use crate::api::Verification;
use crate::code::Code;

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The approval's id, or a unique prefix of it
    id: String,
    /// The signature to verify [default: the stored one]
    #[arg(long)]
    signature: Option<String>,
    /// Compare the agent
    #[arg(long)]
    agent: Option<String>,
    /// Compare the action
    #[arg(long)]
    action: Option<String>,
    /// Compare the context: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    context: Option<String>,
    /// Compare the plan: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    plan: Option<String>,
}

pub(super) fn run(args: &VerifyArgs, transport: &Transport) -> Result<Exit, Failure> {
    let approval = transport.approval(&args.id)?;
    let pending = approval.status == "pending";
    let Some(signature) = args.signature.clone().or(approval.signature) else {
        let refusal =
            transport.refused(Code::NOT_APPROVED, format!("approval is {}", approval.status));
        refusal.print();
        return Ok(if pending { Exit::Pending } else { Exit::Refused });
    };
    let mut fields = vec![
        format!("\"signature\":{}", json!(signature)),
        format!("\"agent\":{}", json!(args.agent)),
        format!("\"action\":{}", json!(args.action)),
    ];
    for (name, argument) in [("context", &args.context), ("plan", &args.plan)] {
        if let Some(argument) = argument {
            fields.push(transport.field(name, &context::text(argument)?)?);
        }
    }
    let path = format!("/api/v1/approvals/{}/verify", approval.id);
    let answer = transport.post(&path, format!("{{{}}}", fields.join(",")), Access::Read)?;
    let verification: Verification = transport.parse(&answer)?;
    if transport.json {
        output::line(&answer);
    } else if verification.valid {
        output::plain(&format!("{} valid", approval.id));
    } else {
        let why = verification.error.as_deref().unwrap_or("invalid");
        let detail = verification.detail.as_deref().unwrap_or_default();
        let code = verification.code.as_deref().unwrap_or_default();
        output::note(&format!("{why}: {detail} ({code})"));
    }
    Ok(match (verification.valid, pending) {
        (true, _) => Exit::Done,
        (false, true) => Exit::Pending,
        (false, false) => Exit::Refused,
    })
}
