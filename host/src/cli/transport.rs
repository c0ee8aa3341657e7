//! How a command calls the API: over HTTP, or in this process over a store file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use axum::response::Response;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower::ServiceExt;

use super::Global;
use super::exit::Failure;
use super::home::Home;
use super::remote::{IDEMPOTENCY_KEY, Remote, Sent, Trust};
use super::serve::not_lost;
use crate::api::{self, App, Approval, FailureReason, Origin, Problem};
use crate::approvals::LostKey;
use crate::clock::SystemClock;
use crate::code::Code;
use crate::config::Config;
use crate::engine::{Allocation, Cache, Compiler, Loader};
use crate::id::ApprovalId;
use crate::keys::{KeyError, KeySource, Keys};
use crate::refusal::{Missing, Refusal};
use crate::service::Service;
use crate::start::Standing;
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::store::{self, Store, StoreError};
use crate::verifier::{self, Verifier};

/// The default name of a deployment.
pub(super) const AUDIENCE_DEFAULT: &str = "default";

/// The location of the approvals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// In a store file.
    Store(PathBuf),
    /// Behind a server.
    Server(String),
}

/// A connection to the API.
pub(super) struct Transport {
    kind: Kind,
    verifier: Verifier,
    keys: Arc<KeySource>,
    config: Config,
    /// Whether to print JSON.
    pub(super) json: bool,
}

enum Kind {
    Local(Box<Local>),
    Remote(Box<Remote>),
}

/// A store file, which is opened for each call and closed again, unless a command needs many calls.
struct Local {
    store: PathBuf,
    runtime: Runtime,
    /// The open store of a command with many calls.
    kept: Mutex<Option<Arc<Session>>>,
}

/// An open store file with the API over it.
struct Session {
    service: Arc<Service>,
    router: Router,
    /// Waits and streams end with it.
    _stop: watch::Sender<bool>,
}

/// Why a store file is not opened for a call: a refusal, to be printed like a server's.
struct NotOpened(Refusal);

/// How a store file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading: works while a server holds the file.
    Read,
    /// Reading data that an action depends on: as [`Self::Read`], after checking the store's
    /// witness and settings.
    Act,
    /// Writing.
    Write,
    /// Writing; creates the file if it is missing.
    Create,
}

impl Transport {
    /// Makes a connection to a target.
    pub(super) fn new(target: &Target, global: &Global) -> Result<Self, Failure> {
        let kind = match target {
            Target::Store(store) => Kind::Local(Box::new(Local {
                store: store.clone(),
                runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
                kept: Mutex::default(),
            })),
            Target::Server(url) => {
                let token = global.token.as_deref();
                Kind::Remote(Box::new(Remote::new(url, token, &global.trust())?))
            }
        };
        let config = match target {
            Target::Store(_) => global.config()?,
            // The server has its own settings.
            Target::Server(_) => Config::default(),
        };
        Ok(Self {
            kind,
            verifier: Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?,
            keys: global.key_source(&config),
            config,
            json: global.json,
        })
    }

    /// Makes a connection to the server of a home file.
    pub(super) fn of_home(home: &Home, global: &Global) -> Result<Self, Failure> {
        let trust = Trust { ca: home.ca.clone(), ..global.trust() };
        let url = home.server.as_deref().unwrap_or_default();
        Ok(Self {
            kind: Kind::Remote(Box::new(Remote::new(url, home.token.as_deref(), &trust)?)),
            json: global.json,
            ..Self::to_server(url)?
        })
    }

    /// Makes a connection to a server in this process.
    pub(super) fn to_server(url: &str) -> Result<Self, Failure> {
        Ok(Self {
            kind: Kind::Remote(Box::new(Remote::new(url, None, &Trust::default())?)),
            verifier: Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?,
            keys: Arc::new(KeySource::fixed(Keys::default())),
            config: Config::default(),
            json: false,
        })
    }

