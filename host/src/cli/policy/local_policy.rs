//! A policy on this machine: rules in a runtime, or a module.

use anyhow::Context;
use serde_json::Value;

use super::include;
use super::problems::report_problems;
use super::source::{self, Source};
use super::stop::Stop;
use crate::engine::{Allocation, Cache, Compiler, Loader, digest};
use crate::policy::Attempt;
use crate::policy::{Limits, Policy, Verdict};
use crate::policy::{RulesError, RulesRuntime, Template, Trace};

/// A policy that can be evaluated.
pub(super) struct LocalPolicy {
    /// Its path on the command line.
    pub(super) file: String,
    /// Loaded rules: those of the file, or those embedded in a module.
    pub(super) loaded: Option<LoadedRules>,
    /// The module, if it is one.
    pub(super) module: Option<Module>,
}

/// Loaded rules.
pub(super) struct LoadedRules {
    pub(super) runtime: RulesRuntime,
    pub(super) rules: String,
}

/// A module that runs as on a server.
pub(super) struct Module {
    pub(super) policy: Policy,
    /// Its description of itself.
    pub(super) description: Value,
}

impl LocalPolicy {
    /// Opens a rules file or module.
    pub(super) fn open(file: &str, template: &Template, json: bool) -> Result<Self, Stop> {
        let file = file.to_owned();
        match source::either(&file)? {
            Source::Rules(rules) => {
                let mut runtime = template.runtime()?;
                let failed = |error| report_problems(&file, error, json);
                let rules = include::resolved(&file, rules, &mut runtime).map_err(failed)?;
                runtime.load(&rules).map_err(failed)?;
                Ok(Self { file, loaded: Some(LoadedRules { runtime, rules }), module: None })
            }
            Source::Module(wasm) => Self::of_module(file, &wasm, template, json),
        }
    }

    /// Opens a module, with a name for messages.
    pub(super) fn of_module(
        file: String,
        wasm: &[u8],
        template: &Template,
        json: bool,
    ) -> Result<Self, Stop> {
        source::inspect_policy(&file, wasm, json)?;
        let module = Module::run(wasm).with_context(|| format!("`{file}`"))?;
        let loaded = module.rules().map(|rules| LoadedRules::of(rules, template)).transpose()?;
        Ok(Self { file, loaded: loaded.flatten(), module: Some(module) })
    }

    /// Evaluates an attempt, with the module if there is one.
    ///
    /// # Errors
    ///
    /// Why there is no verdict.
    pub(super) fn evaluate(&mut self, attempt: &Attempt) -> Result<Verdict, String> {
        match (&self.module, &mut self.loaded) {
            (Some(module), _) => module.policy.evaluate(attempt).map_err(|e| e.to_string()),
            (None, Some(loaded)) => match loaded.runtime.evaluate(attempt) {
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
    ) -> Result<Option<(Verdict, Vec<Trace>)>, RulesError> {
        let Some(loaded) = &mut self.loaded else { return Ok(None) };
        loaded.runtime.evaluate(attempt).map(Some)
    }

    /// Returns the text of the rules, if there are rules.
    pub(super) fn rules(&self) -> Option<&str> {
        self.loaded.as_ref().map(|loaded| loaded.rules.as_str())
    }
}

impl LoadedRules {
    /// Loads rules; `None` if this version's engine cannot load them.
    fn of(rules: &str, template: &Template) -> Result<Option<Self>, Stop> {
        let mut runtime = template.runtime()?;
        match runtime.load(rules) {
            Ok(_) => Ok(Some(Self { runtime, rules: rules.to_owned() })),
            Err(RulesError::Problems(_)) => Ok(None),
            Err(RulesError::Failed(error)) => Err(error.into()),
        }
    }
}

impl Module {
    /// Loads an inspected module.
    pub(super) fn run(wasm: &[u8]) -> anyhow::Result<Self> {
        let loader = Loader::with(Allocation::OnDemand, Cache::of_user(), Compiler::Apart);
        let policy = Policy::load_by(&loader, wasm, &digest(wasm), Limits::default())?;
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
