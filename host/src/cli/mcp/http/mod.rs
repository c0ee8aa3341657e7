//! Streamable HTTP: clients of the gate, and MCP servers at an address.

mod client;
mod events;
mod front;
mod headers;
mod link;
mod pipe;
mod settings;
mod upstream;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api::Metrics;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{line, note, plain};
use crate::endpoint::Endpoint;
use crate::mcp::Gate;
use crate::server::{self, Exposure, Listener};
use front::Front;

pub(super) use pipe::run as run_pipe;
use settings::Access;
pub(super) use settings::{ENTRY, ListenArgs, Server, UpstreamArgs};

/// Time to withdraw requests and to report outcomes at the end.
const CLEAN_UP: Duration = Duration::from_secs(20);

/// Serves MCP servers to clients over HTTP until a signal arrives.
pub(super) fn run(
    gate: &Arc<Gate>,
    servers: Vec<Server>,
    listen: &Endpoint,
    access: Access,
    json: bool,
) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let upstreams: HashMap<_, _> =
        servers.into_iter().map(|one| (one.name, Arc::new(one.upstream))).collect();
    let front = Arc::new(Front {
        gate: Arc::clone(gate),
        upstreams,
        token: access.token,
        hosts: access.hosts,
        sessions: Mutex::default(),
        uses: AtomicU64::new(0),
    });
    runtime.block_on(serve(&front, listen, access.exposure, json))?;
    let clients = front.take_all();
    for client in &clients {
        client.session.client_gone();
        client.session.server_gone();
    }
    if !clients.iter().all(|client| client.session.finish(CLEAN_UP)) {
        note("the server of approvals does not answer; requests stay until they expire");
    }
    Ok(Exit::Done)
}

async fn serve(
    front: &Arc<Front>,
    listen: &Endpoint,
    exposure: Exposure,
    json: bool,
) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let addresses = server::resolve(std::slice::from_ref(listen)).await?;
    let addresses = addresses.into_iter().next().context("the address is missing")?;
    if let Some(address) = addresses.iter().find(|address| !address.is_local())
        && !(exposure.tokens && exposure.behind_proxy)
    {
        return Err(anyhow!(
            "refusing to listen on `{address}`, which other machines reach: give --client-token-file, and --behind-proxy if a reverse proxy terminates TLS in front"
        ));
    }
    let listeners = server::bind_all(&addresses, exposure).await?;
    announce(front, &listeners, json)?;
    let (stop, stopping) = watch::channel(false);
    let router = front::router(Arc::clone(front));
    let metrics = Arc::new(Metrics::default());
    let serving = tokio::spawn(server::serve(listeners, None, router, metrics, stopping));
    tokio::select! {
        _ = hangup.recv() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let _ = stop.send(true);
    // Clients that wait for an approver end with the gate.
    for client in front.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner).values()
    {
        client.0.session.client_gone();
    }
    let _ = serving.await;
    Ok(())
}

/// Prints where each server is reached.
fn announce(front: &Front, listeners: &[Listener], json: bool) -> Result<()> {
    let mut names: Vec<&String> = front.upstreams.keys().collect();
    names.sort();
    for listener in listeners {
        let url = listener.url(false)?;
        for name in &names {
            let address = format!("{url}/{name}");
            match json {
                true => line(&serde_json::json!({ "name": name, "url": address }).to_string()),
                false => plain(&address),
            }
        }
    }
    Ok(())
}
