//! `signoff demo`: a complete demonstration in one command. `runbook` follows the runbook over
//! HTTP; `trust` shows a deployment with tokens, separate approver keys and a verifiable audit log,
//! using the commands that people type; `policy` changes the policy under a running agent;
//! `executor` lies to an executor that verifies; `mcp` gates a tool of an MCP server. Each part ends by checking its results.

mod executor;
mod mcp;
mod person;
mod policy;
mod runbook;
mod trust;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use base64ct::{Base64UrlUnpadded, Encoding};
use clap::Args;

use super::serve::{Opened, Running, Setup, StartArgs, interruption};
use super::transport::Transport;
use super::{Exit, exit::Failure, output};
use crate::config::Config;
use crate::keys::{KeySource, Keys};
use crate::server::{self, Exposure, ListenAddress};
use crate::settings::Listener;
use crate::start::Accepted;
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};

#[derive(Args)]
pub(super) struct DemoArgs {
    /// Keep the server running afterwards, and print curl commands to paste
    #[arg(long)]
    keep: bool,
    /// The port to serve on; 0 for a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// A Python with `signoff[verifier]`, for the scene with an executor [default: python3, if it has
    /// the package; else the scene is left out]
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

pub(super) fn run(args: &DemoArgs) -> Result<Exit, Failure> {
    let folder = Folder::new()?;
    let secret = Base64UrlUnpadded::encode_string(&rand::random::<[u8; 32]>());
    let keys = Keys::of_secret(&secret)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let running = runtime.block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
        let listener = server::bind(&ListenAddress::Tcp(address), Exposure::default()).await?;
        let keys = Arc::new(KeySource::fixed(keys.clone()));
        let trust = crate::keys::trust(&keys);
        let mode = OpenMode::Create { audience: "demo".to_owned() };
        let path = folder.0.join("signoff.redb");
        let store = RedbStore::open(&path, mode, CheckIntegrity::No, trust.clone())?;
        let opened = Opened { store: Arc::new(store), trust, unauthenticated: None };
        let listener_is = Listener { loopback: true, tls: false, behind_proxy: false };
        let start = StartArgs {
            listener: listener_is,
            witness: None,
            new_witness: false,
            accept: Accepted::default(),
        };
        let setup = Setup { opened, keys, config: Config::default(), start, tls: None };
        Running::start(setup, vec![listener]).await
    })?;
    let transport = Transport::to_server(&running.url)?;
    let key = keys.to_sign_v1().context("the demo has no key")?;
    let mut narration = Narration::default();
    output::line(
        "signoff demo: one approval, from request to proof; a policy that changes while an agent runs; a server that lies; a gated MCP tool.",
    );
    output::line(&format!(
        "Every line below happens, over HTTP on {}, in a temporary store.",
        running.url
    ));
    let result = runbook::run(&mut narration, &transport, key)
        .and_then(|()| trust::run(&mut narration, &folder.0))
        .and_then(|()| policy::run(&mut narration, &folder.0))
        .and_then(|()| executor::run(&mut narration, &folder.0, args.python.as_deref()))
        .and_then(|()| mcp::run(&mut narration, &folder.0));
    let differences = narration.differences;
    if result.is_ok() {
        output::line(&format!("\n{}", narration.verdict()));
    }
    if args.keep && result.is_ok() && differences == 0 {
        invite(&running.url, &secret);
        runtime.block_on(async {
            let _ = interruption()?.await;
            Ok::<_, Failure>(())
        })?;
    }
    runtime.block_on(running.stop("end of the demo"));
    result?;
    Ok(if differences == 0 { Exit::Done } else { Exit::Failed })
}

/// A temporary folder, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let name = format!("signoff-demo-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot create `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The narration, and the number of checks that failed.
#[derive(Default)]
struct Narration {
    step: u32,
    differences: u32,
}

impl Narration {
    fn title(&mut self, title: &str) {
        self.step += 1;
        output::line(&format!("\n{:>2}. {title}", self.step));
    }

    fn say(&self, text: &str) {
        output::line(&format!("    {text}"));
    }

    fn compare(&mut self, what: &str, holds: bool) {
        if !holds {
            self.differences += 1;
        }
        self.say(&format!("{}  {what}", if holds { "ok" } else { "DIFFERS" }));
    }

    fn verdict(&self) -> String {
        match self.differences {
            0 => "All checks passed.".to_owned(),
            1 => "1 check failed.".to_owned(),
            n => format!("{n} checks failed."),
        }
    }
}

/// Prints commands to paste while the server keeps running.
fn invite(url: &str, secret: &str) {
    let lines = [
        String::new(),
        format!("The server keeps running on {url}. In another terminal:"),
        String::new(),
        format!("export SIGNOFF_SERVER={url}"),
        format!("export HMAC_SECRET={secret}   # for this demo only"),
        format!(
            "ID=$(curl -s {url}/api/v1/approvals -H 'Content-Type: application/json' -d '{{\"agent\":\"inbox_triage\",\"action\":\"quarantine\",\"context\":{{\"email_id\":\"email_7\"}},\"reason\":\"try it\"}}' | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"id\"])')"
        ),
        format!("curl -s {url}/api/v1/approvals/$ID"),
        format!("signoff approve $ID --approver {}", runbook::APPROVER),
        format!(
            "curl -s {url}/api/v1/approvals/$ID/execute -H 'Content-Type: application/json' -d '{{\"agent\":\"inbox_triage\",\"action\":\"quarantine\",\"context\":{{\"email_id\":\"email_7\"}}}}'"
        ),
        String::new(),
        "Press Ctrl-C to stop it.".to_owned(),
    ];
    for line in lines {
        output::line(&line);
    }
}
