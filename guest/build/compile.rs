//! Compiles the guests' core modules. The same source gives the same bytes: paths are remapped, and
//! nothing of the outer build (flags, wrappers, profile overrides) reaches a guest's.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "wasm32-unknown-unknown";

/// What is compiled: a package of the workspace, and how large its stack is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guest {
    /// Its name, and with `_` for `-` its file's.
    pub(crate) package: &'static str,
    /// Enough for the deepest call.
    pub(crate) stack_bytes: u32,
}

/// Small enough a stack that a fresh instance touches few pages.
pub(crate) const VERIFIER: Guest = Guest { package: "signoff-verifier", stack_bytes: 128 << 10 };
/// The parser of conditions recurses.
pub(crate) const POLICY: Guest = Guest { package: "signoff-policy", stack_bytes: 1 << 20 };

/// Whether the module may hold paths of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the build never shows them; the reproducibility check does")]
pub(crate) enum Paths {
    /// None: the same source gives the same bytes everywhere.
    Remapped,
    /// As they are, to show that the remapping is needed.
    Shown,
}

/// Compiles a guest of the repository at `root`; answers the path of its core module.
pub(crate) fn build(
    guest: Guest,
    root: &Path,
    target: &Path,
    paths: Paths,
) -> Result<PathBuf, Box<dyn Error>> {
    target_is_installed()?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        .args(["rustc", "--locked", "--package", guest.package, "--lib"])
        .args(["--profile", "guest", "--target", TARGET, "--target-dir"])
        .arg(target)
        // For the module alone: what the guests share is then compiled once for both.
        .args(["--", &format!("-Clink-arg=-zstack-size={}", guest.stack_bytes)]);
    for (name, _) in env::vars_os() {
        if is_of_outer_build(&name.to_string_lossy()) {
            cargo.env_remove(name);
        }
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(root, paths).join("\u{1f}"));
    if !cargo.status()?.success() {
        return Err(format!("{} did not compile; its errors are above", guest.package).into());
    }
    let file = format!("{}.wasm", guest.package.replace('-', "_"));
    Ok(target.join(TARGET).join("guest").join(file))
}

fn target_is_installed() -> Result<(), Box<dyn Error>> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed =
        Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    if Path::new(String::from_utf8(printed.stdout)?.trim()).is_dir() {
        return Ok(());
    }
    Err(format!(
        "the target {TARGET}, which the guests are built for, is not installed: run `rustup toolchain install` in the repository, or `rustup target add {TARGET}`"
    )
    .into())
}

fn is_of_outer_build(name: &str) -> bool {
    let names = [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
        "CARGO_INCREMENTAL",
    ];
    let prefixes = ["CARGO_PROFILE_", "CARGO_BUILD_RUST", "CARGO_FEATURE_", "CARGO_CFG_"];
    names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// The compiler flags of both guests: no path of this machine in the output.
fn flags(root: &Path, paths: Paths) -> Vec<String> {
    // SHA-2 without unrolled rounds. A JVM never compiles a function of over 8,000 bytes of bytecode,
    // and the unrolled blocks are such functions: there it doubles the speed of every call. The
    // engines of browsers and of Go lose a few percent.
    let mut flags = vec!["--cfg".to_owned(), "sha2_backend_soft=\"compact\"".to_owned()];
    if paths == Paths::Shown {
        return flags;
    }
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let registries = home.and_then(|home| fs::read_dir(home.join("registry").join("src")).ok());
    for registry in registries.into_iter().flatten().flatten() {
        flags.push(format!("--remap-path-prefix={}=/registry", registry.path().display()));
    }
    flags.push(format!("--remap-path-prefix={}=/signoff", root.display()));
    flags
}
