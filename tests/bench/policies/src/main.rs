//! Compares the cost of a verdict with other policy engines, and measures components of world `policy`.
//!
//!     cargo run --release -- compare [--opa FILE] [--seconds N]
//!     cargo run --release -- rules COUNT
//!     cargo run --release -- cost FILE…
//!     cargo run --release -- cases CASES FILE…
//!
//! `compare` gives every engine the same rules and the same attempts, and measures nothing unless all
//! give the same answers. `--opa` names OPA's binary, which compiles Rego to WebAssembly (install it with
//! `go install github.com/open-policy-agent/opa@VERSION`); without it that column is left out. `rules`
//! prints the rules file of the comparison. `cost` prints the fuel, memory and time of a component.
//! `cases` tests a component with a file of cases such as `guest/examples/cases.json`.

mod cases;
mod compare;
mod cost;
mod engines;
mod rules;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("compare") => {
            let (mut opa, mut seconds) = (None, 1.0);
            while let Some(argument) = arguments.next() {
                let mut value =
                    || arguments.next().with_context(|| format!("{argument} takes a value"));
                match argument.as_str() {
                    "--opa" => opa = Some(PathBuf::from(value()?)),
                    "--seconds" => {
                        seconds = value()?.parse().context("--seconds takes a number")?
                    }
                    other => bail!("unknown argument `{other}`"),
                }
            }
            compare::run(opa.as_deref(), Duration::try_from_secs_f64(seconds)?)
        }
        Some("rules") => {
            let count = arguments.next().context("rules takes a number")?.parse()?;
            print!("{}", engines::toml(&rules::set(count)));
            Ok(())
        }
        Some("cost") => cost::run(&arguments.map(PathBuf::from).collect::<Vec<_>>()),
        Some("cases") => {
            let cases = arguments.next().context("cases takes a file of cases")?;
            cases::run(cases.as_ref(), &arguments.map(PathBuf::from).collect::<Vec<_>>())
        }
        _ => bail!("expected `compare`, `rules`, `cost` or `cases`"),
    }
}
