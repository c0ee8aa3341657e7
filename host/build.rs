//! Prepares the guests for embedding: the verifier as a component, and the policy template as the core
//! module that `signoff policy build` fills with rules. The crate `signoff-guests` compiles both.

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
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rustc-env=SIGNOFF_TARGET={}", env::var("TARGET")?);
    verifier(&out)?;
    policy_template(&out)
}

fn verifier(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=SIGNOFF_VERIFIER_WASM");
    let wasm = match env::var_os("SIGNOFF_VERIFIER_WASM") {
        Some(file) => {
            println!("cargo::rerun-if-changed={}", Path::new(&file).display());
            fs::read(&file)
                .map_err(|e| format!("SIGNOFF_VERIFIER_WASM={}: {e}", Path::new(&file).display()))?
        }
        None => compiled("VERIFIER")?,
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

fn policy_template(out: &Path) -> Result<(), Box<dyn Error>> {
    let wasm = compiled("POLICY")?;
    for payload in wasmparser::Parser::new(0).parse_all(&wasm) {
        if let wasmparser::Payload::ImportSection(_) = payload? {
            return Err("the policy template imports something; it must import nothing".into());
        }
    }
    fs::write(out.join("policy-template.wasm"), &wasm)?;
    fs::write(
        out.join("policy-template.rs"),
        format!(
            "/// Bytes of its stack, which lies at the start of its memory.\npub(super) const STACK_BYTES: usize = {};\n",
            from_guests("POLICY_STACK_BYTES")?,
        ),
    )?;
    Ok(())
}

/// The core module of a guest.
fn compiled(guest: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let file = from_guests(guest)?;
    println!("cargo::rerun-if-changed={file}");
    Ok(fs::read(file)?)
}

/// What the build script of `signoff-guests` says under a name.
fn from_guests(name: &str) -> Result<String, Box<dyn Error>> {
    let variable = format!("DEP_SIGNOFF_GUESTS_{name}");
    env::var(&variable).map_err(|e| format!("{variable}: {e}").into())
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
