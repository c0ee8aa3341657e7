//! Authentication and authorization: the route table lists the roles that may call each route. A
//! path that is not in the table returns 404, a method that its path does not have 405.

use std::sync::Arc;

use axum::RequestExt;
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::metrics::method_of;
use super::observe::RequestNotes;
use super::params::Id;
use super::routes::{Access, ROUTES, Route};
use super::{App, Connection, Origin, RequestId, body, problem};
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::ledger::Refused;
use crate::refusal::Refusal;
use crate::role::Role;

/// Authenticates the caller of a request and passes both to the handler, if the route table allows
/// it. Records refusals of authenticated callers in the audit log; see `keep_refusal`.
pub(super) async fn authorize(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let requested = Requested::of(&mut request).await;
    let Some(access) = requested.access() else {
        let (parts, body) = request.into_parts();
        return requested.no_such(parts.headers, body).await;
    };
    let token = bearer(request.headers()).map(|token| token.map(str::to_owned));
    let caller = match admitted(&app, &requested, access, token).await {
        Ok(caller) => caller,
        Err((caller, refusal)) => {
            match caller {
                Some(caller) => {
                    note(&request, &caller);
                    requested.keep_refusal(&app, &caller, refusal.code).await;
                }
                None => requested.log_denial(&app, &refusal, &request),
            }
            let (parts, body) = request.into_parts();
            body::discard(&parts.headers, body).await;
            return challenged(refusal);
        }
    };
    if access != Access::Everyone {
        note(&request, &caller);
    }
    if let Some(connection) = request.extensions().get::<Arc<Connection>>()
        && let Some(subject) = caller.proven_subject()
    {
        connection.identify(subject);
        if connection.is_reserved() && !caller.has(Role::Admin) {
            return full(request).await;
        }
    }
    request.extensions_mut().insert(caller.clone());
    let response = next.run(request).await;
    // The module registry records refusals itself, together with the module.
    if let Some(code) = response.extensions().get::<Code>()
        && !requested.route.starts_with("/api/v1/modules")
    {
        requested.keep_refusal(&app, &caller, *code).await;
    }
    response
}

/// Notes who calls, for the log.
fn note(request: &Request, caller: &Caller) {
    if let Some(notes) = request.extensions().get::<Arc<RequestNotes>>() {
        notes.identify(caller);
    }
}

/// The parts of a request that decide access, and that the audit log records.
struct Requested {
    method: Method,
    uri: Uri,
    route: String,
    approval: Option<ApprovalId>,
    request_id: Option<String>,
}

impl Requested {
    async fn of(request: &mut Request) -> Self {
        // Extracted as in the handler, decoded: the raw path may contain `%XX`.
        let approval = match request.extract_parts::<Id>().await {
            Ok(Id(approval)) => approval,
            Err(_) => None,
        };
        let matched = request.extensions().get::<MatchedPath>();
        let id = request.extensions().get::<RequestId>();
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            route: matched.map_or("", MatchedPath::as_str).to_owned(),
            approval,
            request_id: id.map(|id| id.as_str().to_owned()),
        }
    }

    /// Returns the method to find in the route table: `GET` for `HEAD`, otherwise the request's
    /// own.
    fn verb(&self) -> &str {
        if self.method == Method::HEAD { "GET" } else { self.method.as_str() }
    }

    fn access(&self) -> Option<Access> {
        let is_this = |route: &&Route| route.method == self.verb() && route.path == self.route;
        ROUTES.iter().find(is_this).map(|route| route.access)
    }

    async fn no_such(self, headers: HeaderMap, body: Body) -> Response {
        match ROUTES.iter().any(|route| route.path == self.route) {
            true => problem::no_such_method(self.method, self.uri, headers, body).await,
            false => problem::no_such_route(self.method, self.uri, headers, body).await,
        }
    }

    /// Logs a caller that was not authenticated. A token that someone tries after it was revoked
    /// leaves a trace.
    fn log_denial(&self, app: &App, refusal: &Refusal, request: &Request) {
        if refusal.code == Code::UNAUTHENTICATED {
            let connection = request.extensions().get::<Arc<Connection>>().map(Arc::as_ref);
            let operation = format!("{} {}", method_of(request), self.route);
            app.denials.log(refusal, connection, request.extensions().get(), &operation);
        }
    }

    /// Records the refusal of a change in the audit log, if its code concerns trust.
    async fn keep_refusal(&self, app: &App, caller: &Caller, code: Code) {
        if self.method.is_safe() || !code.concerns_trust() {
            return;
        }
        let operation = format!("{} {}", self.method, self.route);
        let refused = Refused { operation: &operation, approval: self.approval, code };
        // A failure to record it does not change the refusal.
        let _ = app.service.refusals.record(caller, refused).await;
    }
}

/// Returns the caller if it may call the route; otherwise the refusal, with the caller if it was
/// authenticated.
///
/// Refusals: 1. `unauthenticated`, `store-unavailable` 2. `forbidden` for a caller without one of
/// the roles
async fn admitted(
    app: &App,
    requested: &Requested,
    access: Access,
    token: Result<Option<String>, Refusal>,
) -> Result<Caller, (Option<Caller>, Refusal)> {
    let unknown = |refusal| (None, refusal);
    let identified = |caller: Caller| match &requested.request_id {
        Some(id) => caller.in_request(id),
        None => caller,
    };
    let roles = match access {
        Access::Roles(roles) if app.origin == Origin::Network => roles,
        _ => return Ok(identified(Caller::local())),
    };
    let token = token.map_err(unknown)?;
    let caller = app.service.tokens.authenticate(token.as_deref()).await.map_err(unknown)?;
    let caller = identified(caller);
    if caller.has_one_of(roles) {
        return Ok(caller);
    }
    let needed: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let detail = format!("this requires the role {}", needed.join(" or "));
    Err((Some(caller), Refusal::new(Code::FORBIDDEN, detail)))
}

impl App {
    /// Authenticates a caller again, for waits and streams: its token may have been revoked
    /// meanwhile.
    ///
    /// Refusals: `unauthenticated`, `store-unavailable`.
    pub(super) async fn admits_still(&self, caller: &Caller) -> Result<(), Refusal> {
        match self.origin {
            Origin::InProcess => Ok(()),
            Origin::Network => self.service.tokens.authenticate_again(caller).await,
        }
    }
}

/// Returns the token of `Authorization: Bearer TOKEN`.
///
/// Refusals: `unauthenticated` for a malformed or duplicate header.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let refused = || Refusal::new(Code::UNAUTHENTICATED, "expected `Authorization: Bearer TOKEN`");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused());
    }
    let (scheme, token) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(refused)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused());
    }
    Ok(Some(token.trim()))
}

/// Refuses a request over one of the last connections, and closes it.
async fn full(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    body::discard(&parts.headers, body).await;
    let why = "too many connections are open; the last ones are for admins";
    let mut response = Refusal::new(Code::RATE_LIMITED, why).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn challenged(refusal: Refusal) -> Response {
    let mut response = refusal.into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let missing = || Refusal::new(Code::UNAUTHENTICATED, "authentication required");
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}
