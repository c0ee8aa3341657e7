//! The trusted log keys of a verification, and its verdict.

use std::fmt::Display;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::transport::Transport;
use super::{Exit, context, exit::Failure, output};
use crate::log_key::LogKey;

#[derive(Args)]
pub(super) struct TrustArgs {
    /// A trusted log key, as printed by `signoff audit key`, or @FILE with one per line; without
    /// any, only the file's own consistency is verified
    #[arg(long, value_name = "LOGKEY")]
    trust: Vec<String>,
}

impl TrustArgs {
    pub(super) fn keys(&self) -> Result<Vec<LogKey>, Failure> {
        let mut keys = Vec::new();
        for argument in &self.trust {
            let before = keys.len();
            let text = match argument.strip_prefix('@') {
                Some(path) => context::file(path)?,
                None => argument.clone(),
            };
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                let key = line.parse().with_context(|| format!("--trust `{line}`"));
                keys.push(key.map_err(|e| Failure::usage(format!("{e:#}")))?);
            }
            // An empty file must not disable authentication.
            if keys.len() == before {
                return Err(Failure::usage(format!("--trust `{argument}` contains no key")));
            }
        }
        Ok(keys)
    }
}

/// Returns the log keys according to the server.
pub(super) fn named(transport: &Transport) -> Result<Vec<LogKey>, Failure> {
    #[derive(Deserialize)]
    struct Keys {
        items: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        log_key: String,
    }
    let keys: Keys = transport.parse(&transport.get("/api/v1/audit/keys")?)?;
    let keys = keys.items.iter().map(|item| item.log_key.parse()).collect::<Result<_, _>>();
    Ok(keys.context("a key of the log")?)
}

/// The verdict of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is valid, and signed by a trusted key.
    Verified,
    /// It is consistent, but not signed by a trusted key.
    Consistent,
}

impl Verdict {
    pub(super) fn of(is_signed: bool) -> Self {
        if is_signed { Self::Verified } else { Self::Consistent }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Consistent => "consistent",
        }
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Consistent => "consistent, signer unknown",
        }
    }

    pub(super) fn exit(self) -> Exit {
        match self {
            Self::Verified => Exit::Done,
            Self::Consistent => Exit::Refused,
        }
    }

    /// Reports a problem; under `--json` as the result.
    pub(super) fn wrong(error: &impl Display, json: bool) -> Exit {
        if json {
            output::line(&json!({ "verdict": "wrong", "error": error.to_string() }).to_string());
        } else {
            output::note(&format!("does not verify: {error}"));
        }
        Exit::Failed
    }
}
