//! Builds the verifier from source and componentizes it, so that the host embeds what is in `guest/`.
//!
//! The same source gives the same bytes: paths are remapped, and nothing of the outer build (flags,
//! wrappers, profile overrides) reaches the guest's.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use sha2::{Digest, Sha256};
use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-unknown-unknown";
/// Enough for the deepest call, and small enough that a fresh instance touches few pages.
const STACK_BYTES: u32 = 128 << 10;

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
    println!("cargo::rerun-if-env-changed=SIGNOFF_VERIFIER_WASM");
    let wasm = match env::var_os("SIGNOFF_VERIFIER_WASM") {
        Some(file) => {
            println!("cargo::rerun-if-changed={}", Path::new(&file).display());
            fs::read(&file)
                .map_err(|e| format!("SIGNOFF_VERIFIER_WASM={}: {e}", Path::new(&file).display()))?
        }
        None => fs::read(build_guest(&root, &out)?)?,
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

/// Compiles the guest; answers the path of its core module.
fn build_guest(root: &Path, out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libdir =
        Command::new(&rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    if !Path::new(String::from_utf8(libdir.stdout)?.trim()).is_dir() {
        return Err(format!(
            "the target {TARGET}, which the verifier is built for, is not installed: run `rustup toolchain install` in the repository"
        )
        .into());
    }
    // <target>/<profile>/build/<package>/out
    let target =
        out.ancestors().nth(4).ok_or("OUT_DIR is not in a target directory")?.join("guest");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        .args(["build", "--locked", "--package", "signoff-verifier", "--lib"])
        .args(["--profile", "guest", "--target", TARGET, "--target-dir"])
        .arg(&target);
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let outer = ["RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"];
        let overrides = ["CARGO_PROFILE_", "CARGO_BUILD_RUST", "CARGO_FEATURE_", "CARGO_CFG_"];
        if outer.contains(&name.as_str()) || overrides.iter().any(|prefix| name.starts_with(prefix))
        {
            cargo.env_remove(name);
        }
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", guest_flags(root).join("\u{1f}"));
    if !cargo.status()?.success() {
        return Err("the verifier did not compile; its errors are above".into());
    }
    Ok(target.join(TARGET).join("guest").join("signoff_verifier.wasm"))
}

/// The guest's compiler flags: the stack, and no path of this machine in the output.
fn guest_flags(root: &Path) -> Vec<String> {
    let mut flags = vec![format!("-Clink-arg=-zstack-size={STACK_BYTES}")];
    if env::var_os("SIGNOFF_TEST_NO_REMAP").is_some() {
        return flags; // the reproducibility check shows that it fails without the remapping
    }
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")));
    let registries = home.and_then(|home| fs::read_dir(home.join("registry").join("src")).ok());
    for registry in registries.into_iter().flatten().flatten() {
        flags.push(format!("--remap-path-prefix={}=/registry", registry.path().display()));
    }
    flags.push(format!("--remap-path-prefix={}=/signoff", root.display()));
    flags
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

/// Where the component's one core module lies in it. Refuses a component that imports anything.
fn core_module(component: &[u8]) -> Result<std::ops::Range<usize>, Box<dyn Error>> {
    let mut modules = Vec::new();
    let mut depth = 0_u32;
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        match payload? {
            wasmparser::Payload::ComponentImportSection(_) if depth == 0 => {
                return Err("the verifier imports something; it must import nothing".into());
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
    match modules.as_slice() {
        [module] => Ok(module.clone()),
        _ => Err(format!("the verifier has {} core modules, expected 1", modules.len()).into()),
    }
}
