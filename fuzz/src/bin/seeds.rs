//! Writes seeds for the targets from the vectors and the example rules, and tries each property on its
//! seeds: `seeds FOLDER`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Larger seeds slow libFuzzer down.
const BYTES_MAX: usize = 16 << 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("usage: seeds FOLDER")?);
    let found: RefCell<Vec<(&str, String)>> = RefCell::default();
    signoff_vectors::run(&signoff_vectors::ALL, |request| {
        let mut found = found.borrow_mut();
        found.push(("wire", request.to_owned()));
        let parsed: Value = serde_json::from_str(request).unwrap_or_default();
        let (op, args) = (parsed["op"].as_str().unwrap_or_default(), &parsed["args"]);
        for (target, member) in [
            ("canonicalize", "context"),
            ("canonicalize", "plan"),
            ("receipt", "receipt"),
            ("note", "checkpoint"),
            (if op == "approval.verify" { "view" } else { "record" }, "approval"),
        ] {
            found.extend(args[member].as_str().map(|text| (target, text.to_owned())));
        }
        let receipt = args["receipt"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let receipt: Value = receipt.unwrap_or_default();
        found.extend(receipt["checkpoint"].as_str().map(|text| ("note", text.to_owned())));
        signoff_verifier::wire::call(request)
    })?;
    let mut found = found.into_inner();
    for note in found.clone().iter().filter(|(target, _)| *target == "note") {
        found.extend(note.1.split_once("\n\n").map(|(text, _)| ("note", format!("{text}\n"))));
    }
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src/cli/policy/starter.toml");
    let rules = fs::read_to_string(rules)?;
    for line in rules.lines().filter_map(|line| line.strip_prefix("when = ")) {
        found.push(("conditions", line.trim_matches(['\'', '"']).to_owned()));
    }
    for condition in [
        "context.score >= 80 && context.name == 'a'",
        "context.list.exists(x, x == 'x')",
        "timestamp(context.when) < now",
        "context.name.matches('^[a-z]+$')",
        "context.score >= const.limit && context.name in const.list && const.table[context.name] > 1.0",
        "context.list.exists(i, v, i > 0 && v == 'x')",
        "context.`content-type` == 'a' || cel.bind(x, context.list, x.transformMap(i, v, v)[0] == 1)",
        "context.a == 1 and not context.b",
        "has(context.plan) ? size(context.list) > 2 : context.big > 1",
    ] {
        found.push(("conditions", condition.to_owned()));
    }
    found.push(("rules", rules));
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies");
    let holidays = fs::read_to_string(examples.join("holidays.toml"))?;
    for name in ["deploys", "four-eyes", "mail", "sql", "transfers"] {
        let rules = fs::read_to_string(examples.join(name).with_extension("toml"))?;
        let included = [("holidays.toml", holidays.as_str())];
        let included = included.into_iter().filter(|_| rules.contains("include ="));
        found.push(("rules", signoff_policy::bundle::joined(&rules, included)));
    }
    for (target, seed) in found.into_iter().filter(|(_, seed)| seed.len() <= BYTES_MAX) {
        let folder = folder.join(target);
        let (_, property) =
            signoff_fuzz::TARGETS.iter().find(|(name, _)| *name == target).ok_or(target)?;
        property(seed.as_bytes());
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(hex::encode(&Sha256::digest(&seed)[..8])), seed)?;
    }
    Ok(())
}
