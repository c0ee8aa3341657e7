//! The engines that are compared. Each starts from the same texts (action and context), decodes them
//! itself, and ends with the verdict and the rule that took it; what can be made ready once is.

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
    fn ask(&mut self, attempt: &Attempt) -> Result<Answer>;
}

/// What a column is called, and the engine.
pub type Column = (&'static str, Box<dyn Engine>);

/// All of them with the same rules; the first is what the others are compared with.
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

/// The answer of an engine that reads signoff's rules.
fn answer(decision: &str, rule: Option<&str>) -> Result<Answer> {
    let decision = match decision {
        "allow" => Decision::Allow,
        "require_approval" => Decision::RequireApproval,
        "deny" => Decision::Deny,
        other => anyhow::bail!("`{other}` is no decision"),
    };
    let number = |id: &str| id.trim_start_matches('r').parse();
    Ok(Answer { decision, rule: rule.map(number).transpose()? })
}
