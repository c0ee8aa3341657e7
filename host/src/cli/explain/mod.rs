//! `signoff explain`: diagnoses a v1 signature that does not verify. Implements the runbook's
//! chapter "Invalid Signature".
//!
//! Only the verifier decides whether a signature is valid. If it is not, typical mistakes of
//! signers are tried here, one and two at a time, until they produce the given signature: [`form`]
//! has the mistakes in the signature's text, [`mistake`] those in the [`message`], [`secret`] those
//! in the secret, [`search`] those in hashing, and the search. Neither a secret nor a correct
//! signature is ever printed.

mod form;
mod message;
mod mistake;
mod search;
mod secret;
#[cfg(test)]
mod tests;

use clap::Args;
use serde::Serialize;

use self::search::{Explanation, explain};
use self::secret::Secrets;
use super::sign::unix_seconds;
use super::{Exit, Global, exit::Failure, output};
use crate::engine::{Allocation, Cache};
use crate::verifier::{self, Accepted, Rejection, Statement, Verifier};

#[derive(Args)]
pub(super) struct ExplainArgs {
    /// The approval's id
    #[arg(long)]
    id: String,
    /// `approved` or `rejected`
    #[arg(long)]
    decision: String,
    /// The approver
    #[arg(long, env = "SIGNOFF_APPROVER")]
    approver: String,
    /// The approval's expiry: 2025-10-17T11:30:00Z or 2025-10-17T11:30:00+00:00
    #[arg(long, value_name = "TIME")]
    expires_at: String,
    /// The signature that does not verify
    #[arg(long, allow_hyphen_values = true)]
    signature: String,
}

/// One mistake, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// Stable, for programs.
    code: String,
    what: String,
    /// Mostly Python, the language of the runbook's signers.
    #[serde(rename = "mend")]
    fix: String,
}

/// The result of the command.
#[derive(Debug, Serialize)]
struct Diagnosis {
    valid: bool,
    findings: Vec<Finding>,
    /// What was signed instead, if that is known and not secret.
    signed_message: Option<String>,
    /// What must be signed; `None` if the statement cannot be signed.
    expected_message: Option<String>,
}

/// The statement in question, and its signature.
struct SignedStatement {
    statement: Statement,
    signature: String,
}

pub(super) fn run(args: &ExplainArgs, global: &Global) -> Result<Exit, Failure> {
    let secrets = Secrets::of_machine(&global.keyring())?;
    let signed = SignedStatement {
        statement: Statement {
            audience: String::new(),
            key_id: String::new(),
            approval_id: args.id.clone(),
            request_digest: String::new(),
            expires_at: unix_seconds(&args.expires_at)?,
            decision: args.decision.clone(),
            approver: args.approver.clone(),
            comment: String::new(),
        },
        signature: args.signature.clone(),
    };
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    let answer = signed.answer(&verifier, &secrets)?.without(&secrets);
    if global.json {
        output::line(&serde_json::to_string(&answer)?);
    } else {
        output::line(&answer.for_people());
    }
    Ok(if answer.valid { Exit::Done } else { Exit::Refused })
}

impl SignedStatement {
    fn answer(&self, verifier: &Verifier, secrets: &Secrets) -> Result<Diagnosis, Failure> {
        let expected = match split_rejection(self.message(verifier))? {
            Ok(expected) => expected,
            Err(rejection) => return Ok(Diagnosis::unsignable(rejection)),
        };
        let verified = split_rejection(self.verify(verifier, secrets))?;
        let (valid, mut found) = match verified {
            Ok(()) => (true, Explanation::default()),
            Err(rejection) => (false, explain(self, &expected, secrets, &rejection)),
        };
        found.findings.extend(secrets.weaknesses());
        Ok(Diagnosis {
            valid,
            findings: found.findings,
            signed_message: found.signed_message,
            expected_message: Some(expected),
        })
    }

    fn message(&self, verifier: &Verifier) -> Result<String, verifier::Failure> {
        let message = verifier.payload(&self.statement, "v1")?;
        Ok(message.text.unwrap_or_default())
    }

    fn verify(&self, verifier: &Verifier, secrets: &Secrets) -> Result<(), verifier::Failure> {
        let (keys, accept) = (secrets.keys_for_verifier(), ["v1".to_owned()]);
        let accepted = Accepted { keys: &keys, profiles: &accept };
        verifier.verify(&self.statement, &self.signature, accepted).map(drop)
    }
}

/// Separates rejections, which are results here, from traps, which are failures.
fn split_rejection<T>(
    answer: Result<T, verifier::Failure>,
) -> Result<Result<T, Rejection>, Failure> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(verifier::Failure::Rejected(rejection)) => Ok(Err(rejection)),
        Err(trapped @ verifier::Failure::Trapped(_)) => Err(Failure::Failed(trapped.into())),
    }
}

impl Finding {
    fn new(code: &str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code: code.to_owned(), what: what.into(), fix: fix.into() }
    }
}

impl Diagnosis {
    /// Returns the answer for a statement that cannot be signed.
    fn unsignable(rejection: Rejection) -> Self {
        let fix = "correct --id, --decision, --approver or --expires-at; the signer must use the same values";
        Self {
            valid: false,
            findings: vec![Finding {
                code: rejection.code,
                what: rejection.message,
                fix: fix.to_owned(),
            }],
            signed_message: None,
            expected_message: None,
        }
    }

    /// Hides every secret in the answer: a user may have passed one as the approver.
    fn without(self, secrets: &Secrets) -> Self {
        let hidden = |text: String| secrets.hidden_in(text);
        Self {
            valid: self.valid,
            findings: self
                .findings
                .into_iter()
                .map(|f| Finding { code: f.code, what: hidden(f.what), fix: hidden(f.fix) })
                .collect(),
            signed_message: self.signed_message.map(hidden),
            expected_message: self.expected_message.map(hidden),
        }
    }

    fn for_people(&self) -> String {
        let mut lines = Vec::new();
        if self.valid {
            lines.push("valid".to_owned());
        }
        for finding in &self.findings {
            let name = if self.valid { "note" } else { "wrong" };
            lines.push(format!("{name:<10}{}", output::safe(&finding.what)));
        }
        // Quoted and escaped, to show a space or line feed at the end.
        let quoted = |name: &str, text: &str| format!("{name:<10}\"{}\"", text.escape_debug());
        match (&self.signed_message, &self.expected_message) {
            (_, Some(_)) if self.valid => {}
            (Some(signed), Some(expected)) if signed == expected => {
                lines.push(quoted("message", expected) + " is right");
            }
            (signed, expected) => {
                lines.extend(signed.as_deref().map(|text| quoted("signed", text)));
                lines.extend(expected.as_deref().map(|text| quoted("must be", text)));
            }
        }
        let mut fixes: Vec<&str> = self.findings.iter().map(|f| f.fix.as_str()).collect();
        fixes.dedup();
        for fix in fixes {
            let fix = output::safe(fix).replace('\n', "\n          ");
            lines.push(format!("{:<10}{fix}", "fix"));
        }
        lines.join("\n")
    }
}
