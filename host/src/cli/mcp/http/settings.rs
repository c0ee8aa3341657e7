//! Which MCP servers the gate stands in front of, and who may call it.

use std::collections::BTreeMap;
use std::env;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use rustix::fs::OFlags;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use signoff_core::object;
use zeroize::Zeroizing;

use super::upstream::Upstream;
use crate::cli::exit::Failure;
use crate::cli::mcp::server_name;
use crate::cli::output::note;
use crate::cli::remote::Trust;
use crate::cli::{Global, token_file};
use crate::endpoint::Endpoint;
use crate::folder::is_mine_or_roots;
use crate::server::Exposure;

const BYTES_MAX: u64 = 1 << 20;
/// The entry of a client's configuration that `signoff mcp import` replaced, JSON: its `headers` are sent.
pub(in crate::cli::mcp) const ENTRY: &str = "SIGNOFF_MCP_ENTRY";
/// Headers that the transport sets.
const RESERVED: [&str; 8] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
];

/// Where the MCP servers are.
#[derive(clap::Args, Clone)]
pub(in crate::cli) struct UpstreamArgs {
    /// The address of the MCP server, Streamable HTTP
    #[arg(long, value_name = "URL", conflicts_with_all = ["command", "upstreams"])]
    pub(in crate::cli::mcp) upstream: Option<String>,
    /// Headers of every request to the MCP server: a file of lines `Name: value`
    #[arg(long, value_name = "FILE", requires = "upstream")]
    pub(in crate::cli::mcp) upstream_headers: Option<PathBuf>,
    /// Many MCP servers: a TOML file with a table `[server.NAME]` each, of `url` and `headers_file`
    #[arg(long, value_name = "FILE", requires = "listen", conflicts_with_all = ["command", "name"])]
    pub(in crate::cli::mcp) upstreams: Option<PathBuf>,
}

/// Who may call the gate over HTTP.
#[derive(clap::Args, Clone)]
pub(in crate::cli) struct ListenArgs {
    /// Serve clients over HTTP at this address, /NAME; otherwise standard input and output are the client
    #[arg(long, value_name = "ADDRESS", value_parser = clap::value_parser!(Endpoint), conflicts_with = "command")]
    pub(in crate::cli::mcp) listen: Option<Endpoint>,
    /// Require the token in this file of clients, as `Authorization: Bearer TOKEN`
    #[arg(long, value_name = "FILE", requires = "listen")]
    client_token_file: Option<PathBuf>,
    /// Another name under which clients reach the gate
    #[arg(long, value_name = "NAME", requires = "listen")]
    host: Vec<String>,
    /// A reverse proxy in front terminates TLS
    #[arg(long, requires = "client_token_file")]
    behind_proxy: bool,
}

/// Who may call.
pub(in crate::cli::mcp) struct Access {
    pub(super) token: Option<[u8; 32]>,
    pub(super) hosts: Vec<String>,
    pub(super) exposure: Exposure,
}

/// An MCP server with its name.
pub(in crate::cli::mcp) struct Server {
    pub(super) name: String,
    pub(super) upstream: Upstream,
}