    /// Returns the verifier of this process, with which an approver checks what a server shows.
    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Loads the keys of this machine.
    pub(super) fn keys(&self) -> Result<Keys, KeyError> {
        self.keys.load()
    }

    /// Returns the store file that calls go to; `None` for a server.
    pub(super) fn store_path(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Local(local) => Some(&local.store),
            Kind::Remote(_) => None,
        }
    }

    /// Returns whether the approvals are in a file on this machine.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Local(_))
    }

    /// Sends a GET request. Returns the response as text.
    pub(super) fn get(&self, path: &str) -> Result<String, Failure> {
        self.call(Method::GET, path, None, Access::Read)
    }

    /// Sends a GET request with [`Access::Act`]. Returns the response as text.
    pub(super) fn get_to_act(&self, path: &str) -> Result<String, Failure> {
        self.call(Method::GET, path, None, Access::Act)
    }

    /// Sends a GET request. Returns the response as bytes.
    pub(super) fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        self.call_bytes(Method::GET, path, Sent::default(), Access::Read)
    }

    /// Returns whether the target is a store file that does not exist.
    pub(super) fn has_no_store(&self) -> bool {
        match &self.kind {
            Kind::Local(local) => !local.store.try_exists().unwrap_or(true),
            Kind::Remote(_) => false,
        }
    }

    /// Sends a POST request with a JSON body. Returns the response as text.
    pub(super) fn post(&self, path: &str, body: String, access: Access) -> Result<String, Failure> {
        self.call(Method::POST, path, Some(body), access)
    }

    /// Sends a POST request with an `Idempotency-Key`: a repeat gets the answer of the first.
    pub(super) fn post_once(
        &self,
        path: &str,
        key: &str,
        body: String,
        access: Access,
    ) -> Result<String, Failure> {
        let sent = Sent { body: Some(body), key: Some(key) };
        text(self.call_bytes(Method::POST, path, sent, access)?)
    }

    /// Calls the API; a refusal is a failure.
    fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        access: Access,
    ) -> Result<String, Failure> {
        text(self.call_bytes(method, path, Sent { body, key: None }, access)?)
    }

    fn call_bytes(
        &self,
        method: Method,
        path: &str,
        sent: Sent<'_>,
        access: Access,
    ) -> Result<Vec<u8>, Failure> {
        let (status, answer) = match &self.kind {
            Kind::Local(local) => {
                local.runtime.block_on(self.local(local, method, path, sent, access))?
            }
            Kind::Remote(remote) => remote.send(&method, path, sent)?,
        };
        self.answered(status, answer)
    }

    /// Returns a successful answer; a refusal is a failure.
    fn answered(&self, status: u16, answer: Vec<u8>) -> Result<Vec<u8>, Failure> {
        answered(status, answer, self.json).map_err(|failure| match failure {
            Failure::Refused { problem, json } => {
                Failure::Refused { problem: self.with_hint(problem), json }
            }
            failure => failure,
        })
    }

    /// Adds where a token comes from to the refusal of a call without one.
    fn with_hint(&self, problem: Problem) -> Problem {
        let Kind::Remote(remote) = &self.kind else { return problem };
        if problem.code != Code::UNAUTHENTICATED.text {
            return problem;
        }
        let hint = match remote.has_token() {
            false => {
                "no token was sent: set SIGNOFF_TOKEN, give --token-file FILE, or run `signoff login URL`"
            }
            true => {
                "the token that was sent is not accepted; it is that of --token, --token-file, SIGNOFF_TOKEN, SIGNOFF_TOKEN_FILE or `signoff login`, in this order"
            }
        };
        Problem { detail: format!("{}; {hint}", problem.detail), ..problem }
    }

    /// Sends a POST request, and passes the bytes of a successful response on as they arrive.
    ///
    /// Errors: those of the call; a response that is shorter than it says; those of `take`.
    pub(super) fn download(
        &self,
        path: &str,
        body: String,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), Failure> {
        let (status, answer) = match &self.kind {
            Kind::Remote(remote) => remote.download(path, body, &mut take)?,
            Kind::Local(local) => local.runtime.block_on(async {
                let post = Method::POST;
                let session = match self.session(local, &post, Access::Write).await? {
                    Ok(session) => session,
                    Err(NotOpened(refusal)) => return as_problem(&refusal),
                };
                let response =
                    respond(&session, post, path, Sent { body: Some(body), key: None }).await?;
                let status = response.status().as_u16();
                if !response.status().is_success() {
                    return Ok((status, problem_of(response).await?));
                }
                let mut body = response.into_body();
                while let Some(frame) = body.frame().await {
                    if let Ok(bytes) = frame?.into_data() {
                        take(&bytes)?;
                    }
                }
                Ok::<_, anyhow::Error>((status, Vec::new()))
            })?,
        };
        self.answered(status, answer).map(drop)
    }

    /// Keeps the store file open between calls, for a command with many of them. Other processes cannot
    /// write to it meanwhile.
    pub(super) fn keep_open(&self) -> Result<(), Failure> {
        let Kind::Local(local) = &self.kind else { return Ok(()) };
        let opened =
            local.runtime.block_on(self.opened_session(local, &Method::POST, Access::Write));
        match opened? {
            Ok(session) => {
                *local.kept.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Arc::new(session));
                Ok(())
            }
            Err(NotOpened(refusal)) => {
                Err(Failure::Refused { problem: refusal.problem(), json: self.json })
            }
        }
    }

    /// Makes one call over the store file.
    async fn local(
        &self,
        local: &Local,
        method: Method,
        path: &str,
        sent: Sent<'_>,
        access: Access,
    ) -> Result<(u16, Vec<u8>)> {
        let session = match self.session(local, &method, access).await? {
            Ok(session) => session,
            Err(NotOpened(refusal)) => return as_problem(&refusal),
        };
        let response = respond(&session, method, path, sent).await?;
        let status = response.status().as_u16();
        let body = problem_of(response).await?;
        session.service.guardrails.compare_queued().await;
        Ok((status, body))
    }

    /// Returns the store file with the API over it: the one that is kept open, or a new one.
    async fn session(
        &self,
        local: &Local,
        method: &Method,
        access: Access,
    ) -> Result<Result<Arc<Session>, NotOpened>> {
        let kept = local.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept {
            return Ok(Ok(kept));
        }
        Ok(self.opened_session(local, method, access).await?.map(Arc::new))
    }

    /// Opens the store file. It is closed with the session, so that another process can use it between
    /// calls.
    async fn opened_session(
        &self,
        local: &Local,
        method: &Method,
        access: Access,
    ) -> Result<Result<Session, NotOpened>> {
        let store = Arc::new(self.opened(&local.store, access).await?);
        let service = self.service(&store).await?;
        // Read-only display does not need the witness.
        if method != Method::GET || access == Access::Act {
            match access {
                Access::Read | Access::Act => {
                    service.start.check_recorded_witness().await?;
                    if let Err(refusal) = service.may_decide().await {
                        return Ok(Err(NotOpened(refusal)));
                    }
                }
                Access::Write | Access::Create => {
                    if let Some(witness) = service.start.attend_recorded_witness().await? {
                        store.watch_with(witness);
                    }
                }
            }
        }
        let (stop, stopping) = watch::channel(false);
        let service = Arc::new(service);
        let app = App::new(Arc::clone(&service), Arc::default(), stopping, Origin::InProcess);
        Ok(Ok(Session { service, router: api::router(app), _stop: stop }))
    }

    /// Makes a service over an open store file.
    async fn service(&self, store: &Arc<RedbStore>) -> Result<Service> {
        let keys = match self.keys() {
            // Commands that need no key work without one.
            Err(KeyError::None) => Arc::new(KeySource::fixed(Keys::default())),
            keys => keys.map(|_| Arc::clone(&self.keys))?,
        };
        let service = Service::new(
            Arc::clone(store) as Arc<dyn Store>,
            self.verifier.clone(),
            Loader::with(Allocation::OnDemand, Cache::of_user(), Compiler::Apart),
            keys,
            Arc::new(SystemClock),
            self.config.clone(),
        );
        Ok(service.await?)
    }

    /// Returns the checks that a server's start makes of the store file; `None` for a remote
    /// server.
    pub(super) fn start_checks(&self) -> Result<Option<Standing>> {
        let Kind::Local(local) = &self.kind else { return Ok(None) };
        local.runtime.block_on(async {
            let store = Arc::new(self.opened(&local.store, Access::Read).await?);
            Ok(Some(self.service(&store).await?.start.standing().await))
        })
    }

    /// Returns the unfinished approvals of the store file with a ballot whose key is gone; none for a
    /// remote server.
    pub(super) fn lost_keys(&self) -> Result<Vec<LostKey>> {
        let Kind::Local(local) = &self.kind else { return Ok(Vec::new()) };
        local.runtime.block_on(async {
            let store = Arc::new(self.opened(&local.store, Access::Read).await?);
            Ok(self.service(&store).await?.approvals.with_lost_keys().await?)
        })
    }

    /// Opens the store file. It is created only if none exists and none was lost.
    async fn opened(&self, store: &Path, access: Access) -> Result<RedbStore> {
        let mode = match access {
            Access::Read | Access::Act => OpenMode::Read,
            Access::Write => OpenMode::Write,
            Access::Create => OpenMode::Create { audience: AUDIENCE_DEFAULT.to_owned() },
        };
        let keys = match self.keys() {
            Err(KeyError::None) => Keys::default(),
            keys => keys?,
        };
        not_lost(store, &keys)?;
        Ok(open_patiently(store, &mode, &crate::keys::trust(&self.keys)).await?)
    }

    /// Returns one approval, by its id or a unique prefix of it.
    pub(super) fn approval(&self, id: &str) -> Result<Approval, Failure> {
        let id = self.resolve(id)?;
        self.approval_of(&id, &self.get(&format!("/api/v1/approvals/{id}"))?)
    }

    /// Resolves a unique prefix of an id.
    pub(super) fn resolve(&self, id: &str) -> Result<String, Failure> {
        if ApprovalId::parse(id).is_some() {
            return Ok(id.to_owned());
        }
        let Some((first, last)) = ApprovalId::prefix_range(id) else {
            return Err(self.refused(Code::NOT_FOUND, format!("`{id}` is not an approval id")));
        };
        let has_prefix =
            |id: &str| ApprovalId::parse(id).is_some_and(|id| (first..=last).contains(&id));
        let found: api::List =
            self.parse(&self.get(&format!("/api/v1/approvals?prefix={id}&limit=2"))?)?;
        match found.items.as_slice() {
            [one] if has_prefix(&one.id) => Ok(one.id.clone()),
            [_] => Err(self.refused(
                Code::NOT_FOUND,
                format!("the server's answer is not an approval whose id begins with `{id}`"),
            )),
            [] => {
                Err(self.refused(Code::NOT_FOUND, format!("no approval's id begins with `{id}`")))
            }
            _ => Err(Failure::usage(format!("more than one approval's id begins with `{id}`"))),
        }
    }

    /// Deserializes an approval, which must be the one that was requested.
    pub(super) fn approval_of(&self, id: &str, answer: &str) -> Result<Approval, Failure> {
        let approval: Approval = self.parse(answer)?;
        if approval.id == id {
            return Ok(approval);
        }
        let detail =
            format!("requested `{id}`, but the server returned `{}`; sign nothing", approval.id);
        Err(self.refused(Code::NOT_FOUND, detail))
    }

    /// Deserializes a response.
    pub(super) fn parse<T: DeserializeOwned>(&self, answer: &str) -> Result<T, Failure> {
        serde_json::from_str(answer)
            .context("the server's response is not in the format of this version")
            .map_err(Failure::Failed)
    }

    /// Returns a JSON text as a field of a body. The verifier of this process canonicalizes it
    /// first, so that errors refer to the original bytes.
    pub(super) fn field(&self, name: &str, text: &str) -> Result<String, Failure> {
        Ok(format!("\"{name}\":{}", self.canonical(text)?))
    }

    /// Returns the canonical form of a context or plan.
    pub(super) fn canonical(&self, text: &str) -> Result<String, Failure> {
        call_verifier(self.json, || self.verifier.canonicalize(text))
    }

    /// Makes the refusal `not-found` by the command itself, for something other than an approval.
    pub(super) fn missing(&self, what: Missing, detail: impl Into<String>) -> Failure {
        Failure::Refused { problem: Refusal::missing(what, detail).problem(), json: self.json }
    }

    /// Makes a refusal by the command itself, printed like a server's.
    pub(super) fn refused(&self, code: Code, detail: impl Into<String>) -> Failure {
        Failure::Refused { problem: Refusal::new(code, detail).problem(), json: self.json }
    }
}

