//! The HTTP API: thin handlers over the service. [`router`] builds it; `server` serves it over
//! HTTP, and the CLI calls the same router in process to work on a store file.

mod access;
mod approval;
mod approvals;
mod attempts;
mod authzen;
mod body;
mod command;
mod connection;
mod denials;
mod document;
mod enums;
mod events;
mod guard;
mod guardrails;
mod health;
mod held;
mod index;
mod log;
mod metrics;
mod modules;
mod observe;
mod params;
mod problem;
mod reply;
mod request_id;
mod requests;
mod routes;
mod shown;
mod store;
mod tokens;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;

use crate::service::Service;

use denials::Denials;
use held::HeldRequests;
use observe::{AccessLog, Failures};

pub(crate) use guard::is_loopback_name;

pub use approval::{Approval, Ballot, Execution, List, Requirement, Verification};
pub use attempts::{RecordedAttempt, RecordedAttempts};
pub use authzen::{
    AccessApproval, AccessDecision, AccessDecisions, AccessError, AccessExecution, AccessRequest,
    AccessResult, AccessTask, AccessTaskState, DecisionContext, Display, PdpMetadata, TaskLinks,
    TaskProgress,
};
pub use connection::Connection;
pub(crate) use connection::peer_of;
pub use document::document;
pub use enums::{
    ApprovalStatus, BallotDecision, ExecutionOutcome, KeyAlgorithm, KeyStatus, KeyUse, ModuleSlot,
    ModuleState, ReportedOutcome, SignatureProfile, ViolationType,
};
pub use guardrails::{Details, Evaluation};
pub use held::HELD_OF_SUBJECT_MAX;
pub use metrics::{CertificateTimes, ConnectionFailure, Metrics};
pub use problem::{FailureReason, Problem, ProblemType};
pub use request_id::RequestId;
pub use routes::{Access, ROUTES, Route};
pub use shown::{
    ActivePolicy, AuditEntry, AuditEvent, AuditPage, FlipCounts, Flips, Health, JsonObject, Key,
    Keys, LogKey, LogKeys, LogProof, ModuleActivation, ModuleShown, ModulesShown, NumberedEntry,
    Payload, Readiness, Receipt, ReceiptApproval, ReceiptEntry, ReceiptExecution, Recorded,
    RemovedModule, RequestedRequirement, ServerIndex, SignedPolicy, SlotShown, Tokens, WrittenRow,
};
pub use store::{CompactedShown, PrunableList, PrunableShown, PrunedShown};
pub use tokens::TokenShown;

/// Maximum size of a request body: a context and a plan of 1 MiB each, plus headroom.
pub const BODY_BYTES_MAX: usize = 5 << 19;

/// The state that all handlers share.
#[derive(Clone)]
pub struct App {
    /// The operations.
    pub service: Arc<Service>,
    /// The metrics of `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Becomes true when the server stops; waits and streams then end.
    pub stopping: watch::Receiver<bool>,
    /// Where requests come from.
    pub origin: Origin,
    held: Arc<HeldRequests>,
    denials: Arc<Denials>,
    access_log: Arc<AccessLog>,
    failures: Arc<Failures>,
    /// Whether the log names the address that a proxy adds.
    behind_proxy: bool,
    /// Whether clients reach it over TLS.
    is_encrypted: bool,
}

impl App {
    /// Makes the state of a router.
    pub fn new(
        service: Arc<Service>,
        metrics: Arc<Metrics>,
        stopping: watch::Receiver<bool>,
        origin: Origin,
    ) -> Self {
        Self {
            service,
            metrics,
            stopping,
            origin,
            held: Arc::default(),
            denials: Arc::default(),
            access_log: Arc::default(),
            failures: Arc::default(),
            behind_proxy: false,
            is_encrypted: false,
        }
    }

    /// Sets whether a reverse proxy is in front, which adds the client's address.
    #[must_use]
    pub fn behind_proxy(self, behind_proxy: bool) -> Self {
        Self { behind_proxy, ..self }
    }

    /// Sets whether clients reach it over TLS, its own or a proxy's: URLs in answers then begin with
    /// `https`.
    #[must_use]
    pub fn encrypted(self, is_encrypted: bool) -> Self {
        Self { is_encrypted, ..self }
    }
}

/// Where requests come from. It decides whether a caller must authenticate, so only the code that
/// builds the router sets it, never a flag or setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A listener. Callers authenticate. Without tokens only loopback names are accepted as `Host`,
    /// so that a page in the user's browser cannot call the API by resolving its own name to this
    /// machine.
    Network,
    /// This process: a command that works on a store file, and whose user can write the file
    /// anyway. No token and no `Host` is required.
    InProcess,
}

/// Builds the API: every route of [`ROUTES`], with its limits.
pub fn router(app: App) -> Router {
    routes::handlers()
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        // The first layer of a tuple is the outermost. One `layer` call for several layers saves
        // each request some allocations.
        .layer((DefaultBodyLimit::disable(), CatchPanicLayer::custom(problem::panicked)))
        .route_layer((
            middleware::map_response(observe::answered_in_time),
            middleware::from_fn_with_state(app.clone(), access::authorize),
        ))
        .layer((
            middleware::from_fn(request_id::identify),
            middleware::from_fn_with_state(app.clone(), observe::observe),
            middleware::from_fn_with_state(app.clone(), guard::guard),
        ))
        .with_state(app)
}
