//! Interface `context`: the canonical form of a context or plan, and its digest.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::context;
use crate::rejection::Rejection;

/// The arguments of `context.canonicalize`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/context.wit")]
pub struct Canonicalize<'a> {
    #[serde(borrow)]
    pub context: Cow<'a, str>,
}

/// The answer of `context.canonicalize`.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the name says it")]
pub struct Canonical {
    pub canonical: String,
}

impl Canonicalize<'_> {
    /// Returns the canonical form.
    ///
    /// Rejections: `context-invalid`.
    pub fn run(&self) -> Result<Canonical, Rejection> {
        Ok(Canonical { canonical: context::canonicalize(&self.context)? })
    }
}

/// The arguments of `context.digest`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/context.wit")]
pub struct Digest<'a> {
    #[serde(borrow)]
    pub context: Cow<'a, str>,
}

/// The answer of `context.digest`.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the name says it")]
pub struct Digested {
    pub digest: String,
}

impl Digest<'_> {
    /// Returns the digest of the canonical form.
    ///
    /// Rejections: `context-invalid`.
    pub fn run(&self) -> Result<Digested, Rejection> {
        Ok(Digested { digest: context::digest(&self.context)? })
    }
}

/// The arguments of `context.read`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/context.wit")]
pub struct Read<'a> {
    #[serde(borrow)]
    pub context: Cow<'a, str>,
}

/// The answer of `context.read`.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields of `canonical-context` in wit/context.wit")]
pub struct CanonicalContext {
    pub canonical: String,
    pub digest: String,
}

impl Read<'_> {
    /// Returns the canonical form and its digest, from one pass over the text.
    ///
    /// Rejections: `context-invalid`.
    pub fn run(&self) -> Result<CanonicalContext, Rejection> {
        let (canonical, digest) = context::canonicalize_and_digest(&self.context)?;
        Ok(CanonicalContext { canonical, digest })
    }
}
