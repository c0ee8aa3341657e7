//! Deploys what was approved.
//!
//!     cargo run -p signoff-client --example deploy -- prod 3
//!
//! Settings come from `SIGNOFF_SERVER`, `SIGNOFF_TOKEN`, `SIGNOFF_AUDIENCE` and `SIGNOFF_KEYS`, or from
//! `signoff login`.

use std::error::Error;
use std::io;

use serde::{Deserialize, Serialize};
use signoff_client::{Action, Context, Execution, GuardError, blocking};

#[derive(Deserialize, Serialize)]
struct Deployment {
    target: String,
    replicas: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(target), Some(replicas)) = (arguments.next(), arguments.next()) else {
        return Err("usage: deploy TARGET REPLICAS".into());
    };
    let deployment = Deployment { target, replicas: replicas.parse()? };

    let client = blocking::Client::from_env()?;
    let action = Action::new("deployer", "deploy", Context::new(&deployment)?);
    match client.guard(action, |execution| deploy(&execution)) {
        Ok(()) => Ok(()),
        Err(GuardError::NotRun(e)) => Err(format!("nothing ran: {e}").into()),
        Err(e) => Err(e.into()),
    }
}

/// Runs on what was approved, not on what was asked for.
fn deploy(execution: &Execution) -> Result<(), io::Error> {
    let approved: Deployment = execution.context().map_err(io::Error::other)?;
    for approver in execution.approvers() {
        println!("approved by {}", approver.approver);
    }
    println!("deploying {} replicas to {}", approved.replicas, approved.target);
    Ok(())
}
