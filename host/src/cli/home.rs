//! The user's home of signoff: the server that commands call, with its token. The SDKs read the same
//! file (`host/sdk/README.md`).

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use signoff_core::object;

use super::exit::Failure;
use crate::folder::Folder;
use crate::private_file::{PrivateFileError, read_private_file};

/// The name of the file.
const FILE: &str = "client.json";
/// Maximum size of the file: a URL, a token and three paths.
const BYTES_MAX: u64 = 64 << 10;

/// What the home file holds. Unknown members are ignored, so that versions can differ.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Home {
    /// The server that commands call by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) server: Option<String>,
    /// The token for that server, and for no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    /// Certificate authorities, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<PathBuf>,
    /// The pinned approvers' keys of an executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keys: Option<PathBuf>,
    /// The deployment that an executor works for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) audience: Option<String>,
}

impl Home {
    /// Reads the file; `None` if there is none.
    pub(super) fn load() -> Result<Option<Self>, Failure> {
        let Some(path) = path() else { return Ok(None) };
        let text = match read_private_file(&path, BYTES_MAX) {
            Ok((text, _)) => text,
            Err(PrivateFileError::Io(e))
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(PrivateFileError::Exposed) => {
                return Err(Failure::Failed(anyhow!(
                    "`{}` holds a token and others can read it: run `chmod 600` on it, and `signoff login` with a new token",
                    path.display()
                )));
            }
            Err(PrivateFileError::TooLarge) => {
                return Err(Failure::Failed(anyhow!("`{}` is too large", path.display())));
            }
            Err(PrivateFileError::Io(e)) => {
                return Err(e).with_context(|| format!("cannot read `{}`", path.display()))?;
            }
        };
        // Without the parser's own words, which could quote the token.
        let home: Self = str::from_utf8(&text)
            .ok()
            .and_then(|text| object::parse("home", text).ok())
            .ok_or_else(|| {
                anyhow!("`{}` is malformed; run `signoff login` again", path.display())
            })?;
        let folder = path.parent().map(PathBuf::from).unwrap_or_default();
        let absolute = |path: Option<PathBuf>| path.map(|path| folder.join(path));
        Ok(Some(Self { ca: absolute(home.ca), keys: absolute(home.keys), ..home }))
    }

    /// Writes the file, mode 0600, in place of an earlier one. Returns its path.
    pub(super) fn save(&self) -> Result<PathBuf, Failure> {
        let path = path().ok_or_else(|| {
            Failure::usage(
                "there is no home folder: set HOME or XDG_CONFIG_HOME to an absolute path",
            )
        })?;
        let folder = path.parent().map(PathBuf::from).unwrap_or_default();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .and_then(|()| {
                let text = serde_json::to_string_pretty(self)? + "\n";
                Folder::open(&folder)?.replace(OsStr::new(FILE), text.as_bytes())
            })
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }

    /// Removes the file. Returns its path, `None` if there was none.
    pub(super) fn remove() -> Result<Option<PathBuf>, Failure> {
        let Some(path) = path() else { return Ok(None) };
        match fs::remove_file(&path) {
            Ok(()) => Ok(Some(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).with_context(|| format!("cannot remove `{}`", path.display()))?,
        }
    }
}

/// Returns the path of the file: in `$XDG_CONFIG_HOME/signoff`, default `~/.config/signoff`. As the
/// specification of XDG says, a relative path there counts as unset.
fn path() -> Option<PathBuf> {
    let of = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = of("XDG_CONFIG_HOME").or_else(|| Some(of("HOME")?.join(".config")))?;
    Some(config.join("signoff").join(FILE))
}
