//! Commands that read the registry: list, inspect, flips.

use clap::Args;
use serde_json::{Value, json};

use super::super::exit::Failure;
use super::super::transport::{Transport, call_verifier};
use super::super::{Exit, Global, output};
use super::resolved;
use crate::cli::policy::verdict::needs;
use crate::engine::{Allocation, Cache, VERIFIER, VERIFIER_DIGEST};
use crate::policy::Requirement;
use crate::verifier::Verifier;

#[derive(Args)]
pub(in super::super) struct DigestArgs {
    /// The module's digest, or a unique prefix of it
    digest: String,
}

#[derive(Args)]
pub(in super::super) struct FlipsArgs {
    /// The shadow's digest, or a unique prefix of it [default: the current shadow]
    digest: Option<String>,
    /// Only flips with a higher audit number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// The maximum number of flips
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=200))]
    limit: u64,
}

pub(super) fn list(
    global: &Global,
    open: impl Fn() -> Result<Transport, Failure>,
) -> Result<Exit, Failure> {
    let transport = open()?;
    if transport.has_no_store() {
        return built_in(global);
    }
    let answer = transport.get("/api/v1/modules")?;
    if global.json {
        output::line(&with_description(&answer, global)?);
        return Ok(Exit::Done);
    }
    let list: super::List = transport.parse(&answer)?;
    let rows: Vec<[String; 7]> = list
        .items
        .into_iter()
        .map(|module| {
            let signer = match (module.key_id, module.signer.as_deref()) {
                (Some(key), Some("ok")) => key,
                (Some(key), Some(why)) => format!("{key} ({why})"),
                _ => "built in".to_owned(),
            };
            let version = module.version.map_or_else(|| "-".to_owned(), |v| v.to_string());
            let bytes = module.bytes.to_string();
            [module.slot, module.state, module.name, version, signer, bytes, module.digest]
        })
        .collect();
    output::table(["SLOT", "STATE", "NAME", "VERSION", "SIGNER", "BYTES", "DIGEST"], rows);
    for slot in &list.slots {
        if let Some(why) = &slot.failing {
            output::note(&format!("slot {} fails every call: {why}", slot.slot));
        }
    }
    let failing = list.slots.iter().any(|slot| slot.failing.is_some());
    Ok(if failing { Exit::Failed } else { Exit::Done })
}

/// Prints the built-in module, the only one without a store.
fn built_in(global: &Global) -> Result<Exit, Failure> {
    let description = described(global)?;
    if global.json {
        let module = json!({ "slot": "verifier", "digest": VERIFIER_DIGEST, "name": "built-in", "bytes": VERIFIER.len(), "state": "active", "describe": description });
        output::line(&json!({ "slots": [], "items": [module] }).to_string());
    } else {
        let version = description.get("version").and_then(Value::as_str).unwrap_or_default();
        output::line(&format!("verifier\t{version}\t{VERIFIER_DIGEST}\tbuilt in"));
    }
    Ok(Exit::Done)
}

/// Adds the embedded verifier's description to the list.
fn with_description(answer: &str, global: &Global) -> Result<String, Failure> {
    let mut list: Value = serde_json::from_str(answer)?;
    let description = described(global)?;
    let items = list.get_mut("items").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten() {
        if item.get("digest").and_then(Value::as_str) == Some(VERIFIER_DIGEST)
            && let Some(fields) = item.as_object_mut()
        {
            fields.insert("describe".to_owned(), description.clone());
        }
    }
    Ok(list.to_string())
}

fn described(global: &Global) -> Result<Value, Failure> {
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    let description = call_verifier(global.json, || verifier.describe())?;
    Ok(serde_json::from_str(&description)?)
}

