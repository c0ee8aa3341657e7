//! Tests of the public surface: with a server in this process, and with a real one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod calls;
mod events;
mod guard;
mod live;
mod office;
mod tls;
mod values;
