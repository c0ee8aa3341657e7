//! What holds of rules files and their verdicts, asked through the crate's surface.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails says so by a panic"
)]

mod bending;
mod conditions;
mod facts;
mod index;
mod limits;
mod numbers;
mod problems;
mod reasons;
mod support;
mod verdicts;
mod workbench;