/// Returns an answer as text.
fn text(answer: Vec<u8>) -> Result<String, Failure> {
    Ok(String::from_utf8(answer)?.trim_end().to_owned())
}

/// Returns the body of a successful response; any other is a failure.
pub(super) fn answered(status: u16, answer: Vec<u8>, json: bool) -> Result<Vec<u8>, Failure> {
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    match serde_json::from_slice::<Problem>(&answer) {
        Ok(problem) => Err(Failure::Refused { problem, json }),
        Err(_) => {
            Err(Failure::Failed(anyhow!("the server returned status {status} without a reason")))
        }
    }
}

/// Calls the verifier; a rejection is reported like a refusal of the API.
pub(super) fn call_verifier<T>(
    json: bool,
    call: impl FnOnce() -> Result<T, verifier::Failure>,
) -> Result<T, Failure> {
    call().map_err(|failure| match failure {
        verifier::Failure::Rejected(_) => {
            Failure::Refused { problem: Refusal::from(failure).problem(), json }
        }
        verifier::Failure::Trapped(_) => Failure::Failed(failure.into()),
    })
}

/// Calls the API over an open store file.
async fn respond(
    session: &Session,
    method: Method,
    path: &str,
    sent: Sent<'_>,
) -> Result<Response> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(key) = sent.key {
        request = request.header(IDEMPOTENCY_KEY, key);
    }
    let request = request
        .body(sent.body.map_or_else(Body::empty, Body::from))
        .context("malformed request path")?;
    Ok(session.router.clone().oneshot(request).await?)
}

