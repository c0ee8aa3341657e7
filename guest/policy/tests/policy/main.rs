//! Tests of rules files and their verdicts, through the crate's public interface.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails says so by a panic"
)]

mod authoring;
mod bending;
mod conditions;
mod constants;
mod facts;
mod index;
mod limits;
mod never;
mod numbers;
mod patterns;
mod problems;
mod reasons;
mod schemas;
mod support;
mod syntax;
mod times;
mod verdicts;
