//! Fuzzes [`signoff_fuzz::conditions`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signoff_fuzz::conditions(bytes));
