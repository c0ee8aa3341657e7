//! The verifier as a component, in wasmtime.

use std::fmt;
use std::sync::Mutex;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component as Compiled, InstancePre, Linker, TypedFunc};
use wasmtime::{Engine, ResourceLimiter, Store};

use crate::rejection::Rejection;

const WIRE: &str = "signoff:approval/wire@0.1.0";
/// Maximum memory of one instance: the largest request needs 24 MiB.
const MEMORY_BYTES_MAX: usize = 128 << 20;
/// An instance whose memory has grown beyond this is not reused: memory never shrinks.
const IDLE_BYTES_MAX: usize = 4 << 20;
/// The largest request of `wit/wire.wit`.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// A compiled component and its idle instances.
pub(crate) struct Component {
    engine: Engine,
    instance: InstancePre<Memory>,
    idle: Mutex<Vec<Instance>>,
    digest: String,
}

struct Instance {
    store: Store<Memory>,
    call: TypedFunc<(String,), (String,)>,
}

/// The memory of an instance.
#[derive(Default)]
struct Memory {
    bytes: usize,
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= MEMORY_BYTES_MAX;
        if allowed {
            self.bytes = desired;
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl Component {
    /// Compiles a component. It is linked without imports, so a component that imports anything is
    /// refused.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, Rejection> {
        let engine = Engine::default();
        let compiled = Compiled::from_binary(&engine, bytes).map_err(|e| failed(&e))?;
        let linker = Linker::new(&engine);
        let instance = linker.instantiate_pre(&compiled).map_err(|e| failed(&e))?;
        let component = Self {
            engine,
            instance,
            idle: Mutex::default(),
            digest: hex::encode(Sha256::digest(bytes)),
        };
        let first = component.instantiate()?;
        component.put_back(first);
        Ok(component)
    }

    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// Handles one request. An instance that trapped, or that needed much memory, is not reused.
    pub(crate) fn call(&self, request: &str) -> Result<String, Rejection> {
        // As the component answers it, without copying it there.
        if request.len() > REQUEST_BYTES_MAX {
            let message =
                format!("request is {} bytes, the limit is {REQUEST_BYTES_MAX}", request.len());
            return Ok(format!(r#"{{"error":{{"code":"limit-exceeded","message":"{message}"}}}}"#));
        }
        let mut instance = match self.idle.lock().ok().and_then(|mut idle| idle.pop()) {
            Some(instance) => instance,
            None => self.instantiate()?,
        };
        let Instance { store, call } = &mut instance;
        let (answer,) = call.call(store, (request.to_owned(),)).map_err(|e| failed(&e))?;
        if instance.store.data().bytes <= IDLE_BYTES_MAX {
            self.put_back(instance);
        }
        Ok(answer)
    }

    fn instantiate(&self) -> Result<Instance, Rejection> {
        let mut store = Store::new(&self.engine, Memory::default());
        store.limiter(|memory| memory);
        let instance = self.instance.instantiate(&mut store).map_err(|e| failed(&e))?;
        let wire = instance.get_export_index(&mut store, None, WIRE);
        let call = wire.and_then(|wire| instance.get_export_index(&mut store, Some(&wire), "call"));
        let call = call
            .ok_or_else(|| Rejection::failed(format!("the component does not export `{WIRE}`")))?;
        let call = instance.get_typed_func(&mut store, call).map_err(|e| failed(&e))?;
        Ok(Instance { store, call })
    }

    fn put_back(&self, instance: Instance) {
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(instance);
        }
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("digest", &self.digest).finish_non_exhaustive()
    }
}

fn failed(error: &wasmtime::Error) -> Rejection {
    Rejection::failed(format!("the component failed: {error}"))
}
