//! Checks that the same source gives the same guests: builds each here and in a folder of another name,
//! with a separate `CARGO_HOME`, and compares the bytes. Then checks that the comparison can fail:
//! without the path remapping the bytes contain the folder's name.
//!
//! `rustc --edition 2024 tests/reproducible.rs -o FILE && FILE`, from the root of the repository. Guests
//! that are already built here are not built again.

#[path = "../guest/build/compile.rs"]
mod guest;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use guest::Paths;

/// A folder name that no source contains.
const FOLDER: &str = "another-place/with/a-longer-name";

fn main() -> Result<(), Box<dyn Error>> {
    let root = env::current_dir()?;
    let scratch = env::temp_dir().join(format!("signoff-reproducible-{}", std::process::id()));
    let result = compare(&root, &scratch);
    fs::remove_dir_all(&scratch)?;
    result
}

fn compare(root: &Path, scratch: &Path) -> Result<(), Box<dyn Error>> {
    let guests = [guest::VERIFIER, guest::POLICY];
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("guest");
    let mut here = Vec::new();
    for guest in guests {
        here.push(fs::read(guest::build(guest, root, &target, Paths::Remapped)?)?);
    }
    let place = scratch.join(FOLDER);
    let source = place.join("source");
    copy(root, &source)?;
    // The folder where crates are unpacked is part of their paths.
    // SAFETY: this program has one thread.
    unsafe { env::set_var("CARGO_HOME", place.join("cargo-home")) };
    // Fetched first: the remapping lists the existing registries.
    let mut fetch = Command::new("cargo");
    fetch.args(["fetch", "--locked", "--target", "wasm32-unknown-unknown"]).current_dir(&source);
    if !fetch.status()?.success() {
        return Err("the crates cannot be fetched".into());
    }
    for (guest, here) in guests.into_iter().zip(&here) {
        let there = fs::read(guest::build(guest, &source, &place.join("target"), Paths::Remapped)?)?;
        if *here != there {
            return Err(format!("{} differs: {} and {} bytes", guest.package, here.len(), there.len()).into());
        }
        println!("{}: in two folders, with two homes, the same {} bytes", guest.package, here.len());
    }
    let shown = fs::read(guest::build(guest::POLICY, &source, &place.join("target"), Paths::Shown)?)?;
    match (names_the_folder(&shown), here.iter().any(|bytes| names_the_folder(bytes))) {
        (true, false) => println!("{}: without the remapping it contains the name of its folder", guest::POLICY.package),
        (false, _) => return Err("without the remapping the bytes contain no path: the check cannot fail".into()),
        (true, true) => return Err("a guest contains the name of a folder that it was not built in".into()),
    }
    Ok(())
}

fn names_the_folder(bytes: &[u8]) -> bool {
    bytes.windows(FOLDER.len()).any(|window| window == FOLDER.as_bytes())
}

/// Copies the sources of the guests.
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
