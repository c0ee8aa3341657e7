//! The rules engine at a bench: an instance of the template that loads a rules file, answers, and
//! tells why.
//!
//! A rules file comes from a person and may be anything, so the bench has bounds: fuel, time and
//! memory. They are wider than a shipped policy's, since loading parses every rule.

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wasmtime::{Instance, Memory, Module, Store, StoreLimits, StoreLimitsBuilder, Trap, TypedFunc};

use super::answers::{Loaded, Problems, Tested, Trace};
use super::snapshot;
use crate::engine::{
    Allocation, Attempt, Cache, POLICY_TEMPLATE, Policies, RawVerdict, Requirement, Verdict, digest,
};

/// Enough for ten thousand rules with their tests.
const FUEL: u64 = 100_000_000_000;
/// Ticks of the engine's watchdog, ten a second.
const TICKS_MAX: u64 = 1_200;
const MEMORY_BYTES_MAX: usize = 256 << 20;
/// A trace names each rule that concerns the attempt, at most all of them.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The compiled template. Cheap to clone.
#[derive(Clone)]
pub struct Template {
    engine: Policies,
    module: Module,
}

/// An instance of the template. It keeps the rules that it loaded last.
pub struct Workbench {
    store: Store<StoreLimits>,
    instance: Instance,
    memory: Memory,
    realloc: TypedFunc<(u32, u32, u32, u32), u32>,
    call: TypedFunc<(u32, u32), u32>,
}

/// Why the bench gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The rules, or the test cases, are wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The template failed, or used up what it may.
    #[error("the rules engine failed: {0:#}")]
    Failed(anyhow::Error),
}

/// An answer, or what the template has against the request.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer<T> {
    Ok(T),
    Error(Value),
}

impl Template {
    /// Compiles the template, or loads it as it was compiled before.
    ///
    /// # Errors
    ///
    /// Where it does not compile, or no engine can be had.
    pub fn new(cache: &Cache) -> Result<Self> {
        let engine = Policies::new(Allocation::OnDemand)?;
        let instrumented = snapshot::instrumented(POLICY_TEMPLATE)?;
        let module = cache.load_core(engine.engine(), &instrumented, &digest(&instrumented))?;
        Ok(Self { engine, module })
    }

    /// The engine that it runs in, and that what is built from it can be run in.
    pub fn policies(&self) -> &Policies {
        &self.engine
    }

    /// An empty bench.
    ///
    /// # Errors
    ///
    /// Where there is no memory for it.
    pub fn workbench(&self) -> Result<Workbench> {
        let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES_MAX).build();
        let mut store = Store::new(self.engine.engine(), limits);
        store.limiter(|limits| limits);
        refill(&mut store)?;
        let instance = Instance::new(&mut store, &self.module, &[]).map_err(|e| plain(&e))?;
        let memory = instance.get_memory(&mut store, "memory");
        let memory = memory.context("the template exports no memory")?;
        if !snapshot::stack_is_empty(memory.data(&store)) {
            bail!("the template's stack does not lie at the start of its memory");
        }
        let realloc = instance.get_typed_func(&mut store, "cabi_realloc").map_err(|e| plain(&e))?;
        let call = instance.get_typed_func(&mut store, "workbench").map_err(|e| plain(&e))?;
        Ok(Workbench { store, instance, memory, realloc, call })
    }
}

impl Workbench {
    /// Loads a rules file in the place of the one before.
    ///
    /// # Errors
    ///
    /// What keeps it from being loaded.
    pub fn load(&mut self, rules: &str) -> Result<Loaded, BenchError> {
        self.ask(&json!({ "op": "load", "rules": rules }))
    }

    /// The verdict on an attempt, and how each rule that concerns it answered. `context` and `plan` are
    /// canonical, as the verifier writes them.
    ///
    /// # Errors
    ///
    /// Where nothing is loaded, or the engine fails.
    pub fn evaluate(&mut self, attempt: &Attempt) -> Result<(Verdict, Vec<Trace>), BenchError> {
        #[derive(Deserialize)]
        struct Evaluated {
            verdict: Answered,
            trace: Vec<Trace>,
        }
        let Attempt { agent, action, context, plan, facts, now } = attempt;
        let attempt = json!({
            "agent": agent, "action": action, "context": context, "plan": plan, "facts": facts,
            "now": now,
        });
        let evaluated: Evaluated = self.ask(&json!({ "op": "evaluate", "attempt": attempt }))?;
        Ok((evaluated.verdict.read().map_err(BenchError::Failed)?, evaluated.trace))
    }

