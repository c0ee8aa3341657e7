//! Mistakes in a signature's text: transformations of the correct text.

use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding};

use super::Finding;

/// Minimum bytes for a match: fewer could match by chance; 14,000 guesses against 2^64 cannot.
const TRUNCATED_BYTES_MIN: usize = 8;
const MAC_BYTES: usize = 32;
/// Prefixes that tools write before a digest.
const PREFIXES: [&str; 9] = [
    "sha256=",
    "sha256:",
    "hmac-sha256=",
    "v1=",
    "v1.",
    "0x",
    "HMAC-SHA2-256(stdin)= ",
    "SHA2-256(stdin)= ",
    "(stdin)= ",
];
/// Lengths of other digests in hex characters, and their names in Python.
const OTHER_DIGESTS: [(usize, &str); 5] =
    [(32, "md5"), (40, "sha1"), (56, "sha224"), (96, "sha384"), (128, "sha512")];

/// An interpretation of a signature: the mistakes in its text, and the remaining bytes, which are
/// at least a prefix of a MAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) mistakes: Vec<Finding>,
    pub(super) bytes: Vec<u8>,
}

/// Returns every interpretation of a signature, the simplest first.
pub(super) fn read(signature: &str) -> Vec<Form> {
    let mut mistakes = Vec::new();
    let text = unwrapped(signature, &mut mistakes);
    let mut forms = Vec::new();
    let mut add = |bytes: Option<Vec<u8>>, finding: Option<Finding>| {
        let Some(mut bytes) = bytes.filter(|bytes| bytes.len() >= TRUNCATED_BYTES_MIN) else {
            return;
        };
        let mut mistakes = mistakes.clone();
        mistakes.extend(finding);
        bytes.truncate(MAC_BYTES);
        forms.push(Form { mistakes, bytes });
    };
    add(hex::decode(even(text)).ok(), text_as_hex(text));
    for bytes in decoded(text) {
        let of_bytes =
            "hmac.new(key, message, hashlib.sha256).hexdigest(), not base64 of .digest()";
        let of_text = "send the hexdigest() itself, not encoded again";
        add((bytes.len() == MAC_BYTES).then(|| bytes.clone()), Some(base64(of_bytes)));
        add(hex::decode(&bytes).ok(), Some(base64(of_text)));
    }
    forms
}

/// Returns which other digest a signature of this length may be.
pub(super) fn other_digest(signature: &str) -> Option<Finding> {
    let text = unwrapped(signature, &mut Vec::new());
    let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    let (_, name) = OTHER_DIGESTS.into_iter().find(|(len, _)| is_hex && *len == text.len())?;
    Some(Finding::new(
        "algorithm",
        format!(
            "{} hex characters are the length of hashlib.{name}; v1 is HMAC-SHA256, 64 characters",
            text.len()
        ),
        format!("hmac.new(key, message, hashlib.sha256).hexdigest(), not hashlib.{name}"),
    ))
}

/// Strips white space, quotes and prefixes from the text.
fn unwrapped<'a>(signature: &'a str, mistakes: &mut Vec<Finding>) -> &'a str {
    let mut text = signature.trim();
    if text != signature {
        mistakes.push(Finding::new(
            "signature-white-space",
            "the signature has white space around it, perhaps a line feed",
            "signature.strip()",
        ));
    }
    if let Some(inner) = unquoted(text) {
        text = inner;
        mistakes.push(Finding::new(
            "signature-quoted",
            "the signature is in quotes",
            "send the text, not its repr() or its JSON; decode bytes with .decode()",
        ));
    }
    if let Some((prefix, inner)) =
        PREFIXES.iter().find_map(|prefix| Some((prefix, text.strip_prefix(prefix)?)))
    {
        text = inner;
        mistakes.push(Finding::new(
            "signature-prefix",
            format!("the signature begins with `{prefix}`"),
            format!("signature.removeprefix({prefix:?})"),
        ));
    }
    text
}

fn unquoted(text: &str) -> Option<&str> {
    let text = text.strip_prefix('b').filter(|rest| rest.starts_with(['\'', '"'])).unwrap_or(text);
    let within = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\''))
}

fn text_as_hex(text: &str) -> Option<Finding> {
    let full = 2 * MAC_BYTES;
    if text.len() != full {
        return Some(Finding::new(
            "signature-length",
            format!("the signature has {} characters, expected {full}", text.len()),
            "send the whole hexdigest(); check for a short database column or a truncated line",
        ));
    }
    text.bytes().any(|b| b.is_ascii_uppercase()).then(|| {
        Finding::new(
            "signature-upper-case",
            "the signature is in upper case",
            "hexdigest() is lower case; remove .upper()",
        )
    })
}

/// Drops the last character of hex with an odd length.
fn even(text: &str) -> &str {
    text.get(..text.len() & !1).unwrap_or(text)
}

fn decoded(text: &str) -> impl Iterator<Item = Vec<u8>> {
    let all = [
        Base64::decode_vec(text),
        Base64Unpadded::decode_vec(text),
        Base64Url::decode_vec(text),
        Base64UrlUnpadded::decode_vec(text),
    ];
    all.into_iter().flatten()
}

fn base64(fix: &str) -> Finding {
    Finding::new("signature-base64", "the signature is base64, expected hex", fix)
}
