//! The operations of the verifier. One struct holds the arguments of an operation, and its `run`
//! executes it. [`wire`](crate::wire) deserializes the struct from JSON; the typed interfaces
//! construct it.
//!
//! To add an operation: write its struct, add a row to the table below, declare the function in
//! `wit/`, and lift its arguments in `component.rs`.

pub mod context;
pub mod signing;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::approval;
use crate::describe::Describe;
use crate::lifecycle;
use crate::manifest;
use crate::object;
use crate::receipt;
use crate::rejection::{Code, Rejection};

macro_rules! operations {
    ($($name:literal => $arguments:ty,)*) => {
        /// The names of all operations, in the order of the interfaces in `wit/`.
        pub const OPS: &[&str] = &[$($name),*];

        /// Runs an operation with its arguments as a JSON object; returns the JSON of its answer.
        ///
        /// Rejections: 1. `request-invalid` for an unknown operation or malformed arguments 2. the
        /// operation's own, in its order.
        pub(crate) fn run(name: &str, args: &str) -> Result<Box<RawValue>, Rejection> {
            match name {
                $($name => to_raw(&object::parse::<$arguments>("args", args)?.run()?),)*
                unknown => {
                    Err(Rejection::request(format!("unknown op `{}`", unknown.escape_debug())))
                }
            }
        }
    };
}

operations! {
    "describe" => Describe,
    "context.canonicalize" => context::Canonicalize<'_>,
    "context.digest" => context::Digest<'_>,
    "context.read" => context::Read<'_>,
    "signing.payload" => signing::Payload<'_>,
    "signing.sign" => signing::Sign<'_>,
    "signing.verify" => signing::Verify<'_>,
    "signing.statement" => signing::StatementOf<'_>,
    "lifecycle.open" => lifecycle::Open<'_>,
    "lifecycle.decide" => lifecycle::Decide<'_>,
    "lifecycle.check" => lifecycle::Check<'_>,
    "lifecycle.verify_ballot" => lifecycle::VerifyBallot<'_>,
    "lifecycle.claim" => lifecycle::Claim<'_>,
    "lifecycle.settle" => lifecycle::Settle<'_>,
    "lifecycle.expire" => lifecycle::Expire<'_>,
    "lifecycle.withdraw" => lifecycle::Withdraw<'_>,
    "lifecycle.extend" => lifecycle::Extend<'_>,
    "lifecycle.void" => lifecycle::Void<'_>,
    "lifecycle.erase" => lifecycle::Erase<'_>,
    "lifecycle.show" => lifecycle::Show<'_>,
    "lifecycle.review" => lifecycle::Review<'_>,
    "approval.verify" => approval::Verify<'_>,
    "receipt.verify" => receipt::Verify<'_>,
    "manifest.verify" => manifest::Verify<'_>,
}

fn to_raw<T: Serialize>(answer: &T) -> Result<Box<RawValue>, Rejection> {
    serde_json::value::to_raw_value(answer)
        .map_err(|e| Rejection::new(Code::InternalError, e.to_string()))
}
