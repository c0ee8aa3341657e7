//! Makes a policy of a rules file. (Stop-gap until the host has it.)
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use anyhow::{Result, anyhow, ensure};
use signoff::engine::{POLICY_STACK_BYTES, POLICY_TEMPLATE};
use wasmtime::{Engine, Instance, Linker, Memory, Module, Store, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

pub fn policy(toml: &str) -> Result<Vec<u8>> {
    let core = snapshot(toml).map_err(|e| anyhow!("{e:#}"))?;
    wit_component::ComponentEncoder::default().validate(true).module(&core)?.encode()
}

fn snapshot(toml: &str) -> wasmtime::Result<Vec<u8>> {
    let mut wizer = Wizer::new();
    wizer.init_func("workbench");
    let (cx, wasm) = wizer.instrument(POLICY_TEMPLATE)?;
    let engine = Engine::default();
    let module = Module::new(&engine, &wasm)?;
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module)?;
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    let request = serde_json::json!({"op": "load", "rules": toml}).to_string();
    let alloc = instance.get_typed_func::<(i32, i32, i32, i32), i32>(&mut store, "cabi_realloc")?;
    let bench = instance.get_typed_func::<(i32, i32), i32>(&mut store, "workbench")?;
    let len = request.len() as i32;
    let ptr = alloc.call(&mut store, (0, 0, 1, len))?;
    memory.write(&mut store, ptr as usize, request.as_bytes())?;
    let at = bench.call(&mut store, (ptr, len))? as usize;
    let said = answer(&memory, &store, at);
    if !said.starts_with("{\"ok\"") {
        return Err(wasmtime::Error::msg(said));
    }
    memory.data_mut(&mut store)[..POLICY_STACK_BYTES].fill(0);
    let mut state = State { store, instance };
    let mut future = pin!(wizer.snapshot(cx, &mut state));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(wasmtime::Error::msg("pending")),
    }
}

fn answer(memory: &Memory, store: &Store<()>, at: usize) -> String {
    let data = memory.data(store);
    let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap()) as usize;
    let (ptr, len) = (word(at), word(at + 4));
    String::from_utf8_lossy(&data[ptr..ptr + len]).into_owned()
}

struct State {
    store: Store<()>,
    instance: Instance,
}

impl InstanceState for State {
    async fn global_get(&mut self, name: &str, _: ValType) -> SnapshotVal {
        match self.instance.get_global(&mut self.store, name).unwrap().get(&mut self.store) {
            Val::I32(x) => SnapshotVal::I32(x),
            Val::I64(x) => SnapshotVal::I64(x),
            _ => unreachable!(),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let memory = self.instance.get_memory(&mut self.store, name).unwrap();
        contents(memory.data(&self.store));
    }
}
