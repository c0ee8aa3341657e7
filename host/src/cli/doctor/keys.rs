//! Checks of keys and settings: accepted signatures, and whether requirements can be met.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use signoff_core::person::same_person;

use super::Finding;
use crate::config::{Config, ConfigError};
use crate::keys::{KeyDescription, KeyError, Keys, variable_with_newline};

/// Checks that the settings file can be read and only be written by its owner, and what it accepts.
pub(in crate::cli) fn settings(config: &Result<Config, ConfigError>, path: &Path) -> Vec<Finding> {
    let config = match config {
        Ok(config) => config,
        Err(e) => return vec![Finding::bad("settings", e.to_string())],
    };
    let mode = path.metadata().map(|meta| meta.mode() & 0o777);
    let mut findings = Vec::new();
    if let Ok(mode) = mode
        && mode & 0o022 != 0
    {
        findings.push(
            Finding::bad(
                "settings",
                format!("{} is {mode:03o}, other users can change it", path.display()),
            )
            .fixed_by(format!("chmod go-w {}", path.display())),
        );
    }
    let accept = config.signatures.accept.join(", ");
    findings.push(match config.signatures.accept.iter().any(|profile| profile == "v1") {
        false => Finding::ok("accept", accept),
        true => Finding::weak(
            "accept",
            format!("{accept}: a v1 signature does not cover the action, the context or the comment"),
            format!(
                "once every approver has their own key, set `accept = [\"v2\"]` under `[signatures]` in {}",
                path.display()
            ),
        ),
    });
    findings
}

/// Checks every key for decisions, and how it is stored.
pub(in crate::cli) fn look(keys: &Result<Keys, KeyError>, config: &Config) -> Vec<Finding> {
    let keys = match keys {
        Ok(keys) => keys,
        Err(e) => return vec![Finding::bad("keys", e.to_string())],
    };
    let described = keys.described();
    let describe = |key: &KeyDescription| match key.status.as_str() {
        "active" => key.id.clone(),
        status => format!("{} ({status})", key.id),
    };
    let ids: Vec<String> = described.iter().map(describe).collect();
    let mut findings = vec![Finding::ok("keys", ids.join(", "))];
    findings.extend(variable_with_newline().map(|name| {
        Finding::weak(
            "secret",
            format!("{name} ends with a line feed, which is part of the secret"),
            "set it without one, as other programs may strip it: `export NAME=\"$(cat FILE)\"`",
        )
    }));
    findings.extend(shared_secrets(&described));
    findings.extend(private_halves(keys, &described));
    findings.push(log_key(keys));
    findings.extend(unreachable_requirements(keys, config));
    findings
}

/// Warns about HMAC keys: a verifier can also sign.
fn shared_secrets(keys: &[KeyDescription]) -> Option<Finding> {
    let shared: Vec<&str> = keys
        .iter()
        .filter(|key| decides(key) && key.algorithm == "hmac-sha256")
        .map(|key| key.id.as_str())
        .collect();
    (!shared.is_empty()).then(|| {
        Finding::weak(
            "secrets",
            format!("{}: anyone who can verify with this key can also sign with it", shared.join(", ")),
            "`signoff key generate --approver NAME` on each approver's machine, then `signoff key import` here and `signoff key revoke` for these",
        )
    })
}

/// Warns about private halves here: they belong on the approver's machine, not on a server.
fn private_halves(keys: &Keys, described: &[KeyDescription]) -> Option<Finding> {
    let here = keys.approvers();
    let of_ed25519: Vec<&str> = described
        .iter()
        .filter(|key| decides(key) && key.algorithm == "ed25519")
        .filter_map(|key| key.approver.as_deref())
        .filter(|approver| here.iter().any(|here| same_person(here, approver)))
        .collect();
    (!of_ed25519.is_empty()).then(|| {
        Finding::weak(
            "private",
            format!("the private key of {} is on this machine", of_ed25519.join(", ")),
            "fine on the approver's own machine; on a server import only the public entry",
        )
    })
}

/// Checks the log key. Without one everything works, but the integrity of the audit log cannot be
/// proven to others.
fn log_key(keys: &Keys) -> Finding {
    match keys.log_key() {
        Some(key) => {
            Finding::ok("log key", format!("{} signs the audit log's checkpoints", key.id()))
        }
        None if !keys.log_public().is_empty() => Finding::bad(
            "log key",
            "no log key is active with its private half on this machine: nothing can be written to the store",
        )
        .fixed_by(
            "restore its entry, or promote another one with `signoff key promote` (create it with `signoff key generate --use log --status verify-only`)",
        ),
        None => Finding::weak(
            "log key",
            "no key signs the audit log's checkpoints: no receipts, no proofs for others, no witness",
            "signoff key generate --use log",
        ),
    }
}

/// Reports a requirement that the available keys can never meet.
fn unreachable_requirements(keys: &Keys, config: &Config) -> Vec<Finding> {
    let requirement = match config.requirement.requirement().complete() {
        Ok(requirement) => requirement,
        Err(why) => return vec![Finding::bad("approvers", why.message)],
    };
    let short = keys.shortages(&config.signatures.accept, &requirement, None);
    short
        .iter()
        .map(|short| {
            Finding::bad("approvers", format!("every approval requires {short}")).fixed_by(
                "import the entries of further approvers, or require less in the settings",
            )
        })
        .collect()
}

fn decides(key: &KeyDescription) -> bool {
    key.usage == "approve" && key.status != "revoked"
}
