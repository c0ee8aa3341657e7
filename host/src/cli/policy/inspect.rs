//! `signoff policy inspect`: shows a module and its rules.

use std::io::{Write, stdout};

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::{Value, json};

use super::local_policy::Module;
use super::source;
use super::stop::Stop;
use crate::cli::{Exit, output};
use crate::engine::{Cache, digest};
use crate::policy::{RulesError, Shape, Template, build_with, shape};

#[derive(Args)]
#[command(
    after_help = "A module that contains its rules is rebuilt from them: `rebuilt` shows whether this signoff produces exactly the same \
bytes.\n\nExit codes: 0 done, 1 failed, 3 the module would be refused by a server."
)]
pub(in crate::cli) struct InspectArgs {
    /// A module, or - for standard input
    #[arg(value_name = "MODULE")]
    module: String,
    /// Print only the rules file that it was built from, and the files that it includes, each after a
    /// line with its name; every command reads this text
    #[arg(long)]
    rules: bool,
}

/// Whether the embedded rules build these bytes.
enum Rebuilt {
    /// It does not contain its rules.
    NoRules,
    Same,
    /// This version builds another module from them, or none.
    Other(Option<String>),
}

pub(super) fn run(args: &InspectArgs, json: bool) -> Result<Exit, Stop> {
    let wasm = source::module(&args.module, json)?;
    let module = Module::run(&wasm).with_context(|| format!("`{}`", args.module))?;
    if args.rules {
        let rules = module.rules();
        let rules = rules.ok_or_else(|| anyhow!("`{}` does not contain its rules", args.module))?;
        // Unmodified: without escapes or a trailing line feed.
        if json {
            output::line(&json!({ "rules": rules }).to_string());
        } else {
            stdout().write_all(rules.as_bytes())?;
        }
        return Ok(Exit::Done);
    }
    let rebuilt = rebuilt(&module, &wasm)?;
    let shape = shape(&wasm);
    if json {
        print_json(&module, &wasm, &shape, &rebuilt);
    } else {
        print(&module, &wasm, &shape, &rebuilt);
    }
    Ok(Exit::Done)
}

fn rebuilt(module: &Module, wasm: &[u8]) -> Result<Rebuilt, Stop> {
    let Some(rules) = module.rules() else { return Ok(Rebuilt::NoRules) };
    match build_with(&Template::new(&Cache::of_user())?, rules) {
        Ok(built) if built.wasm == wasm => Ok(Rebuilt::Same),
        Ok(built) => Ok(Rebuilt::Other(Some(built.digest))),
        Err(RulesError::Problems(_)) => Ok(Rebuilt::Other(None)),
        Err(RulesError::Failed(error)) => Err(error.into()),
    }
}

fn print(module: &Module, wasm: &[u8], shape: &Shape, rebuilt: &Rebuilt) {
    let field = |name: &str, value: &str| output::plain(&format!("{name:<9}{value}"));
    field("digest", &digest(wasm));
    field("bytes", &wasm.len().to_string());
    let listed = |names: &[String]| match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    };
    field("imports", &listed(&shape.imports));
    field("exports", &listed(&shape.exports));
    match &module.description {
        Value::Object(members) => {
            for (name, value) in members.iter().filter(|(name, _)| *name != "rules") {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                output::plain(&format!("says     {name}: {}", value.replace('\n', " ")));
            }
        }
        other => field("says", &other.to_string()),
    }
    match rebuilt {
        Rebuilt::NoRules => {}
        Rebuilt::Same => field("rebuilt", "the embedded rules build exactly these bytes"),
        Rebuilt::Other(Some(digest)) => {
            field("rebuilt", &format!("no: this signoff builds {digest} from the embedded rules"));
        }
        Rebuilt::Other(None) => {
            field("rebuilt", "no: this signoff cannot load the embedded rules");
        }
    }
}

fn print_json(module: &Module, wasm: &[u8], shape: &Shape, rebuilt: &Rebuilt) {
    let (same, other) = match rebuilt {
        Rebuilt::NoRules => (None, None),
        Rebuilt::Same => (Some(true), None),
        Rebuilt::Other(digest) => (Some(false), digest.clone()),
    };
    let output = json!({
        "slot": "policy", "digest": digest(wasm), "bytes": wasm.len(), "imports": shape.imports,
        "exports": shape.exports, "describe": module.description, "rebuilt": same,
        "rebuilt_digest": other,
    });
    output::line(&output.to_string());
}
