//! A cache of precompiled code on disk, for fast starts.
//!
//! Machine code is trusted without checks, so it is only ever produced here, and stored where no
//! other user can write: a directory of mode 0700 owned by this user. A file name contains
//! everything the code depends on: the module's digest, and wasmtime's hash of its version,
//! settings and CPU. Components and core modules are stored alike; wasmtime refuses to load one as
//! the other.

#![expect(
    unsafe_code,
    reason = "loading precompiled code is unsafe; this file explains why it is sound"
)]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// Maximum number of files: each version of a policy that was built or pushed adds one.
const FILES_MAX: usize = 64;

/// A directory of precompiled modules. Without one, everything is compiled at each start.
#[derive(Clone, Debug)]
pub struct Cache(Option<PathBuf>);

impl Cache {
    /// The user's cache: `$SIGNOFF_CACHE_DIR`, or `signoff` in `$XDG_CACHE_HOME` or `~/.cache`. No
    /// cache if none of the variables is set.
    pub fn of_user() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let own = set("SIGNOFF_CACHE_DIR").map(PathBuf::from);
        let xdg = || set("XDG_CACHE_HOME").map(|dir| PathBuf::from(dir).join("signoff"));
        let home = || set("HOME").map(|dir| PathBuf::from(dir).join(".cache").join("signoff"));
        Self(own.or_else(xdg).or_else(home))
    }

    /// A cache in a given directory.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self(Some(dir.into()))
    }

    /// No cache.
    pub fn none() -> Self {
        Self(None)
    }

    /// Loads a component, and compiles it only if there is no usable precompiled code. An unusable
    /// cache costs time but is not an error.
    ///
    /// # Errors
    ///
    /// The component does not compile.
    pub fn load(&self, engine: &Engine, wasm: &[u8], digest: &str) -> Result<Component> {
        let compile = || engine.precompile_component(wasm).map_err(|e| anyhow::anyhow!("{e:#}"));
        self.load_by(engine, digest, compile)
    }

    /// Loads a core module, as [`Self::load`] loads a component.
    ///
    /// # Errors
    ///
    /// The module does not compile.
    pub fn load_core(&self, engine: &Engine, wasm: &[u8], digest: &str) -> Result<Module> {
        let compile = || engine.precompile_module(wasm).map_err(|e| anyhow::anyhow!("{e:#}"));
        self.load_by(engine, digest, compile)
    }

    /// As [`Self::load`], with a given compiler. The output of `compile` is executed without
    /// checks: it must come from this program's own compiler.
    pub(super) fn load_by<T: Code>(
        &self,
        engine: &Engine,
        digest: &str,
        compile: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<T> {
        let file = self.0.as_ref().map(|dir| dir.join(file_name(engine, digest)));
        if let Some(loaded) = file.as_deref().and_then(|file| load_private(engine, file)) {
            return Ok(loaded);
        }
        let code = compile()?;
        if let (Some(dir), Some(file)) = (&self.0, &file) {
            // A full disk or a read-only home must not stop a verification.
            let _ = keep(dir, file, &code);
        }
        // SAFETY: these bytes were made just above, by this engine or by this same executable with
        // the same settings; wasmtime refuses code of another version, setting or CPU.
        unsafe { T::of_bytes(engine, &code) }
            .map_err(|e| anyhow::anyhow!("{e:#}"))
            .context("loading the compiled module")
    }
}

/// A type that precompiled code is loaded as.
pub(super) trait Code: Sized {
    /// # Safety
    ///
    /// The bytes must be unmodified output of wasmtime's compiler.
    unsafe fn of_bytes(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self>;

    /// # Safety
    ///
    /// The file must be unmodified output of wasmtime's compiler, and must not change.
    unsafe fn of_file(engine: &Engine, file: &Path) -> wasmtime::Result<Self>;
}

impl Code for Component {
    unsafe fn of_bytes(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: guaranteed by the caller.
        unsafe { Self::deserialize(engine, code) }
    }

