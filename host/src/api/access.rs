//! Who may call what: every route with the roles that it is for. A route that is not in the table
//! answers nobody.

use axum::RequestExt;
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::params::Id;
use super::{App, Hosts, RequestId, body, problem};
use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::role::Role::{self, Admin, Approver, Auditor, Executor, Policy, Requester};
use crate::service::{Caller, Refused};

/// Whom a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// Everybody, without a token.
    Everybody,
    /// Holders of one of these roles.
    Roles(&'static [Role]),
}

/// Who reads approvals: all of them, or their own.
const READERS: For = For::Roles(&[Requester, Approver, Executor, Auditor, Admin]);
/// Who checks the log.
const LOG: For = For::Roles(&[Auditor, Admin]);
/// Who may know how large the log is, and whose key signs it.
const ANYBODY_KNOWN: For = For::Roles(&[Requester, Approver, Executor, Auditor, Policy, Admin]);
/// Who may know what serves.
const MODULES: For = For::Roles(&[Auditor, Policy, Admin]);
/// Who ships modules: which slot is for whom, the service says.
const SHIPPERS: For = For::Roles(&[Policy, Admin]);
const ADMIN: For = For::Roles(&[Admin]);

/// Every route: method, path, whom it is for.
pub const ROUTES: &[(&str, &str, For)] = &[
    ("POST", "/api/v1/approvals", For::Roles(&[Requester])),
    ("GET", "/api/v1/approvals", READERS),
    ("GET", "/api/v1/approvals/{id}", READERS),
    ("POST", "/api/v1/approvals/{id}/approve", For::Roles(&[Approver])),
    ("POST", "/api/v1/approvals/{id}/reject", For::Roles(&[Approver])),
    ("POST", "/api/v1/approvals/{id}/verify", READERS),
    ("POST", "/api/v1/approvals/{id}/execute", For::Roles(&[Executor])),
    ("POST", "/api/v1/approvals/{id}/outcome", For::Roles(&[Executor, Admin])),
    ("POST", "/api/v1/approvals/{id}/withdraw", For::Roles(&[Requester, Approver, Admin])),
    ("POST", "/api/v1/approvals/{id}/extend", For::Roles(&[Approver, Admin])),
    ("GET", "/api/v1/approvals/{id}/payload", READERS),
    ("GET", "/api/v1/approvals/{id}/receipt", READERS),
    ("GET", "/api/v1/audit", LOG),
    ("GET", "/api/v1/audit/checkpoint", ANYBODY_KNOWN),
    ("GET", "/api/v1/audit/keys", ANYBODY_KNOWN),
    ("GET", "/api/v1/audit/proof", LOG),
    ("GET", "/api/v1/events", For::Roles(&[Approver, Auditor, Admin])),
    ("POST", "/api/v1/guardrails/evaluate", For::Roles(&[Requester, Executor])),
    ("GET", "/api/v1/keys", For::Roles(&[Approver, Auditor, Admin])),
    ("GET", "/api/v1/modules", MODULES),
    ("POST", "/api/v1/modules", SHIPPERS),
    ("GET", "/api/v1/modules/{digest}", MODULES),
    ("GET", "/api/v1/modules/{digest}/wasm", MODULES),
    ("POST", "/api/v1/modules/{digest}/activate", SHIPPERS),
    ("POST", "/api/v1/modules/{digest}/shadow", SHIPPERS),
    ("POST", "/api/v1/modules/{digest}/remove", SHIPPERS),
    ("GET", "/api/v1/modules/{slot}/flips", MODULES),
    ("POST", "/api/v1/modules/{slot}/rollback", SHIPPERS),
    ("POST", "/api/v1/modules/{slot}/unshadow", SHIPPERS),
    ("POST", "/api/v1/tokens", ADMIN),
    ("GET", "/api/v1/tokens", ADMIN),
    ("POST", "/api/v1/tokens/{id}/revoke", ADMIN),
    ("GET", "/healthz", For::Everybody),
    ("GET", "/readyz", For::Everybody),
    ("GET", "/metrics", LOG),
    ("GET", "/openapi.json", For::Everybody),
];

