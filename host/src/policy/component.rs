//! The imports and exports of a component, for display.

use serde::Serialize;
use wasmparser::{ComponentExternalKind, Parser, Payload};

/// A component's imports and exports, in its own order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Names of its imports.
    pub imports: Vec<String>,
    /// Names of its exports.
    pub exports: Vec<String>,
}

/// Returns a component's imports and exports, up to the first malformed byte.
pub fn shape(wasm: &[u8]) -> Shape {
    let mut shape = Shape::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        match payload {
            Payload::ComponentImportSection(section) if depth == 0 => {
                let names = section.into_iter().flatten();
                shape.imports.extend(names.map(|import| import.name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                let exports = section.into_iter().flatten();
                let called = exports.filter(|export| export.kind != ComponentExternalKind::Type);
                shape.exports.extend(called.map(|export| export.name.name.to_owned()));
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    shape
}
