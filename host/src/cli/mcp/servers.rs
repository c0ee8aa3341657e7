//! The file of several servers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

use super::server_name;
use super::stdio::Server;
use crate::mcp::{Record, SEPARATOR};

/// Servers of one gate.
const SERVERS_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    servers: BTreeMap<String, WireServer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireServer {
    /// The program and its arguments.
    command: Vec<String>,
    /// Variables of its environment.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// The administrator's file of its tools.
    pins: Option<PathBuf>,
}

/// Reads the file: TOML, with a table `[servers.NAME]` for each.
///
/// # Errors
///
/// It cannot be read, is not TOML of this form, or has no server, too many, or one with an unusable name,
/// no command or an unusable file of tools.
pub(super) fn read(path: &Path) -> Result<(Vec<Server>, Vec<Record>)> {
    let named = || format!("`{}`", path.display());
    let text = fs::read_to_string(path).with_context(named)?;
    let wire: Wire = toml::from_str(&text)
        .map_err(|e| anyhow!("{}", signoff_core::deceptive::in_lines(&e.to_string())))
        .with_context(named)?;
    ensure!(!wire.servers.is_empty(), "`{}` names no server", path.display());
    ensure!(
        wire.servers.len() <= SERVERS_MAX,
        "`{}` names more than {SERVERS_MAX} servers",
        path.display()
    );
    let (mut servers, mut given) = (Vec::new(), Vec::new());
    for (name, server) in wire.servers {
        let name = server_name(&name).map_err(|why| anyhow!("the name of a server: {why}"))?;
        // Otherwise `a` with `_b` and `a_` with `b` would be one name.
        ensure!(
            !name.contains(SEPARATOR) && !name.ends_with('_'),
            "the name `{name}` must not contain `{SEPARATOR}`, which begins the name of a tool, nor end in `_`"
        );
        ensure!(!server.command.is_empty(), "the server `{name}` has no command");
        if let Some(pins) = &server.pins {
            given.push(Record::of_file(pins, &name)?);
        }
        servers.push(Server { name, command: server.command, env: server.env });
    }
    Ok((servers, given))
}