/// Lets a request through to its handler, with its caller, if the table has it so. A refusal of a
/// known caller who tried to change something is kept in the audit.
pub(super) async fn authorize(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = Asked::of(&mut request).await;
    let Some(whom) = asked.whom() else {
        return asked.no_such(request.into_body()).await;
    };
    let token = bearer(request.headers()).map(|token| token.map(str::to_owned));
    let caller = match admitted(&app, &asked, whom, token).await {
        Ok(caller) => caller,
        Err((caller, refusal)) => {
            if let Some(caller) = caller {
                asked.keep_refusal(&app, &caller, refusal.code).await;
            }
            body::discard(request.into_body()).await;
            return challenged(refusal);
        }
    };
    request.extensions_mut().insert(caller.clone());
    let response = next.run(request).await;
    // The registry tells its own refusals, with the module.
    if let Some(code) = response.extensions().get::<Code>()
        && !asked.route.starts_with("/api/v1/modules")
    {
        asked.keep_refusal(&app, &caller, *code).await;
    }
    response
}

/// What is asked for, apart from the body.
struct Asked {
    method: Method,
    uri: Uri,
    route: String,
    approval: Option<ApprovalId>,
    request_id: Option<String>,
}

impl Asked {
    async fn of(request: &mut Request) -> Self {
        // As the handler reads it: the path itself may write its characters as `%XX`.
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

    /// HEAD is answered as GET, without the body.
    fn verb(&self) -> &str {
        if self.method == Method::HEAD { "GET" } else { self.method.as_str() }
    }

    fn whom(&self) -> Option<For> {
        let row = ROUTES.iter().find(|(m, path, _)| *m == self.verb() && *path == self.route);
        row.map(|(_, _, whom)| *whom)
    }

    async fn no_such(self, body: Body) -> Response {
        match ROUTES.iter().any(|(_, path, _)| *path == self.route) {
            true => problem::no_such_method(self.method, self.uri, body).await,
            false => problem::no_such_route(self.method, self.uri, body).await,
        }
    }

    /// Keeps a refusal in the audit, if it is one of trust and not of form.
    async fn keep_refusal(&self, app: &App, caller: &Caller, code: Code) {
        let of_trust = matches!(code.status, 403 | 409)
            || [Code::SIGNATURE_MALFORMED, Code::STATEMENT_AMBIGUOUS].contains(&code);
        if self.method != Method::POST || !of_trust {
            return;
        }
        let operation = format!("{} {}", self.method, self.route);
        let refused = Refused { operation: &operation, approval: self.approval, code };
        // The caller is refused whether or not this can be kept.
        let _ = app.service.record_refusal(caller, refused).await;
    }
}

/// Who calls, if they may. A refusal comes with the caller where they are known.
///
/// Refusals: 1. `unauthenticated` 2. `forbidden` for another role
async fn admitted(
    app: &App,
    asked: &Asked,
    whom: For,
    token: Result<Option<String>, Refusal>,
) -> Result<Caller, (Option<Caller>, Refusal)> {
    let unknown = |refusal| (None, refusal);
    let identified = |caller: Caller| match &asked.request_id {
        Some(id) => caller.in_request(id),
        None => caller,
    };
    let roles = match whom {
        For::Roles(roles) if app.hosts != Hosts::Any => roles,
        _ => return Ok(identified(Caller::local())),
    };
    let token = token.map_err(unknown)?;
    let caller = app.service.authenticate(token.as_deref()).await.map_err(unknown)?;
    let caller = identified(caller);
    if caller.has_one_of(roles) {
        return Ok(caller);
    }
    let needed: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let detail = format!("this needs the role {}", needed.join(" or "));
    Err((Some(caller), Refusal::new(Code::FORBIDDEN, detail)))
}

impl App {
    /// Whether a caller who was let in would be again, for waits and streams: a token may have been
    /// revoked meanwhile.
    ///
    /// Refusals: `unauthenticated`, `store-unavailable`.
    pub(super) async fn admits_still(&self, caller: &Caller) -> Result<(), Refusal> {
        match self.hosts {
            Hosts::Any => Ok(()),
            Hosts::Loopback => self.service.authenticate_again(caller).await,
        }
    }
}

/// The token of `Authorization: Bearer TOKEN`.
///
/// Refusals: `unauthenticated` for any other form, and for two.
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
        let missing = || Refusal::new(Code::UNAUTHENTICATED, "nobody is known to call");
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}
