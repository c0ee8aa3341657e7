//! Fuzzes [`signoff_fuzz::rules`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signoff_fuzz::rules(bytes));
