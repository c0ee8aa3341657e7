//! `signoff policy check`: reports problems of rules files.

use clap::Args;
use serde_json::{Value, json};

use super::include;
use super::problems::{To, print};
use super::source;
use super::stop::Stop;
use crate::cli::{Exit, Global, output};
use crate::config::Config;
use crate::engine::Cache;
use crate::keys::Keys;
use crate::policy::{Loaded, Problem, RulesError, Severity, Template};

#[derive(Args)]
#[command(
    after_help = "With --keyring FILE the requirements that nobody with a key in it can meet are warned about; public \
entries suffice. --config FILE gives the accepted signatures and the minimum.\n\n\
Exit codes: 0 no file has an error, 1 a file has an error or cannot be read."
)]
pub(in crate::cli) struct CheckArgs {
    /// Rules files, or - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
}

/// The result for one file.
struct Found {
    file: String,
    /// Its name and numbers of rules and tests, if it loads.
    holds: Option<(String, usize, usize)>,
    problems: Vec<Problem>,
}

/// The approvers whose keys must be able to meet the rules' requirements.
struct Approvers {
    keys: Keys,
    config: Config,
}

pub(super) fn run(args: &CheckArgs, global: &Global) -> Result<Exit, Stop> {
    let json = global.json;
    let approvers = match &global.keyring {
        Some(keyring) => {
            Some(Approvers { keys: Keys::of_file(keyring)?, config: global.config()? })
        }
        None => None,
    };
    let template = Template::new(&Cache::of_user())?;
    let mut items = Vec::new();
    let mut failed = false;
    for file in &args.files {
        match found(&template, file, approvers.as_ref()) {
            Ok(found) => {
                failed |= found.fails(args.deny_warnings);
                if json {
                    items.push(found.as_json(args.deny_warnings));
                } else {
                    found.print();
                }
            }
            // Continue with the other files.
            Err(Stop::Failed(failure)) if args.files.len() > 1 => {
                failed = true;
                failure.print();
            }
            Err(stop) => return Err(stop),
        }
    }
    if json {
        output::line(&json!({ "items": items }).to_string());
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn found(template: &Template, file: &str, approvers: Option<&Approvers>) -> Result<Found, Stop> {
    let text = source::rules(file)?;
    let mut runtime = template.runtime()?;
    let loaded = include::resolved(file, text, &mut runtime)
        .and_then(|text| runtime.load(&text).map(|loaded| (loaded, text)));
    let file = file.to_owned();
    match loaded {
        Ok((mut loaded, text)) => {
            let short = approvers.map(|approvers| approvers.unmeetable(&loaded, &text));
            loaded.problems.extend(short.unwrap_or_default());
            loaded
                .problems
                .sort_by_key(|problem| (problem.file.clone(), problem.line, problem.column));
            let holds = Some((loaded.name, loaded.rules, loaded.tests));
            Ok(Found { file, holds, problems: loaded.problems })
        }
        Err(RulesError::Problems(problems)) => {
            Ok(Found { file, holds: None, problems: problems.problems })
        }
        Err(RulesError::Failed(error)) => Err(error.context(format!("`{file}`")).into()),
    }
}

impl Approvers {
    /// Returns a warning for each requirement that the approvers with a key cannot meet.
    fn unmeetable(&self, loaded: &Loaded, text: &str) -> Vec<Problem> {
        let Self { keys, config } = self;
        let short = loaded.requirements.iter().filter_map(|rule| {
            let required = rule.requirement.clone().stricter(&config.requirement.requirement());
            let short = keys.short_of(&config.signatures.accept, required)?;
            Some(Problem {
                severity: Severity::Warning,
                file: None,
                rule: Some(rule.rule.clone()),
                line: rule.line,
                column: 1,
                message: format!("requires {short}: its requests would be refused"),
                source: text.lines().nth(rule.line.saturating_sub(1)).unwrap_or("").to_owned(),
            })
        });
        short.collect()
    }
}

impl Found {
    fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    fn fails(&self, deny_warnings: bool) -> bool {
        self.holds.is_none() || (deny_warnings && !self.problems.is_empty())
    }

    fn print(&self) {
        print(&self.file, &self.problems, To::Output);
        let counted = [(Severity::Error, "error"), (Severity::Warning, "warning")]
            .map(|(severity, word)| (self.count(severity), word));
        let mut said: Vec<String> = Vec::new();
        if let Some((name, rules, tests)) = &self.holds {
            let (rules, tests) = (output::count(*rules, "rule"), output::count(*tests, "test"));
            said.push(format!("`{name}` has {rules} and {tests}"));
        }
        let counted = counted.into_iter().filter(|(count, _)| *count > 0);
        said.extend(counted.map(|(count, word)| output::count(count, word)));
        output::plain(&format!("{}: {}", self.file, said.join(", ")));
    }

    fn as_json(&self, deny_warnings: bool) -> Value {
        let (name, rules, tests) = match &self.holds {
            Some((name, rules, tests)) => (Some(name), Some(rules), Some(tests)),
            None => (None, None, None),
        };
        json!({
            "file": self.file, "ok": !self.fails(deny_warnings), "name": name, "rules": rules,
            "tests": tests, "problems": self.problems,
        })
    }
}
