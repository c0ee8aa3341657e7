//! A view under `approval.verify`, with no key that could have signed it: every text is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signoff_fuzz::{ID, called};

fuzz_target!(|view: &str| {
    let args = serde_json::json!({
        "approval": view, "id": ID, "audience": "prod", "keys": [], "now": 1_760_697_900,
        "attempt": r#"{"agent":"knowledge_update","action":"apply","context":"{}"}"#,
    });
    called("approval.verify", &args).expect_err("no key signed it");
});
