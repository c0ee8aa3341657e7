//! Builds the guests from source, so that the host embeds what is in `guest/`: the verifier as a
//! component, and the policy template as the core module that `signoff policy build` fills with rules.
//!
//! [`guest`] compiles; `tests/reproducible.rs` uses it too, to show that the same source gives the
//! same bytes.

mod guest;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest, Sha256};
use wit_component::ComponentEncoder;

fn main() {
    if let Err(error) = run() {
        println!("cargo::error={error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for input in ["wit", "guest", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    // <target>/<profile>/build/<package>/out
    let target =
        out.ancestors().nth(4).ok_or("OUT_DIR is not in a target directory")?.join("guest");
    verifier(&root, &target, &out)?;
    policy_template(&root, &target, &out)
}

fn verifier(root: &Path, target: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=SIGNOFF_VERIFIER_WASM");
    let wasm = match env::var_os("SIGNOFF_VERIFIER_WASM") {
        Some(file) => {
            println!("cargo::rerun-if-changed={}", Path::new(&file).display());
            fs::read(&file)
                .map_err(|e| format!("SIGNOFF_VERIFIER_WASM={}: {e}", Path::new(&file).display()))?
        }
        None => fs::read(guest::build(guest::VERIFIER, root, target, guest::Paths::Remapped)?)?,
    };
    let component = componentize(wasm)?;
    let core = core_module(&component)?;
    fs::write(out.join("verifier.wasm"), &component)?;
    fs::write(
        out.join("verifier.rs"),
        format!(
            "/// SHA-256 of the component.\npub(super) const DIGEST: &str = \"{}\";\n\
             /// Where the core module lies in it.\npub(super) const CORE: std::ops::Range<usize> = {core:?};\n",
            hex::encode(Sha256::digest(&component)),
        ),
    )?;
    Ok(())
}

fn policy_template(root: &Path, target: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let wasm = fs::read(guest::build(guest::POLICY, root, target, guest::Paths::Remapped)?)?;
    for payload in wasmparser::Parser::new(0).parse_all(&wasm) {
        if let wasmparser::Payload::ImportSection(_) = payload? {
            return Err("the policy template imports something; it must import nothing".into());
        }
    }
    fs::write(out.join("policy-template.wasm"), &wasm)?;
    fs::write(
        out.join("policy-template.rs"),
        format!(
            "/// SHA-256 of the core module.\npub(super) const DIGEST: &str = \"{}\";\n\
             /// Bytes of its stack, which lies at the start of its memory.\npub(super) const STACK_BYTES: usize = {};\n",
            hex::encode(Sha256::digest(&wasm)),
            guest::POLICY.stack_bytes,
        ),
    )?;
    Ok(())
}

/// A component as it is, or one made of a core module.
fn componentize(wasm: Vec<u8>) -> Result<Vec<u8>, Box<dyn Error>> {
    if wasmparser::Parser::is_component(&wasm) {
        return Ok(wasm);
    }
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&wasm)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|e| format!("the verifier cannot be componentized: {e:#}"))?;
    Ok(component)
}

/// Where the component's one core module lies in it. Refuses a component that imports anything, or
/// does not export what a verifier does.
fn core_module(component: &[u8]) -> Result<std::ops::Range<usize>, Box<dyn Error>> {
    let mut modules = Vec::new();
    let mut exports = Vec::new();
    let mut depth = 0_u32;
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        match payload? {
            wasmparser::Payload::ComponentImportSection(_) if depth == 0 => {
                return Err("the verifier imports something; it must import nothing".into());
            }
            wasmparser::Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export?.name.name);
                }
            }
            wasmparser::Payload::ModuleSection { unchecked_range, .. } => {
                depth += 1;
                modules.push(unchecked_range);
            }
            wasmparser::Payload::ComponentSection { .. } => depth += 1,
            wasmparser::Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    // A core module that was taken out of a component no longer says what it exports.
    if !exports.contains(&"describe") {
        return Err("the verifier is no component of world `verifier`; give the file that `signoff module export verifier` writes, without --core".into());
    }
    match modules.as_slice() {
        [module] => Ok(module.clone()),
        _ => Err(format!("the verifier has {} core modules, expected 1", modules.len()).into()),
    }
}
