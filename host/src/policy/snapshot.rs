//! Snapshots an instance: makes a module that starts with its memory.

use std::future::{Future, ready};

use anyhow::{Result, anyhow, bail};
use futures_util::FutureExt;
use wasmtime::{AsContextMut, Instance, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

use crate::engine::POLICY_STACK_BYTES;

/// The export for the rules runtime only; a shipped module does not have it.
const RUNTIME_EXPORT: &str = "author";
/// The name of the template's only memory in the instrumented module.
const MEMORY: &str = "memory";

/// Instruments the template for snapshots: the result exports its state, which the template does
/// not.
pub(super) fn instrumented(template: &[u8]) -> Result<Vec<u8>> {
    let (_, instrumented) = wizer().instrument(template).map_err(|e| plain(&e))?;
    Ok(instrumented)
}

/// Returns the template with the memory and globals of an instance of the instrumented module.
pub(super) fn snapshot(
    template: &[u8],
    store: impl AsContextMut,
    instance: Instance,
) -> Result<Vec<u8>> {
    let (module, _) = wizer().instrument(template).map_err(|e| plain(&e))?;
    let mut state = State { store, instance, missing: None };
    state.clear_stack()?;
    let shipped = wizer()
        .snapshot(&module, &mut state)
        .now_or_never()
        .ok_or_else(|| anyhow!("the snapshot did not complete"))?
        .map_err(|e| plain(&e))?;
    match state.missing {
        None => Ok(shipped),
        Some(name) => Err(anyhow!("the template does not export `{name}`")),
    }
}

/// Returns whether the stack is where [`State::clear_stack`] clears it: all zeros in a fresh
/// instance.
pub(super) fn stack_is_empty(memory: &[u8]) -> bool {
    memory.get(..POLICY_STACK_BYTES).is_some_and(|stack| stack.iter().all(|byte| *byte == 0))
}

fn wizer() -> Wizer {
    let mut wizer = Wizer::new();
    wizer.init_func(RUNTIME_EXPORT);
    wizer
}

struct State<S> {
    store: S,
    instance: Instance,
    /// A missing export; the value returned for it is meaningless.
    missing: Option<String>,
}

impl<S: AsContextMut> State<S> {
    /// Zeroes the unused stack, so that remains of returned functions are not shipped.
    fn clear_stack(&mut self) -> Result<()> {
        let Some(memory) = self.instance.get_memory(&mut self.store, MEMORY) else {
            bail!("the template does not export its memory");
        };
        let memory = memory.data_mut(&mut self.store);
        let stack = memory.get_mut(..POLICY_STACK_BYTES);
        stack.ok_or_else(|| anyhow!("the template's memory is smaller than its stack"))?.fill(0);
        Ok(())
    }

    fn global(&mut self, name: &str) -> Option<SnapshotVal> {
        match self.instance.get_global(&mut self.store, name)?.get(&mut self.store) {
            Val::I32(value) => Some(SnapshotVal::I32(value)),
            Val::I64(value) => Some(SnapshotVal::I64(value)),
            Val::F32(bits) => Some(SnapshotVal::F32(bits)),
            Val::F64(bits) => Some(SnapshotVal::F64(bits)),
            Val::V128(value) => Some(SnapshotVal::V128(value.as_u128())),
            _ => None,
        }
    }
}

impl<S: AsContextMut> InstanceState for State<S> {
    fn global_get(&mut self, name: &str, _: ValType) -> impl Future<Output = SnapshotVal> + Send {
        let value = self.global(name);
        if value.is_none() {
            self.missing = Some(name.to_owned());
        }
        ready(value.unwrap_or(SnapshotVal::I32(0)))
    }

    fn memory_contents(
        &mut self,
        name: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) -> impl Future<Output = ()> + Send {
        match self.instance.get_memory(&mut self.store, name) {
            Some(memory) => contents(memory.data(&self.store)),
            None => {
                self.missing = Some(name.to_owned());
                contents(&[]);
            }
        }
        ready(())
    }
}

fn plain(error: &wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}
