//! Shared by the tests: a home for a store, a server in it, a client, and signatures.

mod answer;
mod authority;
mod client;
mod home;
mod inside;
pub mod mcp;
pub mod modules;
mod office;
mod policies;
mod problems;
mod raw;
mod recorded;
mod rows;
mod server;
mod sign;
mod sign_v2;

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use answer::Answer;
pub use authority::{Authority, Issued, private, serve_tls};
pub use client::Client;
pub use home::{Home, NAMED_SETTINGS, Ran, SECRET, home_and_server};
pub use inside::Inside;
pub use office::Office;
pub use policies::{
    LITTLE_FUEL, MUCH_FUEL, activated, home_with_signer, loops_for, pushed, sign_module, sign_with,
    signed,
};
pub use problems::{title_and_status, titles};
pub use raw::{Raw, allow_files, open, request_text};
pub use rows::{change_entry, change_record, edit_record, empty_lists, record, remove_entry};
pub use server::{SERVE, Server, log_of, serve_with_file_size};
pub use sign::{ballot, message, sign, sign_message};
pub use sign_v2::{KeyV2, message_v2};

/// The limit of a wait in a test, far above what a slow machine needs.
pub const HANG: Duration = Duration::from_secs(300);

/// The approver of the runbook.
pub const APPROVER: &str = "user@company.com";

/// Returns the runbook's first request.
pub fn request_body() -> Value {
    json!({
        "agent": "knowledge_update",
        "action": "apply",
        "context": {
            "file": "config/production.yaml",
            "changes_count": 1500,
            "risk_score": 85
        },
        "reason": "Large configuration change for production deployment"
    })
}

/// Returns the claim that matches [`request_body`].
pub fn claim_body() -> Value {
    let request = request_body();
    json!({
        "agent": request["agent"],
        "action": request["action"],
        "context": request["context"],
    })
}

/// Polls until `look` returns a value.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < HANG, "gave up waiting until {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Returns a string field.
#[track_caller]
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("`{field}` is not a string in {value}"))
}

/// Returns the id of an approval.
#[track_caller]
pub fn id(approval: &Value) -> &str {
    text(approval, "id")
}

/// Flattens an audit entry: the members of its event and of the host, and the log's time.
#[track_caller]
pub fn flat(entry: &Value) -> Value {
    assert_eq!(entry["format"], 2, "{entry}");
    let mut members = entry["event"].as_object().expect("an event").clone();
    members.extend(entry["host"].as_object().expect("the host's members").clone());
    members.insert("at".to_owned(), entry["at"].clone());
    Value::Object(members)
}
