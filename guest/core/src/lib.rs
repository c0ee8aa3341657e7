//! Code shared by the guests and the host: names, times, limits, rejections and their codes, strict
//! JSON, the canonical form of a context, and the formats of the audit log. Nothing here does I/O
//! or reads a clock.
//!
//! The verifier and the policy engine decide with this code. The host uses it too, and therefore
//! parses, compares and prints values as they do.

pub mod authoring;
pub mod base64;
pub mod codes;
pub mod context;
pub mod deceptive;
pub mod decision;
pub mod ed25519;
pub mod facts;
pub mod fingerprint;
pub mod glob;
pub mod hex;
pub mod limits;
pub mod log;
pub mod module;
pub mod name;
pub mod object;
#[cfg(target_arch = "wasm32")]
pub mod pages;
pub mod person;
pub mod rejection;
pub mod requirement;
pub mod role;
pub mod time;
pub mod verdict;