/// Returns the body of a response. This process has no log, and whoever reads its output may read the
/// store, so a problem names its cause.
async fn problem_of(response: Response) -> Result<Vec<u8>> {
    let failed = response.extensions().get::<FailureReason>().cloned();
    let body: Vec<u8> = response.into_body().collect().await?.to_bytes().into();
    let Some(FailureReason(reason)) = failed else { return Ok(body) };
    let problem = Problem { detail: reason, ..serde_json::from_slice(&body)? };
    Ok(serde_json::to_vec(&problem)?)
}

/// Returns the response that a server would give.
fn as_problem(refusal: &Refusal) -> Result<(u16, Vec<u8>)> {
    let problem = Problem { detail: refusal.reason(), ..refusal.clone().problem() };
    Ok((refusal.code.status, serde_json::to_vec(&problem)?))
}

/// Opens a store file, with retries: another command releases it soon, a server does not.
async fn open_patiently(
    path: &Path,
    mode: &OpenMode,
    trust: &store::Trust,
) -> Result<RedbStore, StoreError> {
    for _ in 0..20 {
        match RedbStore::open(path, mode.clone(), CheckIntegrity::No, trust.clone()) {
            Err(StoreError::Held) => tokio::time::sleep(Duration::from_millis(50)).await,
            opened => return opened,
        }
    }
    RedbStore::open(path, mode.clone(), CheckIntegrity::No, trust.clone())
}
