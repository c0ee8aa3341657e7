//! Keys and settings: which signatures count, who can make them, and whether anybody can.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use signoff_core::person::same_person;

use super::Finding;
use crate::config::{Config, ConfigError};
use crate::keys::{KeyDescription, KeyError, Keys};

/// The settings file: that it can be read, that nobody else can write it, and what it accepts.
pub(super) fn settings(config: &Result<Config, ConfigError>, path: &Path) -> Vec<Finding> {
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
                format!("{} is {mode:03o}, others can change what counts", path.display()),
            )
            .mended_by(format!("chmod go-w {}", path.display())),
        );
    }
    let accept = config.signatures.accept.join(", ");
    findings.push(match config.signatures.accept.iter().any(|profile| profile == "v1") {
        false => Finding::ok("accept", accept),
        true => Finding::weak(
            "accept",
            format!("{accept}: a v1 signature covers no action, no context and no comment"),
            format!(
                "once every approver has a key of their own, `accept = [\"v2\"]` under `[signatures]` in {}",
                path.display()
            ),
        ),
    });
    findings
}

/// Every key that decides, and what follows from how it is kept.
pub(super) fn look(keys: &Result<Keys, KeyError>, config: &Config) -> Vec<Finding> {
    let keys = match keys {
        Ok(keys) => keys,
        Err(e) => return vec![Finding::bad("keys", e.to_string())],
    };
    let described = keys.described();
    let told = |key: &KeyDescription| match key.status.as_str() {
        "active" => key.id.clone(),
        status => format!("{} ({status})", key.id),
    };
    let ids: Vec<String> = described.iter().map(told).collect();
    let mut findings = vec![Finding::ok("keys", ids.join(", "))];
    findings.extend(shared_secrets(&described));
    findings.extend(private_halves(keys, &described));
    findings.push(log_key(keys));
    findings.extend(cannot_be_met(&described, config));
    findings
}

/// Whoever can verify an HMAC signature can make it.
fn shared_secrets(keys: &[KeyDescription]) -> Option<Finding> {
    let shared: Vec<&str> = keys
        .iter()
        .filter(|key| decides(key) && key.algorithm == "hmac-sha256")
        .map(|key| key.id.as_str())
        .collect();
    (!shared.is_empty()).then(|| {
        Finding::weak(
            "secrets",
            format!("{}: whoever can verify with it can sign with it", shared.join(", ")),
            "`signoff key generate --approver NAME` on each approver's machine, then `signoff key import` here and `signoff key revoke` for these",
        )
    })
}

/// The private half of an approver's key belongs on the approver's machine, and this one serves.
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
            "fine on the approver's own machine; on a server import the public entry alone",
        )
    })
}

/// Without a log key all works, but nobody else can be shown that the audit log is whole.
fn log_key(keys: &Keys) -> Finding {
    match keys.log_key() {
        Some(key) => {
            Finding::ok("log key", format!("{} signs the audit log's checkpoints", key.id()))
        }
        None if !keys.log_public().is_empty() => Finding::bad(
            "log key",
            "none is active with its private half here: nothing can be written to the store",
        )
        .mended_by(
            "bring its entry back, or `signoff key promote` another one (`signoff key generate --use log --status verify-only` makes it)",
        ),
        None => Finding::weak(
            "log key",
            "none signs the audit log's checkpoints: no receipts, no proofs to others, no witness",
            "signoff key generate --use log",
        ),
    }
}

/// A requirement that the keys here can never meet.
fn cannot_be_met(keys: &[KeyDescription], config: &Config) -> Vec<Finding> {
    let mut approvers = Persons::default();
    let mut groups: BTreeMap<&str, Persons<'_>> = BTreeMap::new();
    for key in keys.iter().filter(|key| decides(key)) {
        let Some(approver) = key.approver.as_deref() else { continue };
        approvers.insert(approver);
        for group in &key.groups {
            groups.entry(group).or_default().insert(approver);
        }
    }
    let mut findings = Vec::new();
    let floor = &config.requirement;
    if let Some(threshold) = floor.threshold.filter(|threshold| *threshold > 1)
        && (approvers.0.len() as u64) < u64::from(threshold)
    {
        findings.push(Finding::bad(
            "approvers",
            format!("every approval takes {threshold}, and {} have keys", approvers.0.len()),
        ));
    }
    for (group, minimum) in &floor.groups {
        let members = groups.get(group.as_str()).map_or(0, |members| members.0.len());
        if (members as u64) < u64::from(*minimum) {
            findings.push(Finding::bad(
                "approvers",
                format!("every approval takes {minimum} of `{group}`, and {members} have keys"),
            ));
        }
    }
    findings
}

/// Persons, each once in whatever spelling.
#[derive(Default)]
struct Persons<'a>(Vec<&'a str>);

impl<'a> Persons<'a> {
    fn insert(&mut self, person: &'a str) {
        if !self.0.iter().any(|known| same_person(known, person)) {
            self.0.push(person);
        }
    }
}

fn decides(key: &KeyDescription) -> bool {
    key.usage == "approve" && key.status != "revoked"
}
