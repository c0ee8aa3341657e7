//! Fuzzes [`signoff_fuzz::record`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signoff_fuzz::record(bytes));
