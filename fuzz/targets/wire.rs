//! Fuzzes [`signoff_fuzz::wire`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signoff_fuzz::wire(bytes));
