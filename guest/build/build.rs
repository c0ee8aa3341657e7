//! Compiles the guests' core modules and tells the host's build script where they are.

mod compile;

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    if let Err(error) = run() {
        println!("cargo::error={error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let inputs =
        ["wit", "guest/core", "guest/policy", "guest/verifier", "Cargo.toml", "Cargo.lock"];
    for input in inputs {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    // <target>/<profile>/build/<package>/out
    let target =
        out.ancestors().nth(4).ok_or("OUT_DIR is not in a target directory")?.join("guest");
    for (name, guest) in [("verifier", compile::VERIFIER), ("policy", compile::POLICY)] {
        let module = compile::build(guest, &root, &target, compile::Paths::Remapped)?;
        // A copy of its own: the folder of the guests is shared by all profiles of the host.
        let kept = out.join(name).with_extension("wasm");
        fs::copy(module, &kept)?;
        println!("cargo::metadata={name}={}", kept.display());
    }
    println!("cargo::metadata=policy_stack_bytes={}", compile::POLICY.stack_bytes);
    Ok(())
}
