//! The authoring runtime for rules: an instance of the template that loads a rules file, evaluates
//! attempts, and explains the verdicts.
//!
//! A rules file is untrusted input, so fuel, time and memory are limited. The limits are wider than
//! a shipped policy's, since loading parses every rule.

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wasmtime::{Instance, Memory, Module, Store, StoreLimits, StoreLimitsBuilder, Trap, TypedFunc};

use super::{Include, Loaded, Problems, Tested, Trace, snapshot};
use crate::engine::{Allocation, Cache, POLICY_TEMPLATE, Policies, digest};
use crate::policy::{Attempt, RawVerdict, Requirement, Verdict};

/// Enough for ten thousand rules with their tests.
const FUEL: u64 = 100_000_000_000;
/// Ticks of the engine's watchdog, ten a second.
const TICKS_MAX: u64 = 1_200;
const MEMORY_BYTES_MAX: usize = 256 << 20;
/// A trace names each rule that applies to the attempt, at most all of them.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The compiled template. Cheap to clone.
#[derive(Clone)]
pub struct Template {
    engine: Policies,
    module: Module,
}

/// An instance of the template. It holds the rules that were loaded last.
pub struct RulesRuntime {
    store: Store<StoreLimits>,
    instance: Instance,
    memory: Memory,
    realloc: TypedFunc<(u32, u32, u32, u32), u32>,
    call: TypedFunc<(u32, u32), u32>,
}

/// An error of the rules runtime.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The rules or the test cases have errors.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The template failed or exceeded a limit.
    #[error("the rules engine failed: {0:#}")]
    Failed(anyhow::Error),
}

/// A response: a result, or the template's error.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Returned<T> {
    Ok(T),
    Error(Value),
}

impl Template {
    /// Compiles the template, or loads it from the cache.
    ///
    /// # Errors
    ///
    /// The template does not compile, or no engine can be created.
    pub fn new(cache: &Cache) -> Result<Self> {
        let engine = Policies::new(Allocation::OnDemand)?;
        let instrumented = snapshot::instrumented(POLICY_TEMPLATE)?;
        let module = cache.load_core(engine.engine(), &instrumented, &digest(&instrumented))?;
        Ok(Self { engine, module })
    }

    /// Returns its engine, in which built policies can run too.
    pub fn policies(&self) -> &Policies {
        &self.engine
    }

    /// Creates a runtime without rules.
    ///
    /// # Errors
    ///
    /// No memory for an instance.
    pub fn runtime(&self) -> Result<RulesRuntime> {
        let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES_MAX).build();
        let mut store = Store::new(self.engine.engine(), limits);
        store.limiter(|limits| limits);
        refill(&mut store)?;
        let instance = Instance::new(&mut store, &self.module, &[]).map_err(|e| plain(&e))?;
        let memory = instance.get_memory(&mut store, "memory");
        let memory = memory.context("the template does not export its memory")?;
        if !snapshot::stack_is_empty(memory.data(&store)) {
            bail!("the template's stack is not at the start of its memory");
        }
        let realloc = instance.get_typed_func(&mut store, "cabi_realloc").map_err(|e| plain(&e))?;
        let call = instance.get_typed_func(&mut store, "author").map_err(|e| plain(&e))?;
        Ok(RulesRuntime { store, instance, memory, realloc, call })
    }
}

