//! The modules' typed bindings. The only file that knows `bindgen!`: everything else uses the names
//! re-exported here.

#![allow(missing_docs, unreachable_pub, reason = "generated from wit/, where the docs are")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "verifier",
});

pub use exports::signoff::approval::lifecycle::{Opened, Summary, Transition, View};
pub use exports::signoff::approval::signing::Message;
pub use exports::signoff::approval::types::{Key, Rejection, Statement};

/// World `policy`.
pub mod policy {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "policy",
    });

    pub use exports::signoff::approval::guardrails::{Attempt, Verdict};
}
