//! The secrets of this machine, and how a signer may have altered them.

use std::path::Path;

use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use super::Finding;
use crate::keys::{self, KeyError, SECRET_VARIABLES};
use crate::verifier::Key;

/// Key lengths that the verifier accepts.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 32..=4096;
/// Minimum length of a secret to hide: a shorter one is part of too many words.
const HIDDEN_BYTES_MIN: usize = 8;
/// Fallbacks of signers whose variable is unset.
const PLACEHOLDERS: [&str; 9] = [
    "",
    "None",
    "undefined",
    "your-hmac-secret",
    "changeme",
    "change-me",
    "secret",
    "dev-secret",
    "test",
];
const FIX_VARIABLE: &str = "use the same bytes on both sides: key=os.environ[\"HMAC_SECRET\"].encode(), nothing added, trimmed or decoded";

/// The secrets that signoff would use here, even weak ones.
pub(super) struct Secrets {
    held: Vec<Held>,
    /// The secret of a variable that is ignored because another one is set too.
    shadowed: Option<Held>,
}

/// One secret.
pub(super) struct Held {
    /// A variable or a key's id.
    name: String,
    key: Key,
    bytes: Zeroizing<Vec<u8>>,
}

/// A secret as a signer may have used it: the correct one, or one altered by a mistake.
pub(super) struct Variant {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) mistake: Option<Finding>,
}

impl Secrets {
    /// Loads the secret of the environment and those of the keyring, if there is one.
    pub(super) fn of_machine(keyring: &Path) -> Result<Self, KeyError> {
        let mut held = Vec::new();
        let mut shadowed = None;
        if let Some((name, secret)) = keys::secret_of_environment()? {
            held.push(Held::of_text(name, &secret)?);
            let other = SECRET_VARIABLES.into_iter().find(|other| *other != name);
            shadowed = other.and_then(|other| {
                let secret = Zeroizing::new(std::env::var(other).ok()?);
                Held::of_text(other, &secret).ok()
            });
        }
        if keyring.exists() {
            for key in keys::read_keyring(keyring)? {
                if held.iter().all(|other: &Held| other.key.id != key.id) {
                    held.push(Held::of_key(key));
                }
            }
        }
        if held.is_empty() {
            return Err(KeyError::None);
        }
        Ok(Self { held, shadowed })
    }

    #[cfg(test)]
    pub(super) fn of_text(secret: &str, shadowed: Option<&str>) -> Result<Self, KeyError> {
        let shadowed = shadowed.map(|secret| Held::of_text("HMAC_SECRET", secret)).transpose()?;
        Ok(Self { held: vec![Held::of_text("SIGNOFF_HMAC_SECRET", secret)?], shadowed })
    }

    /// Returns the keys that the verifier accepts.
    pub(super) fn keys_for_verifier(&self) -> Vec<Key> {
        self.held.iter().filter(|held| held.counts()).map(|held| held.key.clone()).collect()
    }

    /// Returns the weaknesses of the secrets.
    pub(super) fn weaknesses(&self) -> Vec<Finding> {
        let weak = |held: &Held| match keys::check_secret(&held.name, &held.bytes) {
            Err(KeyError::Weak { source_name, why }) => Some(Finding::new(
                "secret-weak",
                format!("the secret of {source_name} is refused by signoff: {why}"),
                "use a new one on both sides, from secrets.token_urlsafe(32)",
            )),
            _ => None,
        };
        self.held.iter().filter_map(weak).collect()
    }

    /// Returns a text with all secrets hidden.
    pub(super) fn hidden_in(&self, text: String) -> String {
        let mut text = text;
        for held in self.held.iter().chain(&self.shadowed) {
            let secret = std::str::from_utf8(&held.bytes).unwrap_or_default();
            let bare = secret.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
            for form in [secret, bare, &held.key.material] {
                if form.len() >= HIDDEN_BYTES_MIN {
                    text = hidden(&text, form);
                }
            }
        }
        text
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }

    /// Returns the key ids, with which two machines can compare their secrets.
    pub(super) fn key_ids(&self) -> String {
        let ids: Vec<&str> = self.held.iter().map(|held| held.key.id.as_str()).collect();
        ids.join(", ")
    }

    /// Returns secrets unrelated to the correct one.
    pub(super) fn others(&self) -> Vec<Variant> {
        let mut others = Vec::new();
        if let Some(shadowed) = &self.shadowed {
            let what = format!(
                "the signer used the secret of {}, signoff that of {}",
                shadowed.name,
                self.held.first().map_or("another variable", |held| held.name.as_str())
            );
            let fix = format!("set one of {} on both sides", SECRET_VARIABLES.join(" and "));
            others.push(Variant {
                bytes: shadowed.bytes.clone(),
                mistake: Some(Finding::new("secret-other-variable", what, fix)),
            });
        }
        others.extend(PLACEHOLDERS.into_iter().map(|placeholder| {
            let what = match placeholder {
                "" => "the signer has an empty secret".to_owned(),
                text => format!("the signer has the placeholder `{text}` as its secret"),
            };
            let fix = "use os.environ[\"HMAC_SECRET\"], which fails if the variable is unset";
            Variant {
                bytes: Zeroizing::new(placeholder.as_bytes().to_vec()),
                mistake: Some(Finding::new("secret-placeholder", what, fix)),
            }
        }));
        others
    }
}

