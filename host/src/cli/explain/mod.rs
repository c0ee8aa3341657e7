//! `signoff explain`: what is wrong with a v1 signature that does not verify. The runbook's chapter
//! "Invalid Signature" as a tool.
//!
//! Whether a signature is valid is asked of the verifier, and of nobody else. Where it is not, the
//! mistakes that signers make are tried out here, one and two at a time, until one of them gives the
//! signature that came: [`form`] has those of the signature's text, [`mistake`] those of the
//! [`message`], [`secret`] those of the secret, [`search`] the ways to hash, and the search itself.
//! Neither a secret nor a right signature is ever printed.

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
    /// Who decides
    #[arg(long, env = "SIGNOFF_APPROVER")]
    approver: String,
    /// The approval's expiry: 2025-10-17T11:30:00Z or 2025-10-17T11:30:00+00:00
    #[arg(long, value_name = "TIME")]
    expires_at: String,
    /// The signature that does not verify
    #[arg(long, allow_hyphen_values = true)]
    signature: String,
}

/// One mistake, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// Stable, for programs.
    code: String,
    what: String,
    /// Mostly Python, as the runbook's signers are.
    mend: String,
}

/// What the command answers.
#[derive(Debug, Serialize)]
struct Answer {
    valid: bool,
    findings: Vec<Finding>,
    /// What was signed instead, where that is known and no secret.
    signed_message: Option<String>,
    /// What must be signed; none where the statement itself cannot be.
    expected_message: Option<String>,
}

/// The statement in question, and its signature.
struct Question {
    statement: Statement,
    signature: String,
}

pub(super) fn run(args: &ExplainArgs, global: &Global) -> Result<Exit, Failure> {
    let secrets = Secrets::of_machine(&global.keyring())?;
    let question = Question {
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
    let answer = question.answer(&verifier, &secrets)?.without(&secrets);
    if global.json {
        output::line(&serde_json::to_string(&answer)?);
    } else {
        output::line(&answer.for_people());
    }
    Ok(if answer.valid { Exit::Done } else { Exit::Refused })
}

impl Question {
    fn answer(&self, verifier: &Verifier, secrets: &Secrets) -> Result<Answer, Failure> {
        let expected = match asked(self.message(verifier))? {
            Ok(expected) => expected,
            Err(rejection) => return Ok(Answer::unsignable(rejection)),
        };
        let verified = asked(self.verify(verifier, secrets))?;
        let (valid, mut found) = match verified {
            Ok(()) => (true, Explanation::default()),
            Err(rejection) => (false, explain(self, &expected, secrets, &rejection)),
        };
        found.findings.extend(secrets.weaknesses());
        Ok(Answer {
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

/// A rejection is part of the answer here; a trap is not.
fn asked<T>(answer: Result<T, verifier::Failure>) -> Result<Result<T, Rejection>, Failure> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(verifier::Failure::Rejected(rejection)) => Ok(Err(rejection)),
        Err(trapped @ verifier::Failure::Trapped(_)) => Err(Failure::Failed(trapped.into())),
    }
}

impl Finding {
    fn new(code: &str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { code: code.to_owned(), what: what.into(), mend: mend.into() }
    }
}

impl Answer {
    /// A statement that no signature can be right for.
    fn unsignable(rejection: Rejection) -> Self {
        let mend =
            "mend --id, --decision, --approver or --expires-at; what signs must use the same";
        Self {
            valid: false,
            findings: vec![Finding {
                code: rejection.code,
                what: rejection.message,
                mend: mend.to_owned(),
            }],
            signed_message: None,
            expected_message: None,
        }
    }

    /// The answer with every secret hidden: somebody may have given one as an approver.
    fn without(self, secrets: &Secrets) -> Self {
        let hidden = |text: String| secrets.hidden_in(text);
        Self {
            valid: self.valid,
            findings: self
                .findings
                .into_iter()
                .map(|f| Finding { code: f.code, what: hidden(f.what), mend: hidden(f.mend) })
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
        // Quoted and escaped: a space or line feed at the end is what is looked for.
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
        let mut mends: Vec<&str> = self.findings.iter().map(|f| f.mend.as_str()).collect();
        mends.dedup();
        for mend in mends {
            let mend = output::safe(mend).replace('\n', "\n          ");
            lines.push(format!("{:<10}{mend}", "mend"));
        }
        lines.join("\n")
    }
}
