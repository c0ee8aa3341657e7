//! A cache of precompiled code on disk, for fast starts.
//!
//! Machine code is trusted without checks, so it is only ever produced here, and stored where no
//! other user can write: a directory of mode 0700 owned by this user. The directory is opened once and
//! checked by its handle, files are opened relative to it, and the bytes that were read are what is
//! loaded, so that nobody who can write the directory's parent can exchange anything in between. A
//! file name contains everything the code depends on: the module's digest, and wasmtime's hash of its
//! version, settings and CPU. Components and core modules are stored alike; wasmtime refuses to load
//! one as the other.

#![expect(
    unsafe_code,
    reason = "loading precompiled code is unsafe; this file explains why it is sound"
)]

use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::folder::{Folder, is_mine};

/// Maximum number of files: each version of a policy that was built or pushed adds one.
const FILES_MAX: usize = 64;
/// No process takes longer to write a file.
const DRAFT_AGE_MAX: Duration = Duration::from_secs(3_600);

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
        let name = file_name(engine, digest);
        // A full disk, a read-only home, or a directory of another user must not stop a verification.
        let folder = self.0.as_deref().and_then(|dir| Folder::open_private(dir).ok());
        if let Some(loaded) = folder.as_ref().and_then(|folder| load(engine, folder, &name)) {
            return Ok(loaded);
        }
        let code = compile()?;
        if let Some(folder) = &folder {
            let _ = keep(folder, &name, &code);
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
}

impl Code for Component {
    unsafe fn of_bytes(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: guaranteed by the caller.
        unsafe { Self::deserialize(engine, code) }
    }
}

impl Code for Module {
    unsafe fn of_bytes(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: guaranteed by the caller.
        unsafe { Self::deserialize(engine, code) }
    }
}

fn file_name(engine: &Engine, digest: &str) -> String {
    let mut hasher = Fnv::default();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}.cwasm", hasher.finish())
}

/// Loads a file of a private folder only if no other user can have written it.
fn load<T: Code>(engine: &Engine, folder: &Folder, name: &str) -> Option<T> {
    let (mut file, meta) = folder.read(OsStr::new(name)).ok()?;
    if !is_mine(&meta) || meta.mode() & 0o022 != 0 {
        return None;
    }
    let mut code = Vec::with_capacity(usize::try_from(meta.len()).ok()?);
    file.read_to_end(&mut code).ok()?;
    // SAFETY: these bytes were read from a directory that only this user can write, were put there
    // whole (by rename), and wasmtime refuses code of another version, setting or CPU.
    unsafe { T::of_bytes(engine, &code) }.ok()
}

fn keep(folder: &Folder, name: &str, code: &[u8]) -> io::Result<()> {
    let name = OsStr::new(name);
    folder.remove_drafts(name, DRAFT_AGE_MAX)?;
    folder.replace(name, code)?;
    forget_oldest(folder)
}

/// Removes the oldest files if there are too many. Processes that use them are not affected, and a
/// later load compiles again.
fn forget_oldest(folder: &Folder) -> io::Result<()> {
    let is_code = |name: &OsStr| Path::new(name).extension() == Some(OsStr::new("cwasm"));
    let mut kept = folder.files(is_code)?;
    kept.sort_unstable_by_key(|(_, modified)| *modified);
    let too_many = kept.len().saturating_sub(FILES_MAX);
    kept.into_iter().take(too_many).try_for_each(|(name, _)| folder.remove(&name))
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
    use std::fs::{self, DirBuilder, File};
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_so_many_files_are_kept_and_the_newest_are() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("cache");
        let folder = Folder::open_private(&dir).unwrap();
        let path = |number: usize| dir.join(format!("{number}.cwasm"));
        let aged = |path: &Path, age: u64| {
            let file = File::create(path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        };
        for number in 0..FILES_MAX + 3 {
            aged(&path(number), 1_000 - number as u64);
        }
        let drafts = [".999.cwasm.0123456789abcdef.tmp", ".999.cwasm.fedcba9876543210.tmp"];
        aged(&dir.join(drafts[0]), DRAFT_AGE_MAX.as_secs() + 1);
        aged(&dir.join(drafts[1]), 60);
        fs::write(dir.join("else"), "stays").unwrap();
        keep(&folder, "999.cwasm", b"code").unwrap();
        let is_there = |number: usize| path(number).exists();
        assert_eq!((0..FILES_MAX + 3).filter(|number| !is_there(*number)).count(), 4);
        assert!(!is_there(3) && is_there(4) && is_there(999));
        assert!(dir.join("else").exists());
        assert_eq!(drafts.map(|draft| dir.join(draft).exists()), [false, true]);
    }

    /// Returns the name of a module's first export.
    fn export(module: &Module) -> String {
        module.exports().next().unwrap().name().to_owned()
    }

    /// A directory that anybody can write, with a planted file in place of `digest`'s.
    fn planted(engine: &Engine, dir: &Path, digest: &str) {
        let code = wat::parse_str("(module (func (export \"planted\")))").unwrap();
        fs::create_dir(dir).unwrap();
        fs::write(dir.join(file_name(engine, digest)), engine.precompile_module(&code).unwrap())
            .unwrap();
        fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_directory_that_is_exchanged_meanwhile_is_never_loaded_from() {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let parent = tempfile::tempdir().unwrap();
        let (private, other) = (parent.path().join("cache"), parent.path().join("other"));
        let engine = Engine::new(&wasmtime::Config::new()).unwrap();
        let module = wat::parse_str("(module (func (export \"own\")))").unwrap();
        let cache = Cache::at(&private);
        cache.load_core(&engine, &module, "same").unwrap();
        planted(&engine, &other, "same");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    renameat_with(CWD, &private, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                }
            });
            let foreign = (0..5_000).filter(|_| {
                let loaded = cache.load_core(&engine, &module, "same");
                loaded.is_ok_and(|loaded| export(&loaded) != "own")
            });
            let foreign = foreign.count();
            done.store(true, Ordering::Relaxed);
            assert_eq!(foreign, 0);
        });
        for dir in [&private, &other] {
            assert_eq!(fs::read_dir(dir).unwrap().count(), 1, "nothing is written there");
        }
    }

    #[test]
    fn a_link_is_neither_followed_nor_written_through() {
        let parent = tempfile::tempdir().unwrap();
        let engine = Engine::new(&wasmtime::Config::new()).unwrap();
        let module = wat::parse_str("(module (func (export \"own\")))").unwrap();
        let name = file_name(&engine, "same");
        let planted_dir = parent.path().join("planted");
        planted(&engine, &planted_dir, "same");
        let before = fs::read(planted_dir.join(&name)).unwrap();
        // In place of the directory.
        let linked = parent.path().join("linked");
        symlink(&planted_dir, &linked).unwrap();
        let loaded = Cache::at(&linked).load_core(&engine, &module, "same").unwrap();
        assert_eq!(export(&loaded), "own");
        // In place of the file, which is replaced.
        let private = parent.path().join("private");
        DirBuilder::new().mode(0o700).create(&private).unwrap();
        symlink(planted_dir.join(&name), private.join(&name)).unwrap();
        for _ in 0..2 {
            let loaded = Cache::at(&private).load_core(&engine, &module, "same").unwrap();
            assert_eq!(export(&loaded), "own");
        }
        assert!(private.join(&name).symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read(planted_dir.join(&name)).unwrap(), before);
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