impl Held {
    fn of_text(name: &str, secret: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(secret.as_bytes().to_vec());
        Ok(Self { name: name.to_owned(), key: keys::unchecked_key(secret)?, bytes })
    }

    fn of_key(key: Key) -> Self {
        // The keyring is validated: its material decodes.
        let bytes =
            Zeroizing::new(Base64UrlUnpadded::decode_vec(&key.material).unwrap_or_default());
        Self { name: format!("key `{}`", key.id), key, bytes }
    }

    /// Returns whether the verifier accepts its length.
    pub(super) fn counts(&self) -> bool {
        KEY_BYTES.contains(&self.bytes.len())
    }

    /// The secret.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the secret itself and its altered forms.
    pub(super) fn variants(&self) -> Vec<Variant> {
        let mut all = vec![Variant { bytes: self.bytes.clone(), mistake: None }];
        let mut add = |code: &str, what: String, bytes: Vec<u8>| {
            let bytes = Zeroizing::new(bytes);
            if bytes != self.bytes {
                all.push(Variant { bytes, mistake: Some(Finding::new(code, what, FIX_VARIABLE)) });
            }
        };
        let Ok(text) = std::str::from_utf8(&self.bytes) else {
            for (name, encoded) in encodings(&self.bytes) {
                add("secret-encoded", format!("the signer used the {name} of the secret"), encoded);
            }
            return all;
        };
        let name = &self.name;
        let trimmed =
            format!("the secret of {name} has white space around it, but the signer trimmed it");
        for text in [text.trim(), text.trim_end(), text.trim_end_matches(['\r', '\n'])] {
            add("secret-white-space", trimmed.clone(), text.as_bytes().to_vec());
        }
        for (what, before, after) in AROUND {
            let what = format!("the signer's secret has {what}");
            add("secret-white-space", what, format!("{before}{text}{after}").into_bytes());
            let bare = text.trim();
            let what = "the signer's secret has other white space around it".to_owned();
            add("secret-white-space", what, format!("{before}{bare}{after}").into_bytes());
        }
        for quote in ['"', '\''] {
            let what = "the signer's secret has quotes around it".to_owned();
            add("secret-quoted", what, format!("{quote}{text}{quote}").into_bytes());
            let inner = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
            let what =
                format!("the secret of {name} has quotes around it, but the signer removed them");
            add("secret-quoted", what, inner.unwrap_or(text).as_bytes().to_vec());
        }
        for (name, decoded) in decodings(text.trim()) {
            add("secret-decoded", format!("the signer decoded the secret as {name}"), decoded);
        }
        for (name, encoded) in encodings(&self.bytes) {
            add("secret-encoded", format!("the signer used the {name} of the secret"), encoded);
        }
        for (case, text) in [("lower", text.to_lowercase()), ("upper", text.to_uppercase())] {
            add("secret-case", format!("the signer's secret is in {case} case"), text.into_bytes());
        }
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        add("secret-utf-16", "the signer used the secret in UTF-16".to_owned(), utf16);
        let bom = format!("\u{feff}{text}").into_bytes();
        add("secret-utf-16", "the signer's secret begins with a byte order mark".to_owned(), bom);
        for bytes in [16, 24, 32, 64] {
            let cut = text.as_bytes().get(..bytes).unwrap_or(text.as_bytes()).to_vec();
            add(
                "secret-cut",
                format!("the signer used the first {bytes} bytes of the secret"),
                cut,
            );
        }
        all
    }
}

/// Replaces every occurrence of a secret in a text, ignoring ASCII case.
fn hidden(text: &str, secret: &str) -> String {
    let secret = Zeroizing::new(secret.to_ascii_lowercase());
    let mut rest = text;
    let mut shown = String::with_capacity(text.len());
    // ASCII lower-casing keeps all positions.
    while let Some(at) = rest.to_ascii_lowercase().find(secret.as_str()) {
        let (before, from) = rest.split_at(at);
        shown.push_str(before);
        shown.push_str("(secret)");
        rest = from.get(secret.len()..).unwrap_or_default();
    }
    shown + rest
}

/// White space that files, shells and editors leave around a secret.
const AROUND: [(&str, &str, &str); 7] = [
    ("a line feed after it", "", "\n"),
    ("CR LF after it", "", "\r\n"),
    ("a carriage return after it", "", "\r"),
    ("a space after it", "", " "),
    ("a space in front", " ", ""),
    ("spaces around it", " ", " "),
    ("`\\n` written out after it", "", "\\n"),
];

fn decodings(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let base64 = [
        Base64::decode_vec(text),
        Base64Unpadded::decode_vec(text),
        Base64Url::decode_vec(text),
        Base64UrlUnpadded::decode_vec(text),
    ];
    let base64 = base64.into_iter().flatten().map(|bytes| ("base64", bytes));
    hex::decode(text).into_iter().map(|bytes| ("hex", bytes)).chain(base64).collect()
}

fn encodings(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("hex", hex::encode(bytes).into_bytes()),
        ("upper-case hex", hex::encode_upper(bytes).into_bytes()),
        ("base64", Base64::encode_string(bytes).into_bytes()),
        ("unpadded base64", Base64Unpadded::encode_string(bytes).into_bytes()),
        ("base64url", Base64Url::encode_string(bytes).into_bytes()),
        ("unpadded base64url", Base64UrlUnpadded::encode_string(bytes).into_bytes()),
    ]
}
