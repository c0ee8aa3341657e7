//! Fuzzes [`signoff_fuzz::receipt`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signoff_fuzz::receipt(bytes));
