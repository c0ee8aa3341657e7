//! Inspection of a module's bytes before anything is compiled or run: it must be a component that
//! imports nothing, has the exports of its slot's world, and is within the limits on everything
//! that costs the compiler or an instance time or memory. The types of the exports are checked when
//! it is linked.

use wasmparser::{
    ComponentExternalKind, CompositeInnerType, Encoding, Parser, Payload, TypeSectionReader,
    Validator, WasmFeatures,
};

use super::Slot;
use crate::code::Code;
use crate::engine::WASM_BYTES_MAX;
use crate::policy::Limits;
use crate::refusal::Refusal;

/// Size of a WebAssembly page in bytes.
const PAGE_BYTES: u64 = 64 << 10;
/// Maximum nesting: a component of components of core modules, plus headroom.
const DEPTH_MAX: usize = 8;
/// Maximum functions: a whole JavaScript or Python interpreter as a component has about 20,000.
const FUNCTIONS_MAX: u64 = 100_000;
/// Maximum size of a function: the compiler's time and memory grow faster than it. Interpreters
/// compiled to a single function stay below this limit.
const FUNCTION_BYTES_MAX: usize = 1 << 20;
/// Maximum parameters and results of a function or block. Two bytes of code make the validator
/// iterate over all of them, so with its own limit of 1,000 a module could keep it busy for
/// minutes.
const PARAMETERS_MAX: u64 = 128;
const RESULTS_MAX: u64 = 32;
/// Core modules and components inside.
const PARTS_MAX: u64 = 256;
/// Maximum memories and tables: the limits of the server's pool for one module.
const MEMORIES_MAX: u64 = 4;
const TABLES_MAX: u64 = 64;
/// Initial elements of a table.
const TABLE_ELEMENTS_MAX: u64 = 65_536;
const GLOBALS_MAX: u64 = 100_000;
/// Data and element segments.
const SEGMENTS_MAX: u64 = 100_000;

/// The accepted WebAssembly features: those that the compiler enables, except the ones that a
/// module does not need for single calls (threads, garbage collection, 64-bit memories).
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::COMPONENT_MODEL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::TAIL_CALL);

/// Statistics of an accepted module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Functions with a body.
    pub functions: u64,
    /// Core modules and components inside.
    pub parts: u64,
    /// Initial memory, over all memories.
    pub memory_bytes: u64,
}

/// The state of an inspection.
#[derive(Default)]
struct Walk<'a> {
    depth: usize,
    found: Inspected,
    memories: u64,
    tables: u64,
    globals: u64,
    segments: u64,
    exports: Vec<(&'a str, ComponentExternalKind)>,
}

/// Inspects a module for a slot.
///
/// # Errors
///
/// All are `module-invalid`, except the first, which is `limit-exceeded`. 1. larger than 64 MiB 2.
/// empty, text, a core module, precompiled code, or not WebAssembly 3. truncated or malformed
/// bytes; an import; an exceeded limit; in the order of the bytes 4. exports that do not match the
/// world 5. validation failures
pub fn inspect(wasm: &[u8], slot: Slot, limits: Limits) -> Result<Inspected, Refusal> {
    if wasm.len() > WASM_BYTES_MAX {
        return Err(Refusal::new(
            Code::LIMIT_EXCEEDED,
            format!("the module is {} bytes, the limit is {WASM_BYTES_MAX}", wasm.len()),
        ));
    }
    is_component(wasm, slot)?;
    let mut walk = Walk::default();
    for payload in Parser::new(0).parse_all(wasm) {
        walk.step(&payload.map_err(|e| malformed(&e))?, slot, limits)?;
    }
    walk.has_the_exports_of(slot)?;
    Validator::new_with_features(FEATURES).validate_all(wasm).map_err(|e| malformed(&e))?;
    Ok(walk.found)
}

