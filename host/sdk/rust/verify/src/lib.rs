//! Verifies signoff approvals in Rust, offline.
//!
//! An *executor* requests an approval before it acts, and verifies it before it executes. This
//! crate is the verifier of signoff as ordinary Rust: the same source that every server runs as a
//! WebAssembly component, without a runtime, a clock, random numbers, files or sockets. The crate
//! `signoff-client` adds the HTTP client, and the whole flow in one call; an executor with an HTTP
//! client of its own needs only this crate, and `examples/executor.rs` is one over `std::net`.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (keys, shown) = (include_str!("../tests/data/keyring.json"), include_str!("../tests/data/approval.json"));
//! use std::time::SystemTime;
//!
//! use signoff_verify::{Attempt, Expectations, Floor, Keyring, Verifier};
//!
//! // From the executor's own settings: the approvers' public keys, as `signoff key generate` prints them.
//! let keyring = Keyring::from_json(keys)?;
//! // At least two approvers, regardless of the requirement shown by the server.
//! let expectations = Expectations::default().floor(Floor::default().threshold(2));
//! // The action to run: the texts that were requested.
//! let context = r#"{"file": "config/production.yaml", "changes_count": 1500, "risk_score": 85}"#;
//! let attempt = Attempt::new("knowledge_update", "apply", context)
//!     .with_plan(r#"{"steps": ["read", "write"]}"#);
//!
//! let now = SystemTime::now();
//! # let now = 1_760_698_001_u64;
//! let verified = Verifier::new().verify_approval(
//!     shown, // the unmodified response of `GET /api/v1/approvals/{id}`
//!     "appr_01k7s2e3m8q4w6x9y0z1a2b3c4", // the requested approval
//!     "prod",
//!     &attempt,
//!     &keyring,
//!     &expectations,
//!     now,
//! )?;
//! // Claim it at the server, then run the action on the canonical context.
//! assert!(verified.context().starts_with(r#"{"changes_count": 1500"#));
//! assert_eq!(verified.approvers().len(), 2);
//!
//! // Anything else is refused, with a stable code.
//! let other = Attempt::new("knowledge_update", "apply", "{}");
//! let refused = Verifier::new()
//!     .verify_approval(shown, verified.approval_id(), "prod", &other, &keyring, &expectations, now)
//!     .unwrap_err();
//! assert_eq!(refused.code(), "context-mismatch");
//! # Ok(())
//! # }
//! ```
//!
//! # What is proven
//!
//! People with keys in `keyring`, in the number and groups required by the approval and by
//! [`Expectations`], signed this approval with this agent, action, context and plan, in this
//! deployment, and it has not expired. No part of the result relies on the server's word.
//!
//! A dishonest server can still withhold an approval, hide a withdrawal, a revocation or another
//! executor's claim, and let two executors claim it. An executor therefore takes id, audience, keys
//! and expectations from its own memory and settings, sets [`Expectations::requested_after`] to its
//! time before the request minus a minute, and remembers the ids that it has claimed until they
//! expire.
//!
//! # Errors
//!
//! Every operation fails with a [`Rejection`]. [`Rejection::kind`] groups the codes of
//! `wit/codes.md`; an unknown code is [`Kind::Refused`]. No function returns a bare `bool`.
//!
//! # Features
//!
//! `wasm` adds `Verifier::from_component`, which runs the same operations in a component provided
//! by the caller, for executors that must run exactly the module that the server reports as its
//! `verifier`.

mod approval;
mod backend;
#[cfg(feature = "wasm")]
mod component;
mod key;
mod receipt;
mod rejection;
mod statement;
mod time;
mod verifier;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use approval::{Approver, Attempt, Expectations, Floor, Requirement, VerifiedApproval};
pub use key::{Key, KeyStatus, KeyUse, Keyring, SigningKey};
pub use receipt::{BallotProof, ReceiptBallot, ReceiptExecution, ReceiptReport, ReceiptTrust};
pub use rejection::{Kind, Rejection};
pub use statement::{Decision, Profile, Statement};
pub use time::UnixSeconds;
pub use verifier::{Canonical, Payload, Verifier};
