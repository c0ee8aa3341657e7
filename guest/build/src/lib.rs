//! The guests of signoff, compiled to WebAssembly by this crate's build script.
//!
//! It is a crate of its own so that Cargo compiles the guests beside the host's dependencies. A crate
//! that depends on it finds in its build script's environment:
//!
//! - `DEP_SIGNOFF_GUESTS_VERIFIER`: the path of the verifier's core module,
//! - `DEP_SIGNOFF_GUESTS_POLICY`: the path of the policy template's core module,
//! - `DEP_SIGNOFF_GUESTS_POLICY_STACK_BYTES`: the size of the template's stack.