    unsafe fn of_file(engine: &Engine, file: &Path) -> wasmtime::Result<Self> {
        // SAFETY: guaranteed by the caller.
        unsafe { Self::deserialize_file(engine, file) }
    }
}

impl Code for Module {
    unsafe fn of_bytes(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: guaranteed by the caller.
        unsafe { Self::deserialize(engine, code) }
    }

    unsafe fn of_file(engine: &Engine, file: &Path) -> wasmtime::Result<Self> {
        // SAFETY: guaranteed by the caller.
        unsafe { Self::deserialize_file(engine, file) }
    }
}

fn file_name(engine: &Engine, digest: &str) -> String {
    let mut hasher = Fnv::default();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}.cwasm", hasher.finish())
}

/// Loads a file only if no other user can have written it.
fn load_private<T: Code>(engine: &Engine, file: &Path) -> Option<T> {
    let dir = file.parent()?.symlink_metadata().ok()?;
    let code = file.symlink_metadata().ok()?;
    let mine = |m: &fs::Metadata| m.uid() == rustix::process::geteuid().as_raw();
    let private = dir.is_dir() && mine(&dir) && dir.mode() & 0o077 == 0;
    if !private || !code.is_file() || !mine(&code) || code.mode() & 0o022 != 0 {
        return None;
    }
    // SAFETY: the file lies in a directory that only this user can write, was put there whole (by
    // rename), and wasmtime refuses code of another version, setting or CPU.
    unsafe { T::of_file(engine, file) }.ok()
}

/// Writes a file atomically: to a temporary file, synced, then renamed.
fn keep(dir: &Path, file: &Path, code: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let aside = file.with_extension(format!("{}.tmp", std::process::id()));
    let written = write_new(&aside, code).and_then(|()| fs::rename(&aside, file));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written.and_then(|()| forget_oldest(dir))
}

/// Removes the oldest files if there are too many. Processes that use them are not affected, and a
/// later load compiles again.
fn forget_oldest(dir: &Path) -> io::Result<()> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cwasm") {
            // Skips files that another process removed meanwhile.
            kept.extend(
                path.symlink_metadata().and_then(|meta| meta.modified()).map(|at| (at, path)),
            );
        }
    }
    kept.sort_unstable();
    let too_many = kept.len().saturating_sub(FILES_MAX);
    kept.into_iter().take(too_many).try_for_each(|(_, path)| fs::remove_file(path))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// FNV-1a: the standard library's hasher may differ between builds, but file names must not.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn only_so_many_files_are_kept_and_the_newest_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = |number: usize| dir.path().join(format!("{number}.cwasm"));
        for number in 0..FILES_MAX + 3 {
            let file = File::create(path(number)).unwrap();
            let age = Duration::from_secs(1_000 - number as u64);
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        fs::write(dir.path().join("else"), "stays").unwrap();
        keep(dir.path(), &path(999), b"code").unwrap();
        let is_there = |number: usize| path(number).exists();
        assert_eq!((0..FILES_MAX + 3).filter(|number| !is_there(*number)).count(), 4);
        assert!(!is_there(3) && is_there(4) && is_there(999));
        assert!(dir.path().join("else").exists());
    }

    #[test]
    fn a_core_module_and_a_component_are_not_taken_for_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let private = dir.path().join("cache");
        let cache = Cache::at(&private);
        let engine = Engine::new(&wasmtime::Config::new()).unwrap();
        let module = wat::parse_str("(module)").unwrap();
        let component = wat::parse_str("(component)").unwrap();
        cache.load_core(&engine, &module, "same").unwrap();
        // The file is not a component, so the component is compiled and replaces it.
        cache.load(&engine, &component, "same").unwrap();
        cache.load_core(&engine, &module, "same").unwrap();
        assert_eq!(fs::read_dir(&private).unwrap().count(), 1);
    }
}
