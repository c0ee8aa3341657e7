//! The search: tries messages, secrets and hash functions with zero, one and two mistakes, until
//! one produces the given signature.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::form::{self, Form};
use super::message::Draft;
use super::mistake;
use super::secret::{Held, Secrets, Variant};
use super::{Finding, SignedStatement};
use crate::verifier::Rejection;

/// Maximum combined mistakes: more would make explanations implausible.
const MISTAKES_MAX: usize = 2;
/// How far from the correct expiry to search for another one: a day.
const EXPIRY_SECONDS_MAX: i64 = 86_400;
const FIX_HASH: &str =
    "hmac.new(key=secret.encode(), msg=message.encode(), digestmod=hashlib.sha256).hexdigest()";

/// The findings, and what was signed instead, if that is known and not secret.
#[derive(Debug, Default)]
pub(super) struct Explanation {
    pub(super) findings: Vec<Finding>,
    pub(super) signed_message: Option<String>,
}

/// A message with some mistakes in it.
struct Tried {
    mistakes: Vec<Finding>,
    text: String,
}

/// How a signer may combine a secret and a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Function {
    Hmac,
    HmacExchanged,
    HmacOfDigest,
    HmacOfHexDigest,
    Sha256,
    SecretFirst,
    SecretLast,
    SecretLastAsField,
}

/// Explains why a signature does not verify; `rejection` is the verifier's reason.
pub(super) fn explain(
    signed: &SignedStatement,
    expected: &str,
    secrets: &Secrets,
    rejection: &Rejection,
) -> Explanation {
    let forms = form::read(&signed.signature);
    let right = Draft::of(&signed.statement);
    let messages = messages(&right);
    let variants: Vec<(Option<&Held>, Variant)> = secrets
        .iter()
        .flat_map(|held| held.variants().into_iter().map(move |variant| (Some(held), variant)))
        .chain(secrets.others().into_iter().map(|variant| (None, variant)))
        .collect();
    for mistakes in 0..=MISTAKES_MAX {
        for (held, secret) in &variants {
            for function in Function::ALL {
                let others =
                    usize::from(secret.mistake.is_some()) + usize::from(function != Function::Hmac);
                let Some(tried) = mistakes.checked_sub(others).and_then(|n| messages.get(n)) else {
                    continue;
                };
                if let Some((tried, form)) = function.first_match(&secret.bytes, tried, &forms) {
                    let unfit =
                        held.filter(|held| mistakes == 0 && held.counts()).map(|_| rejection);
                    return explained(tried, secret, function, form, unfit);
                }
            }
        }
    }
    another_expiry(&right, secrets, &forms)
        .unwrap_or_else(|| unexplained(signed, expected, secrets, &forms, rejection))
}

fn explained(
    tried: &Tried,
    secret: &Variant,
    function: Function,
    form: &Form,
    rejection: Option<&Rejection>,
) -> Explanation {
    let mut findings = form.mistakes.clone();
    findings.extend(tried.mistakes.iter().cloned());
    findings.extend(secret.mistake.clone());
    findings.extend(function.mistake());
    if let Some(rejection) = rejection.filter(|_| findings.is_empty()) {
        let fix =
            "the signature is valid for one of this machine's keys, but the key itself is refused";
        findings.push(Finding::new(&rejection.code, rejection.message.clone(), fix));
    }
    Explanation { findings, signed_message: function.shows_message().then(|| tried.text.clone()) }
}

/// Searches for the correct message with another expiry: the approval was extended, or times were
/// mixed up.
fn another_expiry(right: &Draft, secrets: &Secrets, forms: &[Form]) -> Option<Explanation> {
    let message = right.text();
    let fields = message.strip_suffix(&right.time())?;
    for held in secrets.iter() {
        let of_fields = keyed(held.bytes())?.chain_update(fields);
        let nearest_first = (1..=EXPIRY_SECONDS_MAX).flat_map(|seconds| [seconds, -seconds]);
        for time in nearest_first.filter_map(|seconds| right.time_moved(seconds)) {
            let mac = of_fields.clone().chain_update(&time).finalize().into_bytes().into();
            let Some(form) = forms.iter().find(|form| form.is_of(&mac)) else { continue };
            let what = format!("another expiry was signed: {time}");
            let fix =
                "use the current expires_at of the server: the approval may have been extended";
            let mut findings = form.mistakes.clone();
            findings.push(Finding::new("time-other", what, fix));
            return Some(Explanation { findings, signed_message: Some(format!("{fields}{time}")) });
        }
    }
    None
}

