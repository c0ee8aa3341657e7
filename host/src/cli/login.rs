//! `signoff login` and `signoff logout`: the server that commands and SDKs call by default.

use std::env;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;
use signoff_core::name::Identifier;

use super::exit::Failure;
use super::home::Home;
use super::output::{json_path, line, note, plain};
use super::transport::Transport;
use super::{Exit, Global};

/// Maximum length of a token on standard input.
const TOKEN_BYTES_MAX: u64 = 4 << 10;

#[derive(Args)]
#[command(after_help = "Examples:
  signoff login https://signoff.company.com < token
  signoff login https://signoff.company.com --audience prod --keys approvers.json < token
  signoff login unix:/run/user/1000/signoff.sock

The token is read from SIGNOFF_TOKEN, else from standard input, never from the arguments. It is checked
with the server, and written with the other settings to client.json in $XDG_CONFIG_HOME/signoff (default
~/.config/signoff), mode 0600. A later login to the same server keeps the settings that it does not name. Commands without --server and --store call this server; the SDKs do, too.")]
pub(super) struct LoginArgs {
    /// The server: http://…, https://… or unix:PATH
    url: String,
    /// The deployment that this machine's executors work for
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// The approvers' public keys that this machine's executors trust
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

pub(super) fn login(args: &LoginArgs, global: &Global) -> Result<Exit, Failure> {
    let token = match &global.token {
        Some(token) => Some(token.clone()),
        None => from_input()?,
    };
    if let Some(audience) = &args.audience {
        Identifier::new("audience", audience.as_str())
            .map_err(|rejection| Failure::usage(rejection.message))?;
    }
    let given = Home {
        server: Some(args.url.clone()),
        token,
        ca: global.ca.as_deref().map(found).transpose()?,
        keys: args.keys.as_deref().map(found).transpose()?,
        audience: args.audience.clone(),
    };
    let home = beside(given, Home::load()?)?;
    check(&home, global)?;
    let path = home.save()?;
    if global.json {
        let audience = &home.audience;
        line(
            &json!({ "server": args.url, "audience": audience, "file": json_path(&path) })
                .to_string(),
        );
    } else {
        plain(&args.url);
        note(&format!("commands and SDKs call this server by default ({})", path.display()));
        if home.token.is_none() {
            note("without a token: the server requires none");
        }
    }
    Ok(Exit::Done)
}

pub(super) fn logout(global: &Global) -> Result<Exit, Failure> {
    let removed = Home::remove()?;
    if global.json {
        line(&json!({ "removed": removed }).to_string());
        return Ok(Exit::Done);
    }
    match removed {
        Some(path) => {
            plain(&path.display().to_string());
            note("removed; the token itself stays valid until it is revoked or expires");
        }
        None => note("there was nothing to remove"),
    }
    Ok(Exit::Done)
}

/// Returns what to write. A new token of the same server changes nothing else: without its pinned keys
/// an executor would trust the server. Another server takes nothing over, and says so.
fn beside(given: Home, before: Option<Home>) -> Result<Home, Failure> {
    let Some(before) = before else { return Ok(given) };
    if before.server == given.server {
        let Home { server, token, ca, keys, audience } = given;
        return Ok(Home {
            server,
            token,
            ca: ca.or(before.ca),
            keys: keys.or(before.keys),
            audience: audience.or(before.audience),
        });
    }
    let drops_keys = before.keys.is_some() && given.keys.is_none();
    if drops_keys {
        return Err(Failure::usage(
            "the home file pins approvers' keys for another server: give --keys for this one, or run `signoff logout` first",
        ));
    }
    Ok(given)
}

/// Checks that the server answers and takes the token.
fn check(home: &Home, global: &Global) -> Result<(), Failure> {
    let transport = Transport::of_home(home, global)?;
    let keys = transport.get("/api/v1/audit/keys")?;
    serde_json::from_str::<serde_json::Value>(&keys)
        .map(drop)
        .context("what answers is not a signoff server")
        .map_err(Failure::Failed)
}

/// Reads a token from standard input; `None` if it is empty.
fn from_input() -> Result<Option<String>, Failure> {
    let input = io::stdin();
    if input.is_terminal() {
        note("the token, then Enter and Ctrl-D (none: only Ctrl-D):");
    }
    let mut text = String::new();
    input
        .take(TOKEN_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|_| anyhow!("the token on standard input is not text"))?;
    let token = text.trim();
    Ok((!token.is_empty()).then(|| token.to_owned()))
}

/// Returns the absolute path of a file that must exist: the home file is read from any folder.
fn found(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = env::current_dir()?.join(path);
    if !absolute.is_file() {
        return Err(Failure::usage(format!("`{}` is not a file", path.display())));
    }
    Ok(absolute)
}
