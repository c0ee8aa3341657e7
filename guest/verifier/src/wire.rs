//! One door for runtimes without typed bindings: a JSON request in, a JSON answer out. It calls the
//! functions of the other modules and adds no rule.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::context;
use crate::describe::describe;
use crate::key::{KeyEntry, Keyring};
use crate::lifecycle::{self, Summary, Transition};
use crate::limits::WIRE_BYTES_MAX;
use crate::object::{self, object, objects};
use crate::record::to_json;
use crate::rejection::{Code, Rejection};
use crate::signature::{self, Accepted, SignatureValid};
use crate::statement::{Profile, Statement, StatementText};

/// Every op, as `describe` lists them.
pub const OPS: &[&str] = &[
    "describe",
    "context.canonicalize",
    "context.digest",
    "signing.payload",
    "signing.sign",
    "signing.verify",
    "lifecycle.open",
    "lifecycle.decide",
    "lifecycle.check",
    "lifecycle.recognize",
    "lifecycle.claim",
    "lifecycle.settle",
    "lifecycle.expire",
    "lifecycle.withdraw",
    "lifecycle.extend",
    "lifecycle.void",
    "lifecycle.show",
    "lifecycle.state",
    "lifecycle.review",
];

/// Answers one request: `{"op": …, "args": {…}}` gets `{"ok": {…}}` or
/// `{"error": {"code": …, "message": …}}`.
///
/// Rejections: 1. `limit-exceeded` for a request over 16 MiB 2. `request-invalid` for anything but
/// an object with a known op and its arguments 3. those of the op, in its order.
pub fn call(request: &str) -> String {
    let answer = answer(request).and_then(|ok| to_json(&Answer::Ok(&ok)));
    answer.unwrap_or_else(|rejection| {
        let error = Answer::Error { code: rejection.code.as_str(), message: &rejection.message };
        // Two strings always serialize; an answer that is not JSON would be refused by any caller.
        to_json(&error).unwrap_or_default()
    })
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer<'a> {
    Ok(&'a RawValue),
    Error { code: &'a str, message: &'a str },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
}

fn answer(request: &str) -> Result<Box<RawValue>, Rejection> {
    if request.len() > WIRE_BYTES_MAX {
        return Err(Rejection::limit(format!(
            "request is {} bytes, the limit is {WIRE_BYTES_MAX}",
            request.len()
        )));
    }
    let request: Request<'_> = object::parse("request", request)?;
    let args = request.args.map_or("{}", RawValue::get);
    match request.op.as_ref() {
        "describe" => {
            read::<NoArgs>(args)?;
            RawValue::from_string(describe()?)
                .map_err(|e| Rejection::new(Code::StoreUnavailable, e.to_string()))
        }
        "context.canonicalize" => canonicalize(&read(args)?),
        "context.digest" => digest(&read(args)?),
        "signing.payload" => payload(&read(args)?),
        "signing.sign" => sign(&read(args)?),
        "signing.verify" => verify(&read(args)?),
        op => lifecycle_op(op, args),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArgs {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContextArgs<'a> {
    #[serde(borrow)]
    context: Cow<'a, str>,
}

fn canonicalize(args: &ContextArgs<'_>) -> Result<Box<RawValue>, Rejection> {
    #[derive(Serialize)]
    struct Canonical {
        canonical: String,
    }
    let canonical = context::canonicalize(&args.context)?;
    raw(&Canonical { canonical })
}

fn digest(args: &ContextArgs<'_>) -> Result<Box<RawValue>, Rejection> {
    #[derive(Serialize)]
    struct Digest {
        digest: String,
    }
    let digest = context::digest(&args.context)?;
    raw(&Digest { digest })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadArgs<'a> {
    #[serde(deserialize_with = "object")]
    statement: StatementText,
    #[serde(borrow)]
    profile: Cow<'a, str>,
}

/// The exact bytes to sign, as `message` in `wit/signing.wit`.
#[derive(Serialize)]
#[allow(missing_docs, reason = "the fields of `message` in wit/signing.wit")]
pub struct Message {
    pub profile: &'static str,
    pub base64url: String,
    pub text: Option<String>,
}

impl Message {
    /// The message of a profile for a statement.
    ///
    /// Rejections: those of `signing.payload`.
    pub fn of(statement: &StatementText, profile: &str) -> Result<Self, Rejection> {
        use base64ct::{Base64UrlUnpadded, Encoding};
        let profile = Profile::read(profile)?;
        let message = Statement::read(statement, profile)?.message()?;
        Ok(Self {
            profile: profile.as_str(),
            base64url: Base64UrlUnpadded::encode_string(&message),
            text: match profile {
                Profile::V1 => String::from_utf8(message).ok(),
                Profile::V2 => None,
            },
        })
    }
}

fn payload(args: &PayloadArgs<'_>) -> Result<Box<RawValue>, Rejection> {
    raw(&Message::of(&args.statement, &args.profile)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignArgs<'a> {
    #[serde(deserialize_with = "object")]
    statement: StatementText,
    #[serde(borrow)]
    profile: Cow<'a, str>,
    #[serde(deserialize_with = "object")]
    key: KeyEntry,
}

fn sign(args: &SignArgs<'_>) -> Result<Box<RawValue>, Rejection> {
    #[derive(Serialize)]
    struct Signed {
        signature: String,
    }
    let signature = signature::sign(&args.statement, &args.profile, &args.key)?;
    raw(&Signed { signature })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyArgs<'a> {
    #[serde(deserialize_with = "object")]
    statement: StatementText,
    #[serde(borrow)]
    signature: Cow<'a, str>,
    #[serde(deserialize_with = "objects")]
    keys: Vec<KeyEntry>,
    accept: Vec<String>,
}

fn verify(args: &VerifyArgs<'_>) -> Result<Box<RawValue>, Rejection> {
    #[derive(Serialize)]
    struct Verified<'a> {
        key_id: &'a str,
    }
    let proof = verified(&args.statement, &args.signature, &args.keys, &args.accept)?;
    raw(&Verified { key_id: proof.key_id().as_str() })
}

/// Reads what `signing.verify` is given, and verifies.
///
/// Rejections: those of `signing.verify`.
pub(crate) fn verified(
    statement: &StatementText,
    signature: &str,
    keys: &[KeyEntry],
    accept: &[String],
) -> Result<SignatureValid, Rejection> {
    let keys = Keyring::read(keys)?;
    let accepted = Accepted::read(accept)?;
    let statement = Statement::read(statement, accepted.profile_of(signature))?;
    signature::verify(&statement, signature, &keys, &accepted)
}

fn lifecycle_op(op: &str, args: &str) -> Result<Box<RawValue>, Rejection> {
    match op {
        "lifecycle.open" => open(&read(args)?),
        "lifecycle.decide" => {
            let a: DecideArgs<'_> = read(args)?;
            let approval = a.approval.as_deref();
            raw(&lifecycle::decide(approval, &a.ballot, &a.keys, &a.accept, a.now)?)
        }
        "lifecycle.check" => check(&read(args)?),
        "lifecycle.recognize" => recognize(&read(args)?),
        "lifecycle.claim" => claim(&read(args)?),
        "lifecycle.settle" => {
            let a: SettleArgs<'_> = read(args)?;
            optional(lifecycle::settle(a.approval.as_deref(), &a.outcome, a.now)?)
        }
        "lifecycle.expire" => {
            let a: TimeArgs<'_> = read(args)?;
            optional(lifecycle::expire(a.approval.as_deref(), a.now)?)
        }
        "lifecycle.withdraw" => {
            let a: WithdrawArgs<'_> = read(args)?;
            raw(&lifecycle::withdraw(a.approval.as_deref(), &a.withdrawal, a.now)?)
        }
        "lifecycle.extend" => {
            let a: ExtendArgs<'_> = read(args)?;
            raw(&lifecycle::extend(a.approval.as_deref(), &a.extension, a.now)?)
        }
        "lifecycle.show" => {
            let a: TimeArgs<'_> = read(args)?;
            raw(&lifecycle::show(a.approval.as_deref(), a.now)?)
        }
        "lifecycle.void" => {
            let a: VoidArgs<'_> = read(args)?;
            raw(&lifecycle::void(a.approval.as_deref(), &a.actor, a.now)?)
        }
        "lifecycle.state" => state(&read(args)?),
        "lifecycle.review" => review(&read(args)?),
        unknown => Err(Rejection::request(format!("unknown op `{}`", unknown.escape_debug()))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenArgs<'a> {
    #[serde(borrow)]
    request: Cow<'a, str>,
    context: Cow<'a, str>,
    #[serde(default)]
    plan: Option<Cow<'a, str>>,
    accept: Vec<String>,
    now: u64,
}

fn open(a: &OpenArgs<'_>) -> Result<Box<RawValue>, Rejection> {
    #[derive(Serialize)]
    struct Opened {
        record: String,
        summary: Summary,
        entry: String,
        context: String,
        plan: Option<String>,
    }
    let opened = lifecycle::open(&a.request, &a.context, a.plan.as_deref(), &a.accept, a.now)?;
    raw(&Opened {
        record: opened.transition.record,
        summary: opened.transition.summary,
        entry: opened.transition.entry,
        context: opened.context,
        plan: opened.plan,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecideArgs<'a> {
    #[serde(borrow, default)]
    approval: Option<Cow<'a, str>>,
    ballot: Cow<'a, str>,
    #[serde(deserialize_with = "objects")]
    keys: Vec<KeyEntry>,
    accept: Vec<String>,
    now: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckArgs<'a> {
    #[serde(borrow, default)]
    approval: Option<Cow<'a, str>>,
    attempt: Cow<'a, str>,
    #[serde(default)]
    context: Option<Cow<'a, str>>,
    #[serde(default)]
    plan: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "objects")]
    keys: Vec<KeyEntry>,
    accept: Vec<String>,
    now: u64,
}

fn check(a: &CheckArgs<'_>) -> Result<Box<RawValue>, Rejection> {
    #[derive(Serialize)]
    struct Checked {
        summary: Summary,
    }
    let summary = lifecycle::check(
        a.approval.as_deref(),
        &a.attempt,
        a.context.as_deref(),
        a.plan.as_deref(),
        &a.keys,
        &a.accept,
        a.now,
    )?;
    raw(&Checked { summary })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecognizeArgs<'a> {
    #[serde(borrow, default)]
    approval: Option<Cow<'a, str>>,
    signature: Cow<'a, str>,
    #[serde(deserialize_with = "objects")]
    keys: Vec<KeyEntry>,
    accept: Vec<String>,
}

fn recognize(a: &RecognizeArgs<'_>) -> Result<Box<RawValue>, Rejection> {
    #[derive(Serialize)]
    struct Recognized {
        ballot: String,
    }
    let ballot = lifecycle::recognize(a.approval.as_deref(), &a.signature, &a.keys, &a.accept)?;
    raw(&Recognized { ballot })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimArgs<'a> {
    #[serde(borrow, default)]
    approval: Option<Cow<'a, str>>,
    claim: Cow<'a, str>,
    context: Cow<'a, str>,
    #[serde(default)]
    plan: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "objects")]
    keys: Vec<KeyEntry>,
    accept: Vec<String>,
    now: u64,
}

fn claim(a: &ClaimArgs<'_>) -> Result<Box<RawValue>, Rejection> {
    raw(&lifecycle::claim(
        a.approval.as_deref(),
        &a.claim,
        &a.context,
        a.plan.as_deref(),
        &a.keys,
        &a.accept,
        a.now,
    )?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettleArgs<'a> {
    #[serde(borrow, default)]
    approval: Option<Cow<'a, str>>,
    outcome: Cow<'a, str>,
    now: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeArgs<'a> {
    #[serde(borrow, default)]
    approval: Option<Cow<'a, str>>,
    now: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithdrawArgs<'a> {
    #[serde(borrow, default)]
    approval: Option<Cow<'a, str>>,
    withdrawal: Cow<'a, str>,
    now: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtendArgs<'a> {
    #[serde(borrow, default)]
    approval: Option<Cow<'a, str>>,
    extension: Cow<'a, str>,
    now: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoidArgs<'a> {
    #[serde(borrow, default)]
    approval: Option<Cow<'a, str>>,
    actor: Cow<'a, str>,
    now: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateArgs<'a> {
    #[serde(borrow, default)]
    approval: Option<Cow<'a, str>>,
    decision: Cow<'a, str>,
    approver: Cow<'a, str>,
    key_id: Cow<'a, str>,
    comment: Cow<'a, str>,
}

#[derive(Serialize)]
struct Stated {
    statement: StatementText,
}

fn state(a: &StateArgs<'_>) -> Result<Box<RawValue>, Rejection> {
    let statement =
        lifecycle::state(a.approval.as_deref(), &a.decision, &a.approver, &a.key_id, &a.comment)?;
    raw(&Stated { statement })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReviewArgs<'a> {
    #[serde(borrow)]
    approval: Cow<'a, str>,
    context: Cow<'a, str>,
    #[serde(default)]
    plan: Option<Cow<'a, str>>,
    decision: Cow<'a, str>,
    approver: Cow<'a, str>,
    key_id: Cow<'a, str>,
    comment: Cow<'a, str>,
}

fn review(a: &ReviewArgs<'_>) -> Result<Box<RawValue>, Rejection> {
    let statement = lifecycle::review(
        &a.approval,
        &a.context,
        a.plan.as_deref(),
        &a.decision,
        &a.approver,
        &a.key_id,
        &a.comment,
    )?;
    raw(&Stated { statement })
}

/// A transition, or null in each of its fields where there is nothing to keep.
fn optional(transition: Option<Transition>) -> Result<Box<RawValue>, Rejection> {
    #[derive(Default, Serialize)]
    struct Nothing {
        record: Option<()>,
        summary: Option<()>,
        entry: Option<()>,
    }
    match transition {
        Some(transition) => raw(&transition),
        None => raw(&Nothing::default()),
    }
}

fn read<'a, T: Deserialize<'a>>(args: &'a str) -> Result<T, Rejection> {
    object::parse("args", args)
}

fn raw<T: Serialize>(value: &T) -> Result<Box<RawValue>, Rejection> {
    serde_json::value::to_raw_value(value)
        .map_err(|e| Rejection::new(Code::StoreUnavailable, e.to_string()))
}
