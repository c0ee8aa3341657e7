//! Fuzzes [`signoff_fuzz::note`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signoff_fuzz::note(bytes));