impl ListenArgs {
    /// Reads the token.
    pub(in crate::cli::mcp) fn access(&self) -> Result<Access, Failure> {
        let token = self.client_token_file.as_deref().map(token_file::read).transpose()?;
        let token = token.map(Zeroizing::new).map(|token| Sha256::digest(token.as_bytes()).into());
        let exposure = Exposure {
            tokens: self.client_token_file.is_some(),
            behind_proxy: self.behind_proxy,
            ..Exposure::default()
        };
        Ok(Access { token, hosts: self.host.clone(), exposure })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    url: String,
    headers_file: Option<PathBuf>,
}

impl UpstreamArgs {
    /// Reads the servers' addresses and headers.
    pub(in crate::cli::mcp) fn servers(
        &self,
        name: Option<&str>,
        global: &Global,
    ) -> Result<Vec<Server>, Failure> {
        let trust = global.trust();
        if let Some(url) = &self.upstream {
            let name = name.ok_or_else(|| Failure::usage("--name is missing"))?;
            let headers = match &self.upstream_headers {
                Some(path) => read_headers(path)?,
                None => headers_of_entry(url)?,
            };
            return Ok(vec![server(name, url, headers, &trust)?]);
        }
        let path = self.upstreams.as_deref();
        let path =
            path.ok_or_else(|| Failure::usage("expected a command, --upstream or --upstreams"))?;
        let wrong = |why: String| anyhow!("`{}`: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let file: File = toml::from_str(&text).map_err(|e| wrong(e.message().to_owned()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut servers = Vec::new();
        for (name, entry) in &file.server {
            server_name(name).map_err(|why| wrong(format!("`server.{name}`: {why}")))?;
            let headers = entry.headers_file.as_ref().map(|file| read_headers(&folder.join(file)));
            let headers = headers.transpose()?.unwrap_or_default();
            servers.push(server(name, &entry.url, headers, &trust)?);
        }
        Ok(servers)
    }
}

fn server(name: &str, url: &str, headers: HeaderMap, trust: &Trust) -> Result<Server, Failure> {
    Ok(Server { name: name.to_owned(), upstream: Upstream::new(url, headers, trust)? })
}

/// Reads headers from lines `Name: value`. Values are secrets, and never shown.
///
/// # Errors
///
/// The file cannot be read, is not a file, can be changed by others, or a line is not a header.
fn read_headers(path: &Path) -> Result<HeaderMap> {
    let wrong = |why: String| anyhow!("headers in `{}`: {why}", path.display());
    let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(without_waiting).open(path);
    let file = file.map_err(|e| wrong(e.to_string()))?;
    let meta = file.metadata().map_err(|e| wrong(e.to_string()))?;
    ensure!(meta.is_file(), wrong("it is not a file".to_owned()));
    if !is_mine_or_roots(&meta) || meta.mode() & 0o022 != 0 {
        return Err(wrong(
            "others can change it: make it yours, and run `chmod 600` on it".to_owned(),
        ));
    }
    if meta.mode() & 0o044 != 0 {
        note(&format!("`{}` can be read by others: run `chmod 600` on it", path.display()));
    }
    let mut text = Zeroizing::new(String::new());
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|_| wrong("it is not text".to_owned()))?;
    ensure!(text.len() as u64 <= BYTES_MAX, wrong("it is too large".to_owned()));
    let mut headers = HeaderMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // Not quoted: it may be a secret.
        let number = number + 1;
        let split = line
            .split_once(':')
            .with_context(|| wrong(format!("line {number}: expected `Name: value`")).to_string())?;
        add(&mut headers, split.0.trim(), split.1.trim())
            .map_err(|why| wrong(format!("line {number}: {why}")))?;
    }
    Ok(headers)
}

fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let name = HeaderName::try_from(name).map_err(|_| "malformed name".to_owned())?;
    if RESERVED.contains(&name.as_str()) || name.as_str().starts_with("mcp-") {
        return Err(format!("`{name}` is set by the gate"));
    }
    let mut value = HeaderValue::try_from(value).map_err(|_| "malformed value".to_owned())?;
    value.set_sensitive(true);
    match headers.insert(name.clone(), value) {
        None => Ok(()),
        Some(_) => Err(format!("`{name}` is there twice")),
    }
}

/// Returns the headers of the entry that this gate replaced in the configuration of a client.
fn headers_of_entry(url: &str) -> Result<HeaderMap> {
    #[derive(Deserialize)]
    struct Replaced {
        url: String,
        #[serde(default)]
        headers: BTreeMap<String, String>,
    }
    let mut headers = HeaderMap::new();
    let Some(text) = env::var_os(ENTRY) else { return Ok(headers) };
    let wrong = |why: String| anyhow!("{ENTRY}: {why}");
    let text = text.into_string().map_err(|_| wrong("it is not UTF-8".to_owned()))?;
    object::refuse_duplicate_members(ENTRY, &text).map_err(|e| wrong(e.message))?;
    let entry: Replaced =
        serde_json::from_str(&text).map_err(|e| wrong(object::redacted_message(&e)))?;
    ensure!(entry.url == url, wrong("its `url` is not that of --upstream".to_owned()));
    for (name, value) in &entry.headers {
        add(&mut headers, name, value).map_err(wrong)?;
    }
    Ok(headers)
}
