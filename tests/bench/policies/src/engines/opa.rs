//! Rego compiled to WebAssembly by `opa build -t wasm`, run as OPA's own libraries do: one instance for
//! all evaluations, its heap reset before each, without fuel, watchdog or memory limit.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use wasmtime::{Caller, Engine as Wasmtime, Instance, Linker, Memory, Store, TypedFunc};

use super::{Engine, regorus};
use crate::rules::{Answer, Attempt, Rule, strictest};

/// The arguments: reserved, entry point, data, input, its length, heap, format (0 is JSON).
type Evaluate = TypedFunc<(i32, i32, i32, i32, i32, i32, i32), i32>;

pub struct Module {
    store: Store<()>,
    memory: Memory,
    evaluate: Evaluate,
    data: i32,
    heap: i32,
    rules: Vec<Rule>,
}

impl Module {
    pub fn new(opa: &Path, rules: &[Rule]) -> Result<Self> {
        let wasm = compile(opa, &regorus::rego(rules))?;
        Self::instantiate(&wasm, rules).map_err(|e| anyhow!("{e:#}"))
    }

    fn instantiate(wasm: &[u8], rules: &[Rule]) -> wasmtime::Result<Self> {
        let engine = Wasmtime::default();
        let module = wasmtime::Module::new(&engine, wasm)?;
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let memory = Memory::new(&mut store, wasmtime::MemoryType::new(64, None))?;
        linker.define(&store, "env", "memory", memory)?;
        linker.func_wrap(
            "env",
            "opa_abort",
            |_: Caller<'_, ()>, _: i32| -> wasmtime::Result<()> {
                Err(wasmtime::Error::msg("the policy aborted"))
            },
        )?;
        // The rules call only builtins that are compiled in.
        linker.define_unknown_imports_as_traps(&module)?;
        let instance = linker.instantiate(&mut store, &module)?;
        let (data, heap) = no_data(&mut store, &instance, memory)?;
        let evaluate = instance.get_typed_func(&mut store, "opa_eval")?;
        Ok(Self { evaluate, store, memory, data, heap, rules: rules.to_vec() })
    }

    fn evaluate(&mut self, input: &str) -> Result<String> {
        let length = i32::try_from(input.len())?;
        self.memory.write(&mut self.store, usize::try_from(self.heap)?, input.as_bytes())?;
        // Aligned to eight bytes, as its allocator requires.
        let heap = (self.heap + length + 7) & !7;
        let arguments = (0, 0, self.data, self.heap, length, heap, 0);
        let at = self.evaluate.call(&mut self.store, arguments).map_err(|e| anyhow!("{e:#}"))?;
        let memory = self.memory.data(&self.store);
        let answer = memory.get(usize::try_from(at)?..).context("the answer is out of bounds")?;
        let end = answer.iter().position(|byte| *byte == 0).context("unterminated answer")?;
        Ok(String::from_utf8(answer[..end].to_vec())?)
    }
}

impl Engine for Module {
    fn evaluate(&mut self, attempt: &Attempt) -> Result<Answer> {
        #[derive(serde::Deserialize)]
        struct Result {
            result: Vec<usize>,
        }
        let answer = self.evaluate(&regorus::input(attempt))?;
        let results: Vec<Result> = serde_json::from_str(&answer)?;
        let matched = results.into_iter().flat_map(|result| result.result);
        Ok(strictest(&self.rules, matched))
    }
}

/// Writes an empty data document; returns it, and where the heap begins after it.
fn no_data(
    store: &mut Store<()>,
    instance: &Instance,
    memory: Memory,
) -> wasmtime::Result<(i32, i32)> {
    let malloc = instance.get_typed_func::<i32, i32>(&mut *store, "opa_malloc")?;
    let parse = instance.get_typed_func::<(i32, i32), i32>(&mut *store, "opa_json_parse")?;
    let heap = instance.get_typed_func::<(), i32>(&mut *store, "opa_heap_ptr_get")?;
    let text = malloc.call(&mut *store, 2)?;
    memory.write(&mut *store, usize::try_from(text)?, b"{}")?;
    let data = parse.call(&mut *store, (text, 2))?;
    let heap = heap.call(&mut *store, ())?;
    Ok((data, heap))
}

fn compile(opa: &Path, rego: &str) -> Result<Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("policy-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (source, bundle) = (folder.join("rules.rego"), folder.join("bundle.tar.gz"));
    fs::write(&source, rego)?;
    let built = Command::new(opa)
        .args(["build", "-t", "wasm", "-e", "signoff/matched", "-o"])
        .args([&bundle, &source])
        .status()
        .with_context(|| format!("cannot run {}", opa.display()))?;
    ensure!(built.success(), "opa did not compile the rules");
    let unpacked = Command::new("tar").arg("-xzOf").arg(&bundle).arg("/policy.wasm").output()?;
    ensure!(unpacked.status.success(), "the bundle made by opa has no module");
    fs::remove_dir_all(&folder)?;
    Ok(unpacked.stdout)
}
