//! A receipt under a log key that signed nothing: every text is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signoff_fuzz::{LOG_KEY, called};

fuzz_target!(|receipt: &str| {
    let args = serde_json::json!({ "receipt": receipt, "log_keys": [LOG_KEY], "accept": ["v2"] });
    called("receipt.verify", &args).expect_err("this log key signed nothing");
    // Without a log key a receipt is only consistent: any answer but a panic.
    let args = serde_json::json!({ "receipt": receipt, "log_keys": [], "accept": ["v1", "v2"] });
    let _ = called("receipt.verify", &args);
});
