//! A context or plan: the text that is sent, and its canonical form.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use signoff_verify::Verifier;

use crate::encode;
use crate::error::Error;

/// The context or the plan of an action: one JSON object of at most 1 MiB and depth 64.
///
/// The text is the truth: it is made once, sent as it is, and the action runs on its canonical form,
/// never on the value from which it was made.
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    text: Arc<str>,
    canonical: Arc<str>,
    digest: Arc<str>,
}

impl Context {
    /// Serializes a value strictly: what JSON would change silently is refused.
    ///
    /// Integers of 128 bits are exact. An `f32` is written as its shortest decimal, like `serde_json`
    /// does. A [`RawValue`] inside the value is written as it is.
    ///
    /// ```
    /// use signoff_client::Context;
    ///
    /// let context = Context::new(&serde_json::json!({"replicas": 3, "ratio": 0.5}))?;
    /// assert_eq!(context.canonical(), r#"{"ratio": 0.5, "replicas": 3}"#);
    ///
    /// let refused = Context::new(&[("ratio", f64::NAN)].into_iter().collect::<std::collections::BTreeMap<_, _>>());
    /// assert_eq!(refused.unwrap_err().members(), ["/ratio"]);
    /// # Ok::<(), signoff_client::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `context-invalid`, with the JSON pointer of the value in [`Error::members`]: `NaN`, an infinite
    /// number, bytes, a map with a key that is not text, a depth over 64, more than 1 MiB, an error of
    /// the value's own `Serialize`; then as [`Self::from_json`].
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        let text = encode::text(value)
            .map_err(|e| Error::local("context-invalid", e.to_string()).at(vec![e.path()]))?;
        Self::from_json(text)
    }

    /// Takes a JSON text as it is.
    ///
    /// # Errors
    ///
    /// `context-invalid`, with the byte offset: not JSON, not an object, a duplicate key, a number that
    /// is not finite, a lone surrogate, too deep, too long, trailing text.
    pub fn from_json(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        let read = Verifier::new().canonicalize(&text)?;
        Ok(Self { text: text.into(), canonical: read.canonical.into(), digest: read.digest.into() })
    }

    /// The text that is sent.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The canonical form: what CPython prints for `json.dumps(json.loads(text), sort_keys=True)`.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// SHA-256 of the canonical form, 64 lower-case hex characters.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn raw(&self) -> Result<&RawValue, Error> {
        serde_json::from_str(&self.text)
            .map_err(|e| Error::local("context-invalid", format!("the text is not JSON: {e}")))
    }
}

/// Shows the digest alone: a context may hold what a log must not.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("digest", &self.digest).finish_non_exhaustive()
    }
}
