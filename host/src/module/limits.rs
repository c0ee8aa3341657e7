//! How much a module may use for one call. A manifest may ask for less than the host gives, never for
//! more.

use serde_json::{Value, json};

use crate::code::Code;
use crate::refusal::Refusal;

/// Fuel of a call where the manifest names none: about an instruction each.
pub const FUEL_DEFAULT: u64 = 500_000_000;
/// Most fuel of a call. The watchdog stops what takes longer than its seconds before.
pub const FUEL_MAX: u64 = 5_000_000_000;
/// Least memory: one page of WebAssembly.
pub const MEMORY_BYTES_MIN: u64 = 64 << 10;
/// Most memory, and what a module has whose manifest names none: what an instance's place holds.
pub const MEMORY_BYTES_MAX: u64 = 64 << 20;

/// How much a module may use for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    fuel: u64,
    memory_bytes: u64,
}

impl Limits {
    /// Limits within the host's; what is none is the default.
    ///
    /// # Errors
    ///
    /// `manifest-invalid` for what is too little to run, then `limit-exceeded` for what is more than
    /// the host gives.
    pub fn new(fuel: Option<u64>, memory_bytes: Option<u64>) -> Result<Self, Refusal> {
        let fuel = fuel.unwrap_or(FUEL_DEFAULT);
        let memory_bytes = memory_bytes.unwrap_or(MEMORY_BYTES_MAX);
        for (name, value, least) in
            [("fuel", fuel, 1), ("memory_bytes", memory_bytes, MEMORY_BYTES_MIN)]
        {
            if value < least {
                let detail = format!("limits.{name} is {value}, expected at least {least}");
                return Err(Refusal::new(Code::MANIFEST_INVALID, detail));
            }
        }
        for (name, value, most) in
            [("fuel", fuel, FUEL_MAX), ("memory_bytes", memory_bytes, MEMORY_BYTES_MAX)]
        {
            if value > most {
                let detail = format!("limits.{name} is {value}, this host gives at most {most}");
                return Err(Refusal::new(Code::LIMIT_EXCEEDED, detail));
            }
        }
        Ok(Self { fuel, memory_bytes })
    }

    /// Fuel of one call.
    pub fn fuel(self) -> u64 {
        self.fuel
    }

    /// Memory of one instance.
    pub fn memory_bytes(self) -> u64 {
        self.memory_bytes
    }

    /// As manifests and answers have it.
    pub fn to_json(self) -> Value {
        json!({ "fuel": self.fuel, "memory_bytes": self.memory_bytes })
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: FUEL_DEFAULT, memory_bytes: MEMORY_BYTES_MAX }
    }
}
