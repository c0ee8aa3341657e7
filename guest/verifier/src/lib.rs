//! The rules of signoff: context hashing, signatures, state transitions.
//!
//! All code that decides trust is in this crate, and none of it sees a clock, a random number, a
//! file or a socket: time and names are arguments. The crate builds as an ordinary library for
//! tests, and as the core module of the verifier component, where [`wire`] and the typed interfaces
//! of `wit/` are the only entry points.

pub mod approval;
#[cfg(target_arch = "wasm32")]
mod component;
pub mod describe;
pub mod ed25519;
#[cfg(target_arch = "wasm32")]
mod heap;
pub mod key;
pub mod lifecycle;
pub mod mac;
pub mod manifest;
pub mod operation;
mod pae;
pub mod receipt;
pub mod record;
mod request_content;
pub mod signature;
pub mod statement;
pub mod wire;

pub(crate) use signoff_core::object;
pub use signoff_core::{context, limits, name, person, rejection, time};