fn unexplained(
    signed: &SignedStatement,
    expected: &str,
    secrets: &Secrets,
    forms: &[Form],
    rejection: &Rejection,
) -> Explanation {
    let mut findings: Vec<Finding> = form::other_digest(&signed.signature).into_iter().collect();
    if forms.is_empty() && findings.is_empty() {
        let fix = "send hmac.new(…).hexdigest(): 64 lower-case hex characters";
        findings.push(Finding::new(&rejection.code, rejection.message.clone(), fix));
    }
    if findings.is_empty() {
        let fix = format!(
            "this machine's key is {}; the signer's is\n\
             \"hmac-\" + hmac.new(secret.encode(), b\"signoff/key-id\", hashlib.sha256).hexdigest()[:12]\n\
             if they are equal, run print(repr(message)) there and compare with\n{}",
            secrets.key_ids(),
            expected.escape_debug(),
        );
        let what =
            "no known mistake produces this signature: most likely the signer has another secret";
        findings.push(Finding::new("unexplained", what, fix));
    }
    Explanation { findings, signed_message: None }
}

/// Returns messages by their number of mistakes.
fn messages(right: &Draft) -> [Vec<Tried>; MISTAKES_MAX + 1] {
    let mistakes = mistake::all(right);
    let none = vec![Tried { mistakes: Vec::new(), text: right.text() }];
    let mut one = Vec::new();
    let mut two = Vec::new();
    for (index, first) in mistakes.iter().enumerate() {
        let draft = first.made_in(right);
        one.push(Tried { mistakes: vec![first.finding.clone()], text: draft.text() });
        for second in mistakes.iter().skip(index + 1).filter(|second| second.goes_with(first)) {
            let both = vec![first.finding.clone(), second.finding.clone()];
            two.push(Tried { mistakes: both, text: second.made_in(&draft).text() });
        }
    }
    [none, one, two]
}

impl Form {
    fn is_of(&self, mac: &[u8; 32]) -> bool {
        mac.starts_with(&self.bytes)
    }
}

impl Function {
    const ALL: [Self; 8] = [
        Self::Hmac,
        Self::HmacExchanged,
        Self::HmacOfDigest,
        Self::HmacOfHexDigest,
        Self::Sha256,
        Self::SecretFirst,
        Self::SecretLast,
        Self::SecretLastAsField,
    ];

    fn first_match<'a>(
        self,
        secret: &[u8],
        messages: &'a [Tried],
        forms: &'a [Form],
    ) -> Option<(&'a Tried, &'a Form)> {
        messages.iter().find_map(|tried| {
            let mac = self.mac(secret, &tried.text);
            forms.iter().find(|form| form.is_of(&mac)).map(|form| (tried, form))
        })
    }

    fn mac(self, secret: &[u8], message: &str) -> [u8; 32] {
        let message = message.as_bytes();
        let digest = || Sha256::digest(message);
        match self {
            Self::Hmac => hmac(secret, message),
            Self::HmacExchanged => hmac(message, secret),
            Self::HmacOfDigest => hmac(secret, &digest()),
            Self::HmacOfHexDigest => hmac(secret, hex::encode(digest()).as_bytes()),
            Self::Sha256 => digest().into(),
            Self::SecretFirst => {
                Sha256::new().chain_update(secret).chain_update(message).finalize().into()
            }
            Self::SecretLast => {
                Sha256::new().chain_update(message).chain_update(secret).finalize().into()
            }
            Self::SecretLastAsField => Sha256::new()
                .chain_update(message)
                .chain_update(":")
                .chain_update(secret)
                .finalize()
                .into(),
        }
    }

    /// Returns whether the message may be shown because the secret is not part of the signed data.
    fn shows_message(self) -> bool {
        matches!(self, Self::Hmac | Self::HmacOfDigest | Self::HmacOfHexDigest | Self::Sha256)
    }

    fn mistake(self) -> Option<Finding> {
        let (code, what) = match self {
            Self::Hmac => return None,
            Self::HmacExchanged => (
                "key-and-message-exchanged",
                "the message was used as the key, and the secret as the message",
            ),
            Self::HmacOfDigest | Self::HmacOfHexDigest => {
                ("message-hashed", "the message was hashed before it was signed")
            }
            Self::Sha256 => {
                ("not-hmac", "it is a plain SHA-256 of the message, which anyone can compute")
            }
            Self::SecretFirst | Self::SecretLast | Self::SecretLastAsField => {
                ("not-hmac", "it is a plain SHA-256 of secret and message, not an HMAC")
            }
        };
        Some(Finding::new(code, what, FIX_HASH))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mac = keyed(key).map(|mac| mac.chain_update(message).finalize().into_bytes().into());
    mac.unwrap_or_default()
}

/// Returns a keyed HMAC; never `None`, because HMAC accepts keys of any length.
fn keyed(key: &[u8]) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(key).ok()
}
