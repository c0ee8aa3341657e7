//! The smallest component: one function without arguments, result or work. A call measures the
//! overhead of crossing into WebAssembly.

use anyhow::Result;
use signoff::engine::{Allocation, config};
use wasmtime::component::{Component, Linker, TypedFunc};
use wasmtime::{Engine, Store};

/// `(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
/// (func (export "run") (canon lift (core func $i "f"))))`
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0\
    \x01\x1f\0asm\x01\0\0\0\
    \x01\x04\x01\x60\0\0\
    \x03\x02\x01\0\
    \x07\x05\x01\x01f\0\0\
    \x0a\x04\x01\x02\0\x0b\
    \x02\x04\x01\0\0\0\
    \x07\x05\x01\x40\0\x01\0\
    \x06\x07\x01\0\0\x01\0\x01f\
    \x08\x06\x01\0\0\0\0\0\
    \x0b\x09\x01\0\x03run\x01\0\0";

/// An instance of it, with the verifier's engine settings.
pub(crate) struct Empty {
    store: Store<()>,
    run: TypedFunc<(), ()>,
}

impl Empty {
    pub(crate) fn new() -> Result<Self> {
        Self::instantiate().map_err(|e| anyhow::anyhow!("{e:#}"))
    }

    fn instantiate() -> wasmtime::Result<Self> {
        let engine = Engine::new(&config(Allocation::OnDemand))?;
        let component = Component::new(&engine, EMPTY)?;
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let instance = Linker::new(&engine).instantiate(&mut store, &component)?;
        let run = instance.get_typed_func(&mut store, "run")?;
        Ok(Self { store, run })
    }

    pub(crate) fn call(&mut self) -> Result<()> {
        self.run.call(&mut self.store, ()).map_err(|e| anyhow::anyhow!("{e:#}"))
    }
}
