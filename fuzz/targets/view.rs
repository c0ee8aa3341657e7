//! Fuzzes [`signoff_fuzz::view`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signoff_fuzz::view(bytes));