    /// Runs the rules file's own tests, then those of another text, a TOML file of nothing but tests.
    ///
    /// # Errors
    ///
    /// What is wrong with the cases; where nothing is loaded.
    pub fn test(&mut self, cases: Option<&str>) -> Result<Tested, BenchError> {
        let mut request = json!({ "op": "test" });
        if let (Some(cases), Some(members)) = (cases, request.as_object_mut()) {
            members.insert("cases".to_owned(), cases.into());
        }
        self.ask(&request)
    }

    /// What the policy says of itself.
    ///
    /// # Errors
    ///
    /// Where nothing is loaded, or the engine fails.
    pub fn describe(&mut self) -> Result<Value, BenchError> {
        self.ask(&json!({ "op": "describe" }))
    }

    /// Bytes of its memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// The template with what this instance has loaded.
    pub(super) fn snapshot(mut self) -> Result<Vec<u8>> {
        snapshot::snapshot(POLICY_TEMPLATE, &mut self.store, self.instance)
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Value) -> Result<T, BenchError> {
        let answer = self.exchange(&request.to_string()).map_err(BenchError::Failed)?;
        match serde_json::from_str(&answer) {
            Ok(Answer::Ok(answer)) => Ok(answer),
            Ok(Answer::Error(error)) => Err(refusal(&error)),
            Err(e) => Err(BenchError::Failed(anyhow!("its answer is out of form: {e}"))),
        }
    }

    /// A request in, an answer out, as the template's `workbench` export has them.
    fn exchange(&mut self, request: &str) -> Result<String> {
        refill(&mut self.store)?;
        let length = u32::try_from(request.len()).context("the request is too long")?;
        let at = self.realloc.call(&mut self.store, (0, 0, 1, length)).map_err(|e| why(&e))?;
        self.memory.write(&mut self.store, at as usize, request.as_bytes())?;
        let pair = self.call.call(&mut self.store, (at, length)).map_err(|e| why(&e))?;
        let mut words = [0; 8];
        self.memory.read(&self.store, pair as usize, &mut words)?;
        let [a, b, c, d, e, f, g, h] = words;
        let start = u32::from_le_bytes([a, b, c, d]) as usize;
        let length = u32::from_le_bytes([e, f, g, h]) as usize;
        if length > ANSWER_BYTES_MAX {
            bail!("its answer is {length} bytes, the limit is {ANSWER_BYTES_MAX}");
        }
        let answer = self.memory.data(&self.store).get(start..start.saturating_add(length));
        let answer = answer.context("its answer lies outside its memory")?;
        Ok(std::str::from_utf8(answer).context("its answer is not UTF-8")?.to_owned())
    }
}

/// A verdict as the bench tells it: the requirement is a JSON object, not yet a text.
#[derive(Deserialize)]
struct Answered {
    decision: String,
    rule: Option<String>,
    reason: Option<String>,
    requirement: Option<Requirement>,
    failed: Vec<String>,
}

impl Answered {
    /// Read as strictly as a shipped policy's.
    fn read(self) -> Result<Verdict> {
        let requirement = self.requirement.map(|requirement| serde_json::to_string(&requirement));
        Ok(Verdict::read(RawVerdict {
            decision: self.decision,
            rule: self.rule,
            reason: self.reason,
            requirement: requirement.transpose()?,
            failed: self.failed,
        })?)
    }
}

/// Problems where it tells some, else its sentence.
fn refusal(error: &Value) -> BenchError {
    if let Ok(problems) = Problems::deserialize(error) {
        return BenchError::Problems(problems);
    }
    let message = error.get("message").and_then(Value::as_str).map(str::to_owned);
    BenchError::Failed(anyhow!(message.unwrap_or_else(|| error.to_string())))
}

/// Each request gets the whole of what one may take.
fn refill(store: &mut Store<StoreLimits>) -> Result<()> {
    store.set_epoch_deadline(TICKS_MAX);
    store.set_fuel(FUEL).map_err(|e| plain(&e))
}

/// Why a call ended, in one sentence.
fn why(error: &wasmtime::Error) -> anyhow::Error {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => anyhow!("it used up its fuel of {FUEL} units"),
        Some(Trap::Interrupt) => anyhow!("it took too long"),
        Some(trap) => anyhow!("{trap}"),
        None => anyhow!("{error:#}"),
    }
}

fn plain(error: &wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}
