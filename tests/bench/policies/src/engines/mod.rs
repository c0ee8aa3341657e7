//! The compared engines. Each starts from the same texts (action and context), decodes them itself, and
//! returns the verdict and the rule that decided. All other preparation is done once.

mod cedar;
mod cel;
mod component;
mod native;
mod opa;
mod regorus;

use std::path::Path;

use anyhow::Result;

pub use self::component::toml;

use crate::rules::{Answer, Attempt, Decision, Rule};

/// An engine with its rules loaded.
pub trait Engine {
    fn evaluate(&mut self, attempt: &Attempt) -> Result<Answer>;
}

/// A column's name, and the engine.
pub type Column = (&'static str, Box<dyn Engine>);

/// Returns all engines with the same rules; the others are compared with the first.
pub fn all(rules: &[Rule], opa: Option<&Path>) -> Result<Vec<Column>> {
    let toml = toml(rules);
    let mut engines: Vec<Column> = vec![
        ("component", Box::new(component::Module::new(&toml)?)),
        ("the same, native", Box::new(native::Native::new(&toml)?)),
        ("cel", Box::new(cel::Conditions::new(rules)?)),
        ("cedar", Box::new(cedar::Policies::new(rules)?)),
        ("regorus", Box::new(regorus::Program::new(rules)?)),
    ];
    if let Some(opa) = opa {
        engines.push(("OPA's wasm", Box::new(opa::Module::new(opa, rules)?)));
    }
    Ok(engines)
}

/// Decodes the answer of an engine that reads signoff's rules.
fn answer(decision: &str, rule: Option<&str>) -> Result<Answer> {
    let decision = match decision {
        "allow" => Decision::Allow,
        "require_approval" => Decision::RequireApproval,
        "deny" => Decision::Deny,
        other => anyhow::bail!("unknown decision `{other}`"),
    };
    let number = |id: &str| id.trim_start_matches('r').parse();
    Ok(Answer { decision, rule: rule.map(number).transpose()? })
}
