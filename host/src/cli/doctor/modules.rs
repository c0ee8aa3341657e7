//! Checks of modules: the active ones, their signers, and the keys that may sign for each slot.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::transport::Transport;
use super::Finding;
use crate::keys::{KeyError, Keys, ModulePublic, Status};
use crate::modules::Slot;

/// The fields used from a list.
#[derive(Deserialize)]
struct List {
    slots: Vec<SlotListed>,
    items: Vec<Listed>,
}

#[derive(Deserialize)]
struct SlotListed {
    slot: String,
    active: Option<String>,
    failing: Option<String>,
    #[serde(default)]
    unmeetable: Vec<String>,
}

#[derive(Deserialize)]
struct Listed {
    digest: String,
    name: String,
    version: Option<u64>,
    key_id: Option<String>,
    #[serde(default)]
    audience: Vec<String>,
}

/// Checks which keys may sign modules, and how they are stored.
pub(super) fn signers(keys: &Result<Keys, KeyError>) -> Vec<Finding> {
    let Ok(keys) = keys else { return Vec::new() };
    let signers: Vec<ModulePublic> =
        keys.module_publics().into_iter().filter(|key| key.status != Status::Revoked).collect();
    let of = |slot: Slot| -> Vec<&ModulePublic> {
        let signs = |key: &&ModulePublic| key.groups.iter().any(|g| g.as_str() == slot.as_str());
        signers.iter().filter(signs).collect()
    };
    let ids = |keys: &[&ModulePublic]| -> String {
        keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (policy, verifier) = (of(Slot::Policy), of(Slot::Verifier));
    let mut findings = vec![match policy.is_empty() {
        true => Finding::weak(
            "signers",
            "no key signs for slot `policy`: no policy can be shipped, and without one every action requires approval",
            "run `signoff key generate --use module --slot policy` on the policy team's machine, then `signoff key import` here",
        ),
        false => Finding::ok("signers", format!("{} for slot policy", ids(&policy))),
    }];
    if !verifier.is_empty() {
        findings.push(Finding::ok("signers", format!("{} for slot verifier", ids(&verifier))));
    }
    let both: Vec<&ModulePublic> =
        policy.iter().copied().filter(|key| of_one_of(key, &verifier)).collect();
    if !both.is_empty() {
        findings.push(Finding::weak(
            "signers",
            format!(
                "{} signs both policies and the verifier: anyone who ships rules can replace the root of trust",
                ids(&both)
            ),
            "use a separate key for slot `verifier`, and keep it offline",
        ));
    }
    let here: Vec<&ModulePublic> =
        signers.iter().filter(|key| keys.module_key(key.id.as_str()).is_some()).collect();
    if !here.is_empty() {
        findings.push(Finding::weak(
            "private",
            format!("the private key of {} is on this machine", ids(&here)),
            "fine on a machine that signs modules; on a server import only the public entry",
        ));
    }
    findings
}

/// Returns whether a key's material is among some keys, under any id.
fn of_one_of(key: &ModulePublic, keys: &[&ModulePublic]) -> bool {
    keys.iter().any(|other| other.public_key == key.public_key)
}

/// Checks the active module of each slot, and whether it works.
pub(super) fn active_modules(transport: &Transport) -> Vec<Finding> {
    let listed =
        transport.get("/api/v1/modules").and_then(|answer| transport.parse::<List>(&answer));
    let Ok(List { slots, items }) = listed else {
        return vec![Finding::bad("modules", "the active modules cannot be read from the store")];
    };
    let named: BTreeMap<&str, &Listed> =
        items.iter().map(|module| (module.digest.as_str(), module)).collect();
    let describe = |digest: &str| match named.get(digest) {
        Some(Listed { name, version: Some(version), key_id: Some(key), .. }) => {
            format!("{name} version {version}, {digest}, signed by {key}")
        }
        _ => format!("{digest}, built in"),
    };
    let unmeetable = slots.iter().flat_map(|slot| &slot.unmeetable).map(|short| {
        Finding::weak(
            "policy",
            format!("{short}: its requests are refused"),
            "import the entries of further approvers, or change the rule",
        )
    });
    let unmeetable: Vec<Finding> = unmeetable.collect();
    slots
        .iter()
        .map(|slot| {
            let what = if slot.slot == Slot::Policy.as_str() { "policy" } else { "verifier" };
            match (&slot.failing, &slot.active) {
                (Some(why), _) => {
                    Finding::bad(what, format!("every call fails: {why}")).fixed_by(format!(
                        "signoff module activate, or signoff module rollback {what} --reason TEXT"
                    ))
                }
                (None, Some(digest)) => match named.get(digest.as_str()) {
                    Some(module) if module.key_id.is_some() && module.audience.is_empty() => {
                        let module = describe(digest);
                        Finding::weak(
                            what,
                            format!("{module}, for any deployment: one that was signed for another may be activated here"),
                            "sign modules with `signoff module sign --audience NAME`",
                        )
                    }
                    _ => Finding::ok(what, describe(digest)),
                },
                (None, None) => Finding::ok(what, "none: every action requires approval"),
            }
        })
        .chain(unmeetable)
        .collect()
}
