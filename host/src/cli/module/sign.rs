//! `signoff module sign`: signs a module's manifest with a key of this machine.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use signoff_core::rejection::Rejection;

use super::super::destination::Destination;
use super::super::{Exit, Global, exit::Failure, output};
use crate::clock::{Clock, SystemClock};
use crate::code::Code;
use crate::engine::{Allocation, Cache, Compiler, Loader, digest};
use crate::keys::Keys;
use crate::modules::{
    FactName, Manifest, ModuleDigest, ModuleName, Signed, Slot, Version, WASM_BYTES_MAX,
    facts_described, inspect, limits, sign,
};
use crate::policy::{Limits, Policy};
use crate::refusal::Refusal;

#[derive(Args)]
pub(in super::super) struct SignArgs {
    /// The component
    file: PathBuf,
    /// The slot it is for
    #[arg(long, value_parser = ["policy", "verifier"])]
    slot: String,
    /// The module's name: `[a-z0-9_-]{1,64}`
    #[arg(long, value_parser = name)]
    name: ModuleName,
    /// The module's version, at least 1 and higher than that of the active module
    #[arg(long, value_parser = version)]
    version: Version,
    /// The key to sign with: of use `module`, for the slot
    #[arg(long, value_name = "ID")]
    key: String,
    /// An audience that the module is for; repeat it for several. Other deployments refuse the
    /// module [default: any]
    #[arg(long = "audience", value_name = "NAME")]
    audiences: Vec<String>,
    /// Fuel of one call, about one unit per instruction [default: the host's]
    #[arg(long, value_name = "UNITS")]
    fuel: Option<u64>,
    /// Memory of one instance [default: the host's]
    #[arg(long, value_name = "BYTES")]
    memory_bytes: Option<u64>,
    /// The output file for the manifest [default: FILE.dsse.json]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &SignArgs, global: &Global) -> Result<Exit, Failure> {
    let refused = |refusal: Refusal| Failure::refused(&refusal, global.json);
    let rejected = |rejection: Rejection| refused(rejection.into());
    let wasm = read(&args.file)?;
    let slot = args.slot.parse::<Slot>().map_err(Failure::usage)?;
    let limits = limits(args.fuel, args.memory_bytes).map_err(rejected)?;
    // Do not sign a module that servers would refuse.
    inspect(&wasm, slot, limits).map_err(refused)?;
    let keys = Keys::load(&global.keyring())?;
    let key = keys.module_key(&args.key).ok_or_else(|| cannot_sign(&keys, &args.key))?;
    let facts = match slot {
        Slot::Policy => facts(&wasm, limits, refused)?,
        Slot::Verifier => BTreeSet::new(),
    };
    let digest = ModuleDigest::of(&wasm);
    let now = SystemClock.now();
    let manifest = Manifest::new(digest, slot, args.name.clone(), args.version, limits, now)
        .with_facts(facts)
        .for_audiences(&args.audiences)
        .map_err(rejected)?;
    let envelope = sign(&manifest, &key);
    // Verify as a server with this keyring would: the key may not be allowed to sign for the slot.
    Signed::verified(envelope.clone(), &keys).map_err(refused)?;
    let beside = beside(&args.file);
    let output = args.output.as_ref().unwrap_or(&beside);
    let destination: Destination = output.display().to_string().parse()?;
    let mut draft = destination.create()?;
    draft.write_all(envelope.to_text().as_bytes())?;
    draft.keep()?;
    if !destination.is_file() {
        return Ok(Exit::Done);
    }
    if global.json {
        let made = json!({
            "digest": digest.to_string(),
            "envelope": envelope.digest(),
            "manifest": manifest.to_json(),
            "key_id": args.key,
            "file": output,
        });
        output::line(&made.to_string());
    } else {
        output::line(&digest.to_string());
        output::note(&format!("signed with {} in {}", args.key, output.display()));
        if args.audiences.is_empty() {
            output::note("for any deployment that knows the key; `--audience NAME` names the one");
        }
    }
    Ok(Exit::Done)
}

/// Returns the facts that a policy reads, according to its description.
fn facts(
    wasm: &[u8],
    limits: Limits,
    refused: impl Fn(Refusal) -> Failure,
) -> Result<BTreeSet<FactName>, Failure> {
    let loader = Loader::with(Allocation::OnDemand, Cache::of_user(), Compiler::Apart);
    let invalid = |why: String| refused(Refusal::new(Code::MODULE_INVALID, why));
    let policy = Policy::load_by(&loader, wasm, &digest(wasm), limits);
    let policy = policy.map_err(|e| invalid(format!("the module cannot be loaded: {e:#}")))?;
    let text = policy.describe();
    let text = text.map_err(|e| invalid(format!("describe failed: {e}")))?;
    let description: Value = serde_json::from_str(&text)
        .map_err(|e| invalid(format!("its description is not JSON: {e}")))?;
    facts_described(&description).map_err(|rejection| refused(rejection.into()))
}

/// Returns the default path of a module's manifest.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".dsse.json");
    path.into()
}

/// Reads a module, up to the size limit.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let open = || format!("cannot read `{}`", path.display());
    let size = fs::metadata(path).with_context(open)?.len();
    let file = File::open(path).with_context(open)?;
    let mut wasm = Vec::with_capacity(usize::try_from(size.min(WASM_BYTES_MAX as u64))?);
    // One more byte shows that it is too large.
    file.take(WASM_BYTES_MAX as u64 + 1).read_to_end(&mut wasm).with_context(open)?;
    Ok(wasm)
}

fn cannot_sign(keys: &Keys, id: &str) -> Failure {
    let why = match keys.module_public(id) {
        Some(key) => format!(
            "key `{id}` cannot sign: it is {}, or its private half is not here",
            key.status.as_str()
        ),
        None => format!(
            "no module key has the id `{id}`; create one with `signoff key generate --use module --slot SLOT`"
        ),
    };
    Failure::Failed(anyhow::anyhow!(why))
}

fn name(text: &str) -> Result<ModuleName, String> {
    ModuleName::parse(text).ok_or_else(|| "expected `[a-z0-9_-]{1,64}`".to_owned())
}

fn version(text: &str) -> Result<Version, String> {
    let number = text.parse().ok().and_then(Version::new);
    number.ok_or_else(|| "expected a number, 1 or more".to_owned())
}
