//! The shape of a module: what it is, what it asks for and what it offers.

use serde::Serialize;
use wasmparser::{Encoding, Parser, Payload};

/// What a component of world `policy` exports, sorted.
pub const POLICY_EXPORTS: [&str; 2] = ["describe", "signoff:approval/guardrails@0.1.0"];

/// What a component asks for and what it offers, in its own order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Names of its imports.
    pub imports: Vec<String>,
    /// Names of its exports.
    pub exports: Vec<String>,
}

/// Why bytes are no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPolicy {
    /// Not WebAssembly, or a broken one.
    #[error("it is no WebAssembly module: {0}")]
    Malformed(String),
    /// A core module.
    #[error("it is a core module, expected a component of world `policy`")]
    Core,
    /// It asks for something.
    #[error("it imports `{0}`; a policy imports nothing")]
    Imports(String),
    /// It is a verifier.
    #[error("it is a verifier, expected a component of world `policy`")]
    Verifier,
    /// It offers something else.
    #[error("it exports {0}, expected `describe` and `signoff:approval/guardrails@0.1.0`")]
    Exports(String),
}

impl Shape {
    /// Whether this is what world `policy` says: nothing imported, and its two exports.
    ///
    /// # Errors
    ///
    /// [`NotAPolicy::Imports`], then [`NotAPolicy::Verifier`], then [`NotAPolicy::Exports`].
    pub fn is_of_policy(&self) -> Result<(), NotAPolicy> {
        if let Some(import) = self.imports.first() {
            return Err(NotAPolicy::Imports(import.escape_debug().to_string()));
        }
        let mut exports: Vec<&str> = self.exports.iter().map(String::as_str).collect();
        exports.sort_unstable();
        if exports.iter().any(|export| export.starts_with("signoff:approval/lifecycle@")) {
            return Err(NotAPolicy::Verifier);
        }
        if exports != POLICY_EXPORTS {
            let named: Vec<String> =
                exports.iter().map(|export| format!("`{}`", export.escape_debug())).collect();
            let named = if named.is_empty() { "nothing".to_owned() } else { named.join(", ") };
            return Err(NotAPolicy::Exports(named));
        }
        Ok(())
    }
}

/// Reads a component's imports and exports. Whether it is valid is for the engine to say.
///
/// # Errors
///
/// [`NotAPolicy::Malformed`] and [`NotAPolicy::Core`].
pub fn shape(wasm: &[u8]) -> Result<Shape, NotAPolicy> {
    let mut shape = Shape::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(NotAPolicy::Core);
            }
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    shape.imports.push(import.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    shape.exports.push(export.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(shape)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn malformed(error: wasmparser::BinaryReaderError) -> NotAPolicy {
    NotAPolicy::Malformed(format!("{} at byte {}", error.message(), error.offset()))
}
