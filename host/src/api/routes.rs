//! The route table: each route with its time limit, its roles and its handler. The router, the
//! access rules and the OpenAPI document are built from this one table.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;

use super::guard::{MODULE_TIME_MAX, REQUEST_TIME_MAX};
use super::{
    App, approvals, attempts, authzen, events, guardrails, health, index, log, modules, problem,
    shown, store, tokens,
};
use crate::role::Role::{self, Admin, Approver, Auditor, Executor, Policy, Requester};

/// A route: a method, a path, and who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET` or `POST`. A route for `GET` accepts `HEAD` too.
    pub method: &'static str,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone, without a token.
    Everyone,
    /// Callers with one of these roles.
    Roles(&'static [Role]),
}

use Access::{Everyone, Roles};

/// Callers who read approvals: all of them, or their own.
const READERS: Access = Roles(&[Requester, Approver, Executor, Auditor, Admin]);
/// Callers who check the audit log.
const LOG: Access = Roles(&[Auditor, Admin]);
/// Callers with any role: the size of the log and the key that signs it are not secret, and of attempts
/// each caller is shown what it may read.
const ANY_ROLE: Access = Roles(&[Requester, Approver, Executor, Auditor, Policy, Admin]);
/// Callers who read modules.
const MODULES: Access = Roles(&[Auditor, Policy, Admin]);
/// Callers who change modules. The registry requires the role of the slot.
const SHIPPERS: Access = Roles(&[Policy, Admin]);
const ADMIN: Access = Roles(&[Admin]);

macro_rules! method {
    (get) => {
        "GET"
    };
    (post) => {
        "POST"
    };
}

macro_rules! routes {
    ($($time:expr => {
        $($verb:ident $path:literal $access:expr => $module:ident::$handler:ident;)*
    })*) => {
        /// Every route. Any other path returns 404 to every caller.
        pub const ROUTES: &[Route] = &[
            $($(Route { method: method!($verb), path: $path, access: $access },)*)*
        ];

        /// The handlers of all routes.
        pub(super) fn handlers() -> Router<App> {
            Router::new()
                $(.merge(within($time, Router::new()
                    $(.route($path, $verb($module::$handler)))*)))*
        }

        #[derive(OpenApi)]
        #[openapi(
            info(
                title = "signoff",
                license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
            ),
            paths($($($module::$handler,)*)*),
            components(schemas(problem::Problem, shown::AuditEntry))
        )]
        struct Document;
    };
}

routes! {
    Some(REQUEST_TIME_MAX) => {
        post "/api/v1/approvals" Roles(&[Requester]) => approvals::create;
        get "/api/v1/approvals" READERS => approvals::list;
        get "/api/v1/approvals/{id}" READERS => approvals::show;
        post "/api/v1/approvals/{id}/approve" Roles(&[Approver]) => approvals::approve;
        post "/api/v1/approvals/{id}/reject" Roles(&[Approver]) => approvals::reject;
        post "/api/v1/approvals/{id}/verify" READERS => approvals::verify;
        post "/api/v1/approvals/{id}/execute" Roles(&[Executor]) => approvals::execute;
        post "/api/v1/approvals/{id}/outcome" Roles(&[Executor, Admin]) => approvals::outcome;
        post "/api/v1/approvals/{id}/withdraw" Roles(&[Requester, Approver, Admin]) => approvals::withdraw;
        post "/api/v1/approvals/{id}/extend" Roles(&[Approver, Admin]) => approvals::extend;
        post "/api/v1/approvals/{id}/erase" ADMIN => approvals::erase;
        get "/api/v1/approvals/{id}/payload" READERS => approvals::payload;
        get "/api/v1/approvals/{id}/receipt" READERS => approvals::receipt;
        post "/api/v1/guardrails/evaluate" Roles(&[Requester, Executor]) => guardrails::evaluate;
        get "/api/v1/guardrails/policy" Roles(&[Requester, Executor]) => guardrails::policy;
        get "/api/v1/guardrails/policy/{digest}/wasm" Roles(&[Requester, Executor]) => guardrails::policy_wasm;
        get "/api/v1/guardrails/attempts" ANY_ROLE => attempts::list;
        post "/api/v1/guardrails/decisions" Roles(&[Requester, Executor]) => guardrails::report;
        post "/access/v1/evaluation" Roles(&[Requester, Executor]) => authzen::evaluate;
        post "/access/v1/evaluations" Roles(&[Requester, Executor]) => authzen::evaluate_all;
        post "/access/v1/requests" Roles(&[Requester]) => authzen::submit;
        get "/access/v1/requests/{id}" READERS => authzen::task;
        post "/access/v1/requests/{id}/cancel" Roles(&[Requester, Approver, Admin]) => authzen::cancel;
        get "/api/v1/audit" LOG => events::audit;
        get "/api/v1/audit/checkpoint" ANY_ROLE => log::checkpoint;
        get "/api/v1/audit/keys" ANY_ROLE => log::keys;
        get "/api/v1/audit/proof" LOG => log::proof;
        get "/api/v1/events" Roles(&[Approver, Auditor, Admin]) => events::stream;
        get "/api/v1/keys" READERS => log::all_keys;
        post "/api/v1/tokens" ADMIN => tokens::create;
        get "/api/v1/tokens" ADMIN => tokens::list;
        post "/api/v1/tokens/{id}/revoke" ADMIN => tokens::revoke;
        get "/api/v1/store/prunable" ADMIN => store::prunable;
        post "/api/v1/store/prune" ADMIN => store::prune;
    }
    Some(MODULE_TIME_MAX) => {
        get "/api/v1/modules" MODULES => modules::list;
        post "/api/v1/modules" SHIPPERS => modules::push;
        get "/api/v1/modules/{digest}" MODULES => modules::inspect;
        get "/api/v1/modules/{digest}/wasm" MODULES => modules::wasm;
        post "/api/v1/modules/{digest}/activate" SHIPPERS => modules::activate;
        post "/api/v1/modules/{digest}/shadow" SHIPPERS => modules::shadow;
        post "/api/v1/modules/{digest}/remove" SHIPPERS => modules::remove;
        get "/api/v1/modules/{slot}/flips" MODULES => modules::flips;
        post "/api/v1/modules/{slot}/rollback" SHIPPERS => modules::rollback;
        post "/api/v1/modules/{slot}/unshadow" SHIPPERS => modules::unshadow;
    }
    // A store of any size is copied first.
    None => {
        post "/api/v1/store/backup" ADMIN => store::backup;
        post "/api/v1/store/compact" ADMIN => store::compact;
    }
    None => {
        get "/" Everyone => index::index;
        get "/healthz" Everyone => health::healthz;
        get "/readyz" Everyone => health::readyz;
        get "/metrics" LOG => health::metrics;
        get "/.well-known/authzen-configuration" Everyone => authzen::metadata;
        get "/openapi.json" Everyone => health::openapi;
    }
}

/// Adds a time limit to routes, after which they return 503.
fn within(time: Option<Duration>, routes: Router<App>) -> Router<App> {
    match time {
        Some(time) => {
            routes.layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, time))
        }
        None => routes,
    }
}

/// Returns what the handlers say of their operations.
pub(super) fn described() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
