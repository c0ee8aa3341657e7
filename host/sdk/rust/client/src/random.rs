//! Random numbers of the operating system.

use std::fmt::Write;

use crate::error::Error;

/// Makes an idempotency key: 128 bits.
///
/// # Errors
///
/// `unreachable`: the system has no random numbers, so that a repeat could not be told from another
/// call.
pub(crate) fn key() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::unreachable(format!("this system has no random numbers: {e}")))?;
    Ok(bytes.iter().fold(String::with_capacity(32), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    }))
}

/// Returns a number from 0 to 1, so that many clients do not try again at once.
pub(crate) fn fraction() -> f64 {
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}
