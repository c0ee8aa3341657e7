//! Requests human approval for an action, verifies it offline, and runs the action at most once.
//!
//! [`Client::guard`] is the whole flow in one call; [`blocking::Client`] is the same without async. The
//! verifier is ordinary Rust, [`signoff_verify`], in this process: no server is trusted to say that
//! something was approved.
//!
//! ```no_run
//! # async fn deploy(target: &str) -> std::io::Result<()> { Ok(()) }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use serde_json::json;
//! use signoff_client::{Action, Client, Context, Error, GuardError};
//!
//! // The server, the token, the deployment's name and the approvers' public keys come from
//! // SIGNOFF_SERVER, SIGNOFF_TOKEN, SIGNOFF_AUDIENCE and SIGNOFF_KEYS.
//! let client = Client::from_env()?;
//! let context = Context::new(&json!({"target": "prod", "replicas": 3}))?;
//! let action = Action::new("deployer", "deploy", context).reason("release 1.4");
//!
//! let done = client
//!     .guard(action, |execution| async move {
//!         // What was approved, and what runs.
//!         let approved: serde_json::Value = execution.context().map_err(std::io::Error::other)?;
//!         deploy(approved["target"].as_str().unwrap_or_default()).await
//!     })
//!     .await;
//! match done {
//!     Ok(()) => println!("deployed"),
//!     Err(GuardError::NotRun(Error::Rejected(why))) => println!("no: {:?}", why.comment),
//!     Err(GuardError::NotRun(why)) => println!("nothing ran: {why}"),
//!     Err(GuardError::Failed(e)) => println!("it ran and failed: {e}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What a server that lies can still do
//!
//! With pinned keys, it can withhold answers, hide a withdrawal, a revocation or an earlier claim, let
//! two processes claim one approval, name an execution of its own, whose report then fails, and word
//! what nobody signs. Its log proves the last claim afterwards. Without pinned keys, the server is trusted.

mod action;
mod answers;
mod approval;
mod ballot;
pub mod blocking;
mod builder;
mod call;
mod client;
mod clock;
mod context;
mod encode;
mod error;
mod events;
mod filter;
mod guard;
mod random;
mod retry;
mod settings;
mod transport;
mod wait;

pub use action::Action;
pub use answers::{Decision, Evaluation, Verification};
pub use approval::{Approval, Page, Status};
pub use ballot::Ballot;
pub use builder::ClientBuilder;
pub use call::Call;
pub use client::{Client, Outcome};
pub use context::Context;
pub use error::{Error, Problem};
pub use events::{Event, Events};
pub use filter::Filter;
pub use guard::{Execution, GuardError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The offline verifier, and the types that a client's settings take from it.
pub use signoff_verify as verify;
