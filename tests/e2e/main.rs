//! End-to-end tests: the real binary over real HTTP, real files and real signals.
//!
//! Each test has its own store; only the compiled verifier is shared. Signatures are computed here, by
//! the runbook's formula, not by the code under test. No test sets a time limit for the product: a test
//! that waits polls its condition, and gives up after minutes.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::needless_pass_by_value,
    reason = "a test fails by a panic"
)]

mod support;

mod audit_log;
mod audit_proofs;
mod authzen;
mod authzen_requests;
mod backup;
mod bad_bodies;
mod bad_requests;
mod bad_wire;
mod certificates;
mod cli;
mod cli_material;
mod compaction;
mod crash;
mod erasure;
mod expiry;
mod facts;
mod fail_closed;
mod flood;
mod full_disk;
mod guardrails;
mod hook;
mod hostile_modules;
mod hot_swap;
mod idempotency;
mod keyring;
mod keys;
mod listing;
mod local_decisions;
mod login;
mod logs;
mod mcp_calls;
mod mcp_fail_closed;
mod mcp_http;
mod mcp_tools;
mod messages;
mod module_cli;
mod modules;
mod modules_fail_closed;
mod monitoring;
mod openapi;
mod operator;
mod policy_language;
mod policy_tool;
mod policy_tool_build;
mod policy_tool_diff;
mod policy_tool_fmt;
mod policy_tool_modules;
mod policy_tool_schema;
mod policy_tool_test;
mod pruning;
mod quotas;
mod races;
mod request_ids;
mod roles;
mod rotation;
mod run_command;
mod secrets;
mod server_settings;
mod service_manager;
mod settings;
mod several_approvers;
mod shadow;
mod shutdown;
mod start;
mod store_edits;
mod store_files;
mod story;
mod tampered;
mod terminal;
mod tidy;
mod tls;
mod unix_socket;
mod vectors;
mod waiting;
mod witness;
