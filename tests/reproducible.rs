//! Shows that the same source gives the same guests: builds each in two directories, each with a
//! `CARGO_HOME` of its own, and compares the bytes. Then shows that the check can fail: without
//! the path remapping the bytes differ.
//!
//! `rustc --edition 2024 tests/reproducible.rs -o FILE && FILE`, from the root of the repository.

#[path = "../host/build/guest.rs"]
mod guest;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use guest::{Guest, Paths};

fn main() -> Result<(), Box<dyn Error>> {
    let root = env::current_dir()?;
    let scratch = env::temp_dir().join(format!("signoff-reproducible-{}", std::process::id()));
    let result = compare(&root, &scratch);
    fs::remove_dir_all(&scratch)?;
    result
}

fn compare(root: &Path, scratch: &Path) -> Result<(), Box<dyn Error>> {
    let places = ["a", "another-place/with/a-longer-name"].map(|name| scratch.join(name));
    for place in &places {
        copy(root, &place.join("source"))?;
    }
    for guest in [guest::VERIFIER, guest::POLICY] {
        compare_one(guest, &places)?;
    }
    Ok(())
}

fn compare_one(guest: Guest, places: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let mut remapped = Vec::new();
    let mut shown = Vec::new();
    for place in places {
        let source = place.join("source");
        // Each build is told its own home: where crates are unpacked is part of their paths.
        // SAFETY: this program has one thread.
        unsafe { env::set_var("CARGO_HOME", place.join("cargo-home")) };
        // Fetched first: the remapping lists the registries that are there.
        let fetched = Command::new("cargo").arg("fetch").args(["--locked", "--target", "wasm32-unknown-unknown"]).current_dir(&source).status()?;
        if !fetched.success() {
            return Err("the crates cannot be fetched".into());
        }
        remapped.push(fs::read(guest::build(guest, &source, &place.join("target"), Paths::Remapped)?)?);
        shown.push(fs::read(guest::build(guest, &source, &place.join("target"), Paths::Shown)?)?);
    }
    let [a, b] = remapped.as_slice() else { return Err("two builds were wanted".into()) };
    if a != b {
        return Err(format!("{} differs: {} and {} bytes", guest.package, a.len(), b.len()).into());
    }
    let [a, b] = shown.as_slice() else { return Err("two builds were wanted".into()) };
    if a == b {
        return Err("without the remapping the bytes are the same too: this check shows nothing".into());
    }
    println!("{}: two directories, two homes, the same {} bytes; without the remapping they differ", guest.package, remapped[0].len());
    Ok(())
}

/// Copies what the guests are built from.
fn copy(root: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for name in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "guest", "host", "wit", "tests"] {
        let copied = Command::new("cp").arg("-r").arg(root.join(name)).arg(to).status()?;
        if !copied.success() {
            return Err(format!("cannot copy {name}").into());
        }
    }
    Ok(())
}
