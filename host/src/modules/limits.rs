//! Resource limits of one call of a module. A manifest may request less than the host's maximum,
//! never more.

use serde_json::{Value, json};

use crate::code::Code;
use crate::policy::Limits;
use crate::refusal::Refusal;

/// Minimum memory: one WebAssembly page.
pub const MEMORY_BYTES_MIN: u64 = 64 << 10;

/// Returns limits within the host's maximum. Unset values take their defaults.
///
/// # Errors
///
/// `manifest-invalid` for a value that is too small to run, then `limit-exceeded` for one over the
/// host's maximum.
pub fn limits(fuel: Option<u64>, memory_bytes: Option<u64>) -> Result<Limits, Refusal> {
    let default = Limits::default();
    let fuel = fuel.unwrap_or(default.fuel);
    let memory_bytes = memory_bytes.unwrap_or(default.memory_bytes as u64);
    for (name, value, least) in
        [("fuel", fuel, 1), ("memory_bytes", memory_bytes, MEMORY_BYTES_MIN)]
    {
        if value < least {
            let detail = format!("limits.{name} is {value}, expected at least {least}");
            return Err(Refusal::new(Code::MANIFEST_INVALID, detail));
        }
    }
    let most = Limits::MAX;
    for (name, value, most) in
        [("fuel", fuel, most.fuel), ("memory_bytes", memory_bytes, most.memory_bytes as u64)]
    {
        if value > most {
            let detail = format!("limits.{name} is {value}, the limit is {most}");
            return Err(Refusal::new(Code::LIMIT_EXCEEDED, detail));
        }
    }
    let memory_bytes = usize::try_from(memory_bytes).unwrap_or(most.memory_bytes);
    Ok(Limits { fuel, memory_bytes })
}

/// Returns limits as JSON, as in manifests and responses.
pub fn limits_json(limits: Limits) -> Value {
    json!({ "fuel": limits.fuel, "memory_bytes": limits.memory_bytes })
}
