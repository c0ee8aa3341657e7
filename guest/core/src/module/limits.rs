//! Resource limits of one call of a module. A manifest may request less than the host's maximum,
//! never more.

use serde_json::{Value, json};

use crate::rejection::{Code, Rejection};

/// Maximum memory of one evaluation.
pub const MEMORY_BYTES_MAX: usize = 128 << 20;
/// Minimum memory: one WebAssembly page.
pub const MEMORY_BYTES_MIN: u64 = 64 << 10;

/// Resource limits of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Units of fuel; an instruction of WebAssembly takes about one.
    pub fuel: u64,
    /// Bytes of memory, over all memories of the instance.
    pub memory_bytes: usize,
}

impl Limits {
    /// The largest limits that a manifest may request.
    pub const MAX: Self = Self { fuel: 10_000_000_000, memory_bytes: MEMORY_BYTES_MAX };
}

impl Default for Limits {
    /// Enough for an interpreter that parses a context and a plan of 1 MiB each.
    fn default() -> Self {
        Self { fuel: 1_000_000_000, memory_bytes: 64 << 20 }
    }
}

/// Returns limits within the host's maximum. Unset values take their defaults.
///
/// # Errors
///
/// `manifest-invalid` for a value that is too small to run, then `limit-exceeded` for one over the
/// host's maximum.
pub fn limits(fuel: Option<u64>, memory_bytes: Option<u64>) -> Result<Limits, Rejection> {
    let default = Limits::default();
    let fuel = fuel.unwrap_or(default.fuel);
    let memory_bytes = memory_bytes.unwrap_or(default.memory_bytes as u64);
    for (name, value, least) in
        [("fuel", fuel, 1), ("memory_bytes", memory_bytes, MEMORY_BYTES_MIN)]
    {
        if value < least {
            let detail = format!("limits.{name} is {value}, expected at least {least}");
            return Err(Rejection::new(Code::ManifestInvalid, detail));
        }
    }
    let most = Limits::MAX;
    for (name, value, most) in
        [("fuel", fuel, most.fuel), ("memory_bytes", memory_bytes, most.memory_bytes as u64)]
    {
        if value > most {
            let detail = format!("limits.{name} is {value}, the limit is {most}");
            return Err(Rejection::new(Code::LimitExceeded, detail));
        }
    }
    let memory_bytes = usize::try_from(memory_bytes).unwrap_or(most.memory_bytes);
    Ok(Limits { fuel, memory_bytes })
}

/// Returns limits as JSON, as in manifests and responses.
pub fn limits_json(limits: Limits) -> Value {
    json!({ "fuel": limits.fuel, "memory_bytes": limits.memory_bytes })
}
