//! A policy on this machine: rules in a workbench, or a module.

use anyhow::Context;
use serde_json::Value;

use super::problems::told;
use super::source::{self, Source};
use super::stop::Stop;
use crate::engine::Attempt;
use crate::engine::{Allocation, Cache, Compiler, Limits, Loader, Policy, Verdict, digest};
use crate::policy::{BenchError, Template, Trace, Workbench};

/// A policy that can be evaluated.
pub(super) struct Judge {
    /// Its path on the command line.
    pub(super) file: String,
    /// Loaded rules: those of the file, or those embedded in a module.
    pub(super) bench: Option<Bench>,
    /// The module, if it is one.
    pub(super) module: Option<Module>,
}

/// Loaded rules.
pub(super) struct Bench {
    pub(super) workbench: Workbench,
    pub(super) rules: String,
}

/// A module that runs as on a server.
pub(super) struct Module {
    pub(super) policy: Policy,
    /// Its description of itself.
    pub(super) description: Value,
}

impl Judge {
    /// Opens a rules file or module.
    pub(super) fn open(file: &str, template: &Template, json: bool) -> Result<Self, Stop> {
        let file = file.to_owned();
        match source::either(&file)? {
            Source::Rules(rules) => {
                let mut workbench = template.workbench()?;
                workbench.load(&rules).map_err(|error| told(&file, error, json))?;
                Ok(Self { file, bench: Some(Bench { workbench, rules }), module: None })
            }
            Source::Module(wasm) => {
                source::looked_at(&file, &wasm, json)?;
                let module = Module::run(&wasm).with_context(|| format!("`{file}`"))?;
                let bench = module.rules().map(|rules| Bench::of(rules, template)).transpose()?;
                Ok(Self { file, bench: bench.flatten(), module: Some(module) })
            }
        }
    }

    /// Evaluates an attempt, with the module if there is one.
    ///
    /// # Errors
    ///
    /// Why there is no verdict.
    pub(super) fn ask(&mut self, attempt: &Attempt) -> Result<Verdict, String> {
        match (&self.module, &mut self.bench) {
            (Some(module), _) => module.policy.evaluate(attempt).map_err(|e| e.to_string()),
            (None, Some(bench)) => match bench.workbench.evaluate(attempt) {
                Ok((verdict, _)) => Ok(verdict),
                Err(error) => Err(error.to_string()),
            },
            (None, None) => Err("there is no policy".to_owned()),
        }
    }

    /// Evaluates an attempt with the rules and returns the trace, if there are rules.
    pub(super) fn explain(
        &mut self,
        attempt: &Attempt,
    ) -> Result<Option<(Verdict, Vec<Trace>)>, BenchError> {
        let Some(bench) = &mut self.bench else { return Ok(None) };
        bench.workbench.evaluate(attempt).map(Some)
    }

    /// Returns the text of the rules, if there are rules.
    pub(super) fn rules(&self) -> Option<&str> {
        self.bench.as_ref().map(|bench| bench.rules.as_str())
    }
}

impl Bench {
    /// Loads rules; `None` if this version's engine cannot load them.
    fn of(rules: &str, template: &Template) -> Result<Option<Self>, Stop> {
        let mut workbench = template.workbench()?;
        match workbench.load(rules) {
            Ok(_) => Ok(Some(Self { workbench, rules: rules.to_owned() })),
            Err(BenchError::Problems(_)) => Ok(None),
            Err(BenchError::Failed(error)) => Err(error.into()),
        }
    }
}

impl Module {
    /// Loads an inspected module.
    pub(super) fn run(wasm: &[u8]) -> anyhow::Result<Self> {
        let loader = Loader::with(Allocation::OnDemand, Cache::of_user(), Compiler::Apart);
        let policy = loader.policy(wasm, &digest(wasm), Limits::default())?;
        let description = policy.describe()?;
        // A module in another language may return any text.
        let description = serde_json::from_str(&description).unwrap_or(Value::String(description));
        Ok(Self { policy, description })
    }

    /// Returns the embedded rules, according to its description.
    pub(super) fn rules(&self) -> Option<&str> {
        let is_of_rules = self.description.get("kind").and_then(Value::as_str) == Some("rules");
        self.description.get("rules").and_then(Value::as_str).filter(|_| is_of_rules)
    }
}
