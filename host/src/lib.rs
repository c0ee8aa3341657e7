//! signoff: human approval for high-risk agent actions, checked by one verified WebAssembly
//! component.
//!
//! The host embeds the verifier and decides nothing about an approval itself: it provides time, keys
//! and a store, and calls the verifier. `api` and `cli` call the parts of [`service`], and these call
//! `verifier`, `policy`, `engine` and `store`; dependencies never point back.
//! `ARCHITECTURE.md` follows one approval through the code.

pub mod api;
pub mod approvals;
pub mod audit;
pub mod authzen;
pub mod caller;
pub mod cli;
pub mod clock;
pub mod code;
pub mod config;
mod core_dump;
pub mod endpoint;
pub mod engine;
mod folder;
pub mod guardrails;
pub mod id;
pub mod identity;
mod json_text;
pub mod keys;
pub mod ledger;
pub mod log_key;
pub mod logging;
mod mcp;
pub mod measure;
pub mod modules;
pub mod policy;
pub mod private_file;
mod rate;
pub mod refusal;
pub mod server;
pub mod service;
pub mod settings;
pub mod start;
pub mod store;
pub mod upkeep;
pub mod verifier;

pub use signoff_core::role;
