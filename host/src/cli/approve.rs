//! `signoff approve` and `signoff reject`: shows the request, asks, signs on this machine.

use std::io::{IsTerminal, Write, stderr, stdin};

use clap::Args;
use serde_json::json;
use serde_json::value::RawValue;

use super::transport::{Access, Transport, asked};
use super::{Exit, exit::Failure, output};
use crate::api::{Approval, List};
use crate::bindings::Statement;
use crate::code::Code;

#[derive(Args)]
pub(super) struct DecideArgs {
    /// The approval's id, or a unique prefix of it; on a terminal it may be left out
    id: Option<String>,
    /// Who decides
    #[arg(long, env = "SIGNOFF_APPROVER")]
    approver: String,
    /// Why
    #[arg(long)]
    comment: Option<String>,
    /// A signature made elsewhere; without it the secret of this machine signs
    #[arg(long)]
    signature: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Approved,
    Rejected,
}

pub(super) fn run(
    decision: Decision,
    args: &DecideArgs,
    transport: &Transport,
) -> Result<Exit, Failure> {
    let id = match &args.id {
        Some(id) => transport.resolve(id)?,
        None => choose(transport)?,
    };
    let approval = transport.approval(&id)?;
    digest_is_of_what_is_shown(&approval, transport)?;
    if !args.yes && !confirm(decision, &approval)? {
        output::note("nothing was decided");
        return Ok(Exit::Failed);
    }
    let signature = match &args.signature {
        Some(signature) => signature.clone(),
        None => sign(decision, args, &approval, transport)?,
    };
    let body = json!({
        "decision": decision.word(),
        "approver": args.approver,
        "comment": args.comment,
        "signature": signature,
    });
    let path = format!("/api/v1/approvals/{id}/approve");
    let answer = transport.post(&path, body.to_string(), Access::Write)?;
    if transport.json {
        output::line(&answer);
    } else {
        let decided: Approval = transport.parse(&answer)?;
        output::line(&format!("{} {}", decided.id, output::status(&decided.status)));
    }
    Ok(Exit::Done)
}

impl Decision {
    fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    fn question(self) -> &'static str {
        match self {
            Self::Approved => "Approve this",
            Self::Rejected => "Reject this",
        }
    }
}

/// Offers the pending approvals.
fn choose(transport: &Transport) -> Result<String, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage("without a terminal an approval's id is needed"));
    }
    let pending: List =
        transport.parse(&transport.get("/api/v1/approvals?status=pending&limit=20")?)?;
    if pending.items.is_empty() {
        return Err(transport.refused(Code::NOT_FOUND, "nothing is pending"));
    }
    for (index, approval) in pending.items.iter().enumerate() {
        let reason = output::safe(approval.reason.as_deref().unwrap_or_default());
        let reason = reason.replace(['\n', '\t'], " ");
        eprintln!(
            "{:>3}  {}  {}/{}  {reason}",
            index + 1,
            approval.id,
            approval.agent,
            approval.action
        );
    }
    let answer = ask("Which one? ")?;
    let chosen = answer.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    chosen
        .and_then(|index| pending.items.get(index))
        .map(|approval| approval.id.clone())
        .ok_or_else(|| Failure::usage("expected one of the numbers shown"))
}

/// An approver signs for what they see: this machine's verifier hashes it again.
fn digest_is_of_what_is_shown(approval: &Approval, transport: &Transport) -> Result<(), Failure> {
    let texts = [
        ("context", approval.context.as_ref(), Some(&approval.context_hash)),
        (
            "plan",
            approval.plan.as_ref().filter(|plan| plan.get() != "null"),
            approval.plan_hash.as_ref(),
        ),
    ];
    for (name, text, digest) in texts {
        let hash = |text: &RawValue| {
            asked(transport.json, || {
                transport.verifier().call(|i| {
                    let context = i.exports.signoff_approval_context();
                    context.call_digest(&mut i.store, text.get())
                })
            })
        };
        if text.map(|text| hash(text)).transpose()?.as_ref() != digest {
            return Err(transport.refused(
                Code::CONTEXT_MISMATCH,
                format!("the {name} shown does not have the digest of the approval; sign nothing"),
            ));
        }
    }
    Ok(())
}

fn confirm(decision: Decision, approval: &Approval) -> Result<bool, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage("without a terminal --yes is needed"));
    }
    output::approval(approval);
    let answer = ask(&format!("{}? [y/N] ", decision.question()))?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

pub(super) fn ask(question: &str) -> Result<String, Failure> {
    eprint!("{question}");
    stderr().flush()?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

fn sign(
    decision: Decision,
    args: &DecideArgs,
    approval: &Approval,
    transport: &Transport,
) -> Result<String, Failure> {
    let keys = transport.keys()?;
    let Some(key) = keys.to_sign_v1().cloned() else {
        return Err(transport.refused(Code::KEY_UNKNOWN, "no active key of this machine signs v1"));
    };
    let expires_at = chrono::DateTime::parse_from_rfc3339(&approval.expires_at)?.timestamp();
    let statement = Statement {
        audience: String::new(),
        key_id: key.id.clone(),
        approval_id: approval.id.clone(),
        request_digest: String::new(),
        expires_at: u64::try_from(expires_at)?,
        decision: decision.word().to_owned(),
        approver: args.approver.clone(),
        comment: args.comment.clone().unwrap_or_default(),
    };
    asked(transport.json, || {
        transport.verifier().call(|i| {
            let signing = i.exports.signoff_approval_signing();
            signing.call_sign(&mut i.store, &statement, "v1", &key)
        })
    })
}