/// Checks that the bytes begin like a component. Otherwise the error says what they may be instead.
fn is_component(wasm: &[u8], slot: Slot) -> Result<(), Refusal> {
    if Parser::is_component(wasm) {
        return Ok(());
    }
    let text = std::str::from_utf8(wasm.get(..wasm.len().min(256)).unwrap_or_default());
    Err(invalid(if wasm.is_empty() {
        "the module is empty".to_owned()
    } else if Parser::is_core_wasm(wasm) {
        format!(
            "this is a core module; convert it to a component of world `{slot}`, for example with `wasm-tools component new`"
        )
    } else if wasm.starts_with(b"\x7fELF") {
        "this is precompiled code, which is never accepted; send the component it was compiled from"
            .to_owned()
    } else if text.is_ok_and(|text| text.trim_start().starts_with(['(', ';'])) {
        "this is WebAssembly text; convert it to binary, for example with `wasm-tools parse`"
            .to_owned()
    } else {
        "this is not a WebAssembly component".to_owned()
    }))
}

impl<'a> Walk<'a> {
    fn step(&mut self, payload: &Payload<'a>, slot: Slot, limits: Limits) -> Result<(), Refusal> {
        match payload {
            Payload::Version { encoding, .. } => {
                if self.depth == 0 && *encoding != Encoding::Component {
                    return Err(invalid("this is not a WebAssembly component"));
                }
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.depth += 1;
                at_most("parts nested in each other", self.depth as u64, DEPTH_MAX as u64)?;
                add("core modules and components", &mut self.found.parts, 1, PARTS_MAX)?;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if self.depth == 0 => {
                if let Some(import) = section.clone().into_iter().next() {
                    return Err(imported(import.map_err(|e| malformed(&e))?.name.name, slot));
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 0 => {
                for export in section.clone() {
                    let export = export.map_err(|e| malformed(&e))?;
                    self.exports.push((export.name.name, export.kind));
                }
            }
            Payload::ComponentStartSection { .. } => {
                return Err(invalid("the component has a start function, which no world allows"));
            }
            Payload::TypeSection(section) => few_values(section)?,
            Payload::CodeSectionStart { count, .. } => {
                add("functions", &mut self.found.functions, u64::from(*count), FUNCTIONS_MAX)?;
            }
            Payload::CodeSectionEntry(body) => {
                at_most(
                    "bytes in one function",
                    body.range().len() as u64,
                    FUNCTION_BYTES_MAX as u64,
                )?;
            }
            _ => self.state(payload, limits)?,
        }
        Ok(())
    }

    /// Counts the initial resources of an instance.
    fn state(&mut self, payload: &Payload<'a>, limits: Limits) -> Result<(), Refusal> {
        match payload {
            Payload::MemorySection(section) => {
                add("memories", &mut self.memories, u64::from(section.count()), MEMORIES_MAX)?;
                for memory in section.clone() {
                    let pages = memory.map_err(|e| malformed(&e))?.initial;
                    let bytes = pages.saturating_mul(PAGE_BYTES);
                    add(
                        "bytes of memory at its start",
                        &mut self.found.memory_bytes,
                        bytes,
                        limits.memory_bytes as u64,
                    )?;
                }
            }
            Payload::TableSection(section) => {
                add("tables", &mut self.tables, u64::from(section.count()), TABLES_MAX)?;
                for table in section.clone() {
                    let elements = table.map_err(|e| malformed(&e))?.ty.initial;
                    at_most("elements in a table", elements, TABLE_ELEMENTS_MAX)?;
                }
            }
            Payload::GlobalSection(section) => {
                add("globals", &mut self.globals, u64::from(section.count()), GLOBALS_MAX)?;
            }
            Payload::DataSection(section) => {
                add("segments", &mut self.segments, u64::from(section.count()), SEGMENTS_MAX)?;
            }
            Payload::ElementSection(section) => {
                add("segments", &mut self.segments, u64::from(section.count()), SEGMENTS_MAX)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn has_the_exports_of(&self, slot: Slot) -> Result<(), Refusal> {
        for (name, kind) in exports_of(slot) {
            let found = self.exports.iter().find(|(exported, _)| exported == name);
            let word = if *kind == ComponentExternalKind::Func { "function" } else { "interface" };
            match found {
                Some((_, found)) if found == kind => {}
                Some(_) => {
                    return Err(invalid(format!("the export `{name}` is not a {word}")));
                }
                None => {
                    return Err(invalid(format!(
                        "the module has no {word} `{name}`, so it is not a component of world `{slot}`{}",
                        self.of_another_kind(slot)
                    )));
                }
            }
        }
        Ok(())
    }

    /// Returns what else the module may be, for a more helpful message.
    fn of_another_kind(&self, slot: Slot) -> String {
        let has = |name: &str| self.exports.iter().any(|(exported, _)| *exported == name);
        let other = Slot::ALL.into_iter().filter(|other| *other != slot);
        for other in other {
            if exports_of(other).iter().all(|(name, _)| has(name)) {
                return format!("; it is one of world `{other}`");
            }
        }
        let interfaces: Vec<&str> = exports_of(slot)
            .iter()
            .filter_map(|(name, _)| name.split_once('@').map(|(bare, _)| bare))
            .collect();
        let near = self.exports.iter().find(|(exported, _)| {
            exported.split_once('@').is_some_and(|(bare, _)| interfaces.contains(&bare))
        });
        near.map_or_else(String::new, |(name, _)| format!("; it has `{}`", shown(name)))
    }
}

/// Checks the number of parameters and results of functions and blocks.
fn few_values(section: &TypeSectionReader<'_>) -> Result<(), Refusal> {
    for group in section.clone() {
        let group = group.map_err(|e| malformed(&e))?;
        for one in group.types() {
            let CompositeInnerType::Func(function) = &one.composite_type.inner else { continue };
            let (parameters, results) = (function.params().len(), function.results().len());
            at_most("parameters of one function", parameters as u64, PARAMETERS_MAX)?;
            at_most("results of one function", results as u64, RESULTS_MAX)?;
        }
    }
    Ok(())
}

/// Returns the exports of a world, as defined in `wit/`.
fn exports_of(slot: Slot) -> &'static [(&'static str, ComponentExternalKind)] {
    const I: ComponentExternalKind = ComponentExternalKind::Instance;
    const F: ComponentExternalKind = ComponentExternalKind::Func;
    match slot {
        Slot::Policy => &[("signoff:approval/guardrails@0.1.0", I), ("describe", F)],
        Slot::Verifier => &[
            ("signoff:approval/context@0.1.0", I),
            ("signoff:approval/signing@0.1.0", I),
            ("signoff:approval/lifecycle@0.1.0", I),
            ("signoff:approval/approval@0.1.0", I),
            ("signoff:approval/receipt@0.1.0", I),
            ("signoff:approval/wire@0.1.0", I),
            ("describe", F),
        ],
    }
}

fn imported(name: &str, slot: Slot) -> Refusal {
    let name = shown(name);
    let fix = match name.starts_with("wasi:") {
        true => "; build it without WASI or with stubs, such as `componentize-py --stub-wasi`",
        false => "",
    };
    invalid(format!("the module imports `{name}`, but a {slot} must not import anything{fix}"))
}

fn add(what: &str, count: &mut u64, more: u64, most: u64) -> Result<(), Refusal> {
    *count = count.saturating_add(more);
    at_most(what, *count, most)
}

fn at_most(what: &str, count: u64, most: u64) -> Result<(), Refusal> {
    if count <= most {
        return Ok(());
    }
    Err(invalid(format!("the module has {count} {what}, the limit is {most}")))
}

/// wasmparser's message, with the position.
fn malformed(error: &wasmparser::Error) -> Refusal {
    invalid(format!("not valid at byte {}: {}", error.offset(), shown(error.message())))
}

fn invalid(why: impl Into<String>) -> Refusal {
    Refusal::new(Code::MODULE_INVALID, why)
}

/// Returns text from the module, shortened for display.
fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    let mut shown: String = text.chars().take(CHARS_MAX).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown.replace(char::is_control, " ")
}
