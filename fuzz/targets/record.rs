//! The record of an approval: any text is shown or refused, and what is shown is a JSON object.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signoff_fuzz::{ID, called};

fuzz_target!(|record: &str| {
    let args = serde_json::json!({ "id": ID, "approval": record, "now": 1_760_697_900 });
    if let Ok(shown) = called("lifecycle.show", &args) {
        let view: serde_json::Value =
            serde_json::from_str(shown["view"].as_str().expect("a text")).expect("JSON");
        assert_eq!(view["id"], ID);
    }
});