pub(super) fn inspect(args: &DigestArgs, transport: &Transport) -> Result<Exit, Failure> {
    let digest = resolved(transport, &args.digest)?;
    let answer = transport.get(&format!("/api/v1/modules/{digest}"))?;
    if transport.json {
        output::line(&answer);
        return Ok(Exit::Done);
    }
    let module: Value = transport.parse(&answer)?;
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for name in [
        "digest",
        "slot",
        "state",
        "name",
        "version",
        "created",
        "limits",
        "facts",
        "audience",
        "bytes",
        "key_id",
        "signer",
        "envelope",
        "pushed_at",
        "pushed_by",
    ] {
        if let Some(value) = module.get(name) {
            output::plain(&format!("{name:<11}{}", shown(value)));
        }
    }
    for served in module.get("history").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| served.get(name).map(shown).unwrap_or_default();
        let reason = served.get("reason").and_then(Value::as_str);
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let (at, how, by) = (field("at"), field("how"), field("by"));
        output::plain(&format!("{:<11}{at} {how} by {by}{reason}", "served"));
    }
    if let Some(described) = module.get("describe").filter(|described| !described.is_null()) {
        output::plain(&format!("{:<11}{described}", "describes"));
    }
    Ok(Exit::Done)
}

pub(super) fn flips(args: &FlipsArgs, transport: &Transport) -> Result<Exit, Failure> {
    let digest = args.digest.as_deref().map(|digest| resolved(transport, digest)).transpose()?;
    let of = digest.map(|digest| format!("&digest={digest}")).unwrap_or_default();
    let path =
        format!("/api/v1/modules/policy/flips?after={}&limit={}{of}", args.after, args.limit);
    let answer = transport.get(&path)?;
    if transport.json {
        output::line(&answer);
        return Ok(Exit::Done);
    }
    let page: Value = transport.parse(&answer)?;
    let text = |value: &Value, path: &str| {
        value.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned()
    };
    let items = page.get("items").and_then(Value::as_array);
    let rows: Vec<[String; 7]> = items
        .into_iter()
        .flatten()
        .map(|flip| {
            let number = flip.get("number").map(ToString::to_string).unwrap_or_default();
            let event = flip.pointer("/entry/event").unwrap_or(&Value::Null);
            [
                number,
                text(event, "/moment"),
                text(event, "/agent"),
                text(event, "/action"),
                answered(event.get("active")),
                answered(event.get("shadow")),
                text(event, "/shadow/rule"),
            ]
        })
        .collect();
    output::table(["NUMBER", "MOMENT", "AGENT", "ACTION", "ACTIVE", "SHADOW", "RULE"], rows);
    Ok(Exit::Done)
}

/// Formats a policy's answer in a flip: its decision with what it requires, or why it has none.
fn answered(answer: Option<&Value>) -> String {
    let text = |name: &str| answer?.get(name)?.as_str();
    let Some(decision) = text("decision") else { return text("failure").unwrap_or("-").to_owned() };
    let requirement = answer.and_then(|answer| answer.get("requirement"));
    let requirement: Option<Requirement> =
        requirement.and_then(|requirement| serde_json::from_value(requirement.clone()).ok());
    let needs = requirement.as_ref().map(needs).filter(|needs| !needs.is_empty());
    needs.map_or_else(|| decision.to_owned(), |needs| format!("{decision} ({needs})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flip_shows_what_its_sides_require() {
        let requirement = json!({ "threshold": 2, "groups": { "sre": 1 }, "ttl_seconds": 1800 });
        for (given, shown) in [
            (
                json!({ "decision": "require_approval", "requirement": requirement }),
                "require_approval (2 approvers, 1 of sre, within 30 min)",
            ),
            (json!({ "decision": "require_approval", "requirement": {} }), "require_approval"),
            (json!({ "decision": "allow", "requirement": null }), "allow"),
            (json!({ "failure": "it trapped" }), "it trapped"),
            (Value::Null, "-"),
        ] {
            assert_eq!(answered(Some(&given)), shown);
        }
        assert_eq!(answered(None), "-");
    }
}
