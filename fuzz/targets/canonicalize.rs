//! Fuzzes [`signoff_fuzz::canonicalize`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signoff_fuzz::canonicalize(bytes));
