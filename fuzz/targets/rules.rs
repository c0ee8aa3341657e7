//! A rules file: any text loads or has problems, and a policy that loads describes itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signoff_policy::policy::Policy;

fuzz_target!(|text: &str| {
    match Policy::load(text) {
        Ok((policy, _)) => {
            serde_json::from_str::<serde_json::Value>(&policy.describe()).expect("JSON");
        }
        Err(problems) => assert!(!problems.is_empty()),
    }
});
