//! Evaluates conditions for `tests/runners/cel`, which compares the results with another
//! implementation's. A line `{"when": …, "context": "{…}"}` gives `{"bool": …}`, `{"error": "…"}` if
//! the evaluation fails, or `{"refused": ["…"]}` if the check refuses the condition. `plan`, `facts`,
//! `agent`, `action` and `now` are optional; context, plan and facts are JSON texts.
//!
//! With the argument `functions`, prints the functions that a condition may call, one per line.

#![expect(clippy::print_stdout, reason = "it is a filter")]

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use cel::{Context, Env};
use serde::Deserialize;
use serde_json::{Value, json};
use signoff_policy::attempt::Attempt;
use signoff_policy::condition::{
    Condition, Constant, Given, Outcome, Scope, Tables, environment, functions,
};
use signoff_policy::constants::Constants;
use signoff_policy::json::big_was_touched;

/// Bytes of stack for the parser, which uses more in a debug build.
const STACK_BYTES: usize = 256 << 20;

#[derive(Deserialize)]
struct Request {
    when: String,
    #[serde(default = "empty")]
    context: String,
    plan: Option<String>,
    #[serde(default = "empty")]
    facts: String,
    #[serde(default)]
    agent: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    now: u64,
}

fn empty() -> String {
    "{}".to_owned()
}

fn main() -> io::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("functions") {
        list();
        return Ok(());
    }
    let env = Arc::new(environment().map_err(|error| io::Error::other(error.to_string()))?);
    let answers =
        std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || answer(&env))?;
    answers.join().map_err(|_| io::Error::other("a condition stopped the evaluation"))?
}

fn list() {
    for function in functions() {
        let takes: Vec<&str> = function.takes.iter().map(|one| one.name()).collect();
        println!(
            "{}",
            json!({
                "name": function.name,
                "method": function.method,
                "takes": takes,
                "gives": function.gives.name(),
            })
        );
    }
}

fn answer(env: &Arc<Env>) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?).map_err(io::Error::other)?;
        writeln!(output, "{}", evaluate(&request, env))?;
        output.flush()?;
    }
    Ok(())
}

fn evaluate(request: &Request, env: &Arc<Env>) -> Value {
    let mut tables = Tables::default();
    let condition = match Condition::compile(
        &request.when,
        env,
        &mut tables,
        Given::new(&Constants::default()),
    ) {
        Ok((condition, _)) => condition,
        Err(faults) => {
            let messages: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
            return json!({ "refused": messages });
        }
    };
    let attempt = Attempt {
        agent: &request.agent,
        action: &request.action,
        context: &request.context,
        plan: request.plan.as_deref(),
        facts: &request.facts,
        now: request.now,
    };
    let scope = Scope::new(&attempt, &tables);
    let mut context = Context::with_env(Arc::clone(env));
    context.set_variable_resolver(&scope);
    let outcome = condition.outcome(&context);
    let answer = match outcome {
        Outcome::Bool(bool) => json!({ "bool": bool }),
        Outcome::Error => json!({ "error": condition.error(&context, &tables) }),
    };
    match condition.constant {
        // The constant is found without a context, so it does not know of integers beyond 64 bits.
        Some(constant) if folded(constant) != outcome && !big_was_touched() => {
            json!({ "contradiction": format!("{constant:?} at load, {answer} later") })
        }
        _ => answer,
    }
}

fn folded(constant: Constant) -> Outcome {
    match constant {
        Constant::Bool(bool) => Outcome::Bool(bool),
        Constant::Error => Outcome::Error,
    }
}