impl RulesRuntime {
    /// Returns the files that a rules file includes; none if the list is malformed, which
    /// [`load`](Self::load) reports.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn includes(&mut self, rules: &str) -> Result<Vec<Include>, RulesError> {
        #[derive(Deserialize)]
        struct Listed {
            includes: Vec<Include>,
        }
        let listed: Listed = self.call_template(&json!({ "op": "includes", "rules": rules }))?;
        Ok(listed.includes)
    }

    /// Loads a rules file, replacing the previous one. The files that it includes follow in the same
    /// text, as [`joined`](signoff_core::authoring::joined) writes it.
    ///
    /// # Errors
    ///
    /// The problems that prevent loading it.
    pub fn load(&mut self, rules: &str) -> Result<Loaded, RulesError> {
        self.call_template(&json!({ "op": "load", "rules": rules }))
    }

    /// Evaluates an attempt. Returns the verdict and the trace of each rule that applies. `context`
    /// and `plan` must be canonical, as written by the verifier.
    ///
    /// # Errors
    ///
    /// No rules are loaded, or the engine fails.
    pub fn evaluate(&mut self, attempt: &Attempt) -> Result<(Verdict, Vec<Trace>), RulesError> {
        #[derive(Deserialize)]
        struct Evaluated {
            verdict: Answered,
            trace: Vec<Trace>,
        }
        let evaluated: Evaluated =
            self.call_template(&json!({ "op": "evaluate", "attempt": attempt }))?;
        Ok((evaluated.verdict.read().map_err(RulesError::Failed)?, evaluated.trace))
    }

    /// Runs the tests in the rules file, then those in `cases`, a TOML text with only tests.
    ///
    /// # Errors
    ///
    /// Errors in the cases; no rules are loaded.
    pub fn test(&mut self, cases: Option<&str>) -> Result<Tested, RulesError> {
        let mut request = json!({ "op": "test" });
        if let (Some(cases), Some(members)) = (cases, request.as_object_mut()) {
            members.insert("cases".to_owned(), cases.into());
        }
        self.call_template(&request)
    }

    /// Returns the policy's description of itself.
    ///
    /// # Errors
    ///
    /// No rules are loaded, or the engine fails.
    pub fn describe(&mut self) -> Result<Value, RulesError> {
        self.call_template(&json!({ "op": "describe" }))
    }

    /// Returns the size of its memory in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// Returns the template with the rules of this instance.
    pub(super) fn snapshot(mut self) -> Result<Vec<u8>> {
        snapshot::snapshot(POLICY_TEMPLATE, &mut self.store, self.instance)
    }

    fn call_template<T: DeserializeOwned>(&mut self, request: &Value) -> Result<T, RulesError> {
        let answer = self.exchange(&request.to_string()).map_err(RulesError::Failed)?;
        match serde_json::from_str(&answer) {
            Ok(Returned::Ok(answer)) => Ok(answer),
            Ok(Returned::Error(error)) => Err(refusal(&error)),
            Err(e) => Err(RulesError::Failed(anyhow!("its answer is malformed: {e}"))),
        }
    }

    /// Sends a request to the template's `author` export and returns its response.
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
        let answer = answer.context("its answer is outside its memory")?;
        Ok(std::str::from_utf8(answer).context("its answer is not UTF-8")?.to_owned())
    }
}

/// A verdict in the template's format: the requirement is a JSON object, not a text.
#[derive(Deserialize)]
struct Answered {
    decision: String,
    rule: Option<String>,
    reason: Option<String>,
    requirement: Option<Requirement>,
    failed: Vec<String>,
}

impl Answered {
    /// Validated as strictly as a shipped policy's verdict.
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

/// Converts an error of the template: its problems if it has any, else its message.
fn refusal(error: &Value) -> RulesError {
    if let Ok(problems) = Problems::deserialize(error) {
        return RulesError::Problems(problems);
    }
    let message = error.get("message").and_then(Value::as_str).map(str::to_owned);
    RulesError::Failed(anyhow!(message.unwrap_or_else(|| error.to_string())))
}

/// Resets the limits: each request gets the full budget.
fn refill(store: &mut Store<StoreLimits>) -> Result<()> {
    store.set_epoch_deadline(TICKS_MAX);
    store.set_fuel(FUEL).map_err(|e| plain(&e))
}

/// Returns why a call failed.
fn why(error: &wasmtime::Error) -> anyhow::Error {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => anyhow!("it used up its fuel of {FUEL} units"),
        Some(Trap::Interrupt) => anyhow!("it exceeded its time limit"),
        Some(trap) => anyhow!("{trap}"),
        None => anyhow!("{error:#}"),
    }
}

fn plain(error: &wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}
