//! What a gate remembers of one use of a tool: a private folder, one file a use.
//! It only finds approvals again: whether one may be executed, the server and the verifier decide.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, SystemClock};
use crate::folder::Folder;

/// A file holds eight short members.
const FILE_BYTES_MAX: u64 = 16 << 10;
/// A session of a coding agent can be resumed for 30 days.
const AGE_MAX: Duration = Duration::from_secs(31 * 86_400);
/// Time between two hooks of one use of a tool.
const REPEAT_SECONDS: u64 = 60;
const SUFFIX: &str = ".json";

/// One use of a tool that needs an approval.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Use {
    /// A random number of this request.
    pub(super) nonce: String,
    /// When it was first seen, in seconds.
    pub(super) seen: u64,
    /// The context's digest at the request.
    pub(super) context: Option<String>,
    /// The approval's id.
    pub(super) approval: Option<String>,
    /// The execution's id.
    pub(super) execution: Option<String>,
    /// When it was claimed, in seconds.
    pub(super) claimed: Option<u64>,
    /// The input's digest at the claim.
    pub(super) input: Option<String>,
    /// The reported outcome.
    pub(super) outcome: Option<String>,
}

impl Use {
    /// Returns whether the answer was given so long ago that the tool has run, or will not: a repeat of
    /// the hook comes at once.
    pub(super) fn was_given(&self) -> bool {
        let is_recent = self.claimed.is_some_and(is_recent);
        self.execution.is_some() && self.outcome.is_none() && !is_recent
    }
}

/// Returns whether a time is at most a minute away, in either direction: clocks can be set.
fn is_recent(time: u64) -> bool {
    SystemClock.now().abs_diff(time) <= REPEAT_SECONDS
}

/// The folder.
pub(super) struct States {
    folder: Folder,
    gate: &'static str,
}

/// Opens the folder of a gate's state, or creates it with mode 0700.
pub(super) fn state_folder(gate: &str) -> Result<Folder> {
    let of = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = of("XDG_STATE_HOME").or_else(|| Some(of("HOME")?.join(".local/state")));
    let state = state.context("there is no home folder: set HOME or XDG_STATE_HOME")?;
    let path = state.join("signoff").join(gate);
    Folder::open_private(&path).with_context(|| {
        format!("`{}` must be a folder of this user with mode 0700", path.display())
    })
}

impl States {
    /// Opens the folder `signoff/GATE` in `$XDG_STATE_HOME`, default `~/.local/state`, or creates it with
    /// mode 0700.
    pub(super) fn open(gate: &'static str) -> Result<Self> {
        Ok(Self { folder: state_folder(gate)?, gate })
    }

    /// Returns what is known of a use.
    pub(super) fn load(&self, key: &str) -> Result<Option<Use>> {
        let file = match self.folder.read(OsStr::new(&name(key))) {
            Ok((file, _)) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).context("the state of this tool use cannot be read"),
        };
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        serde_json::from_str(&text).map(Some).map_err(|_| {
            let (gate, name) = (self.gate, name(key));
            anyhow!("the state of this tool use is malformed; remove signoff/{gate}/{name}")
        })
    }

    /// Returns what is known of a use; makes it known if it is new. Of two processes that do so at once,
    /// both get what the first wrote.
    pub(super) fn begin(&self, key: &str) -> Result<Use> {
        if let Some(known) = self.load(key)? {
            return Ok(known);
        }
        self.remove_old()?;
        let new = Use {
            nonce: hex::encode(rand::random::<[u8; 16]>()),
            seen: SystemClock.now(),
            context: None,
            approval: None,
            execution: None,
            claimed: None,
            input: None,
            outcome: None,
        };
        let text = serde_json::to_vec(&new)?;
        match self.folder.create(OsStr::new(&name(key)), &text) {
            Ok(()) => Ok(new),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.load(key)?.context("the state of this tool use was removed meanwhile")
            }
            Err(e) => Err(e).context("the state of this tool use cannot be written"),
        }
    }

    /// Writes what is known of a use.
    pub(super) fn save(&self, key: &str, known: &Use) -> Result<()> {
        let text = serde_json::to_vec(known)?;
        self.folder
            .replace(OsStr::new(&name(key)), &text)
            .context("the state of this tool use cannot be written")
    }

    /// Forgets a request, unless another one has its name by now.
    pub(super) fn forget(&self, key: &str, known: &Use) -> Result<()> {
        if self.load(key)?.is_none_or(|now| now.nonce != known.nonce) {
            return Ok(());
        }
        self.folder
            .remove(OsStr::new(&name(key)))
            .context("the state of this tool use cannot be removed")
    }

    /// Takes a request for one call. Returns false if another call has taken it.
    pub(super) fn take(&self, known: &Use) -> Result<bool> {
        let now = SystemClock.now().to_string();
        match self.folder.create(OsStr::new(&taken(known)), now.as_bytes()) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e).context("the state of this tool use cannot be written"),
        }
    }

    /// Returns whether a request was taken by a call that has ended since.
    pub(super) fn was_taken_long_ago(&self, known: &Use) -> Result<bool> {
        let (file, _) = self.folder.read(OsStr::new(&taken(known)))?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok(!text.parse().is_ok_and(is_recent))
    }

    /// Removes the files of sessions that can no longer be resumed, and drafts of killed processes.
    fn remove_old(&self) -> Result<()> {
        let is_ours = |name: &OsStr| {
            name.to_str().is_some_and(|name| name.ends_with(SUFFIX) || name.ends_with(".tmp"))
        };
        for (name, written) in self.folder.files(is_ours)? {
            if written.elapsed().is_ok_and(|age| age > AGE_MAX) {
                self.folder.remove(&name)?;
            }
        }
        Ok(())
    }
}

fn name(key: &str) -> String {
    format!("{key}{SUFFIX}")
}

/// Returns the name of the file that marks a request as taken.
fn taken(known: &Use) -> String {
    format!("{}.taken{SUFFIX}", known.nonce)
}
