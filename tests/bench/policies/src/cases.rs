//! Tests a component with a file of cases, in the way a slot runs it: the verifier canonicalizes the
//! context, a fresh instance answers under the usual limits, and the host reads the answer strictly.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use signoff::engine::{Allocation, Cache, Loader, digest};
use signoff::policy::{Attempt, Limits, Policy};
use signoff::verifier::Verifier;
use signoff_core::facts::Facts;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    agent: String,
    action: String,
    context: Value,
    /// The members that the verdict has.
    verdict: Option<Value>,
    /// The policy gives no verdict.
    #[serde(default)]
    fails: bool,
}

/// Fails at the first case with another answer.
pub fn run(cases: &Path, files: &[PathBuf]) -> Result<()> {
    let cases: Vec<Case> = serde_json::from_str(&fs::read_to_string(cases)?)?;
    ensure!(!cases.is_empty() && !files.is_empty(), "no cases or no component");
    let loader = Loader::new(Allocation::OnDemand, Cache::of_user());
    let verifier = Verifier::embedded(loader.allocation(), loader.cache())?;
    for file in files {
        let wasm = fs::read(file).with_context(|| file.display().to_string())?;
        let policy = Policy::load_by(&loader, &wasm, &digest(&wasm), Limits::default())?;
        for case in &cases {
            hold(&verifier, &policy, case).with_context(|| case.name.clone())?;
        }
        println!("{}: {} cases", file.display(), cases.len());
    }
    Ok(())
}

fn hold(verifier: &Verifier, policy: &Policy, case: &Case) -> Result<()> {
    let text = case.context.to_string();
    let context = verifier.canonicalize(&text);
    let answer = policy.evaluate(&Attempt {
        agent: case.agent.clone(),
        action: case.action.clone(),
        context: context.map_err(|e| anyhow!("{e}"))?,
        plan: None,
        facts: Facts::of_request(&format!("agent:{}", case.agent)).to_text(),
        now: 1_760_000_000,
    });
    match (answer, &case.verdict) {
        (Err(_), None) if case.fails => Ok(()),
        (Ok(verdict), Some(expected)) => {
            let mut said = serde_json::to_value(&verdict)?;
            if let Some(members) = said.as_object_mut() {
                members.retain(|_, value| !value.is_null() && *value != Value::Array(Vec::new()));
            }
            ensure!(said == *expected, "it says {said}, expected {expected}");
            Ok(())
        }
        (Ok(verdict), None) => bail!("it says {verdict:?}, expected no verdict"),
        (Err(failure), Some(_)) => bail!("{failure}"),
        (Err(failure), None) => bail!("a case has a verdict or fails: {failure}"),
    }
}
