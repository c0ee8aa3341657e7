//! `signoff policy fmt`: writes rules files in one layout.

mod layout;
mod rewrite;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests;
mod tree;

use std::io::{Write, stdout};

use clap::Args;
use serde_json::{Value, json};
use similar::TextDiff;

use super::lines::Mark;
use super::problems::{To, print};
use super::source;
use super::stop::Stop;
use crate::cli::destination::Destination;
use crate::cli::exit::Failure;
use crate::cli::{Exit, output};
use rewrite::{Unformatted, formatted};

#[derive(Args)]
#[command(
    after_help = "The members of a rule and of a test get one order, that of the reference; tables have one empty line between them, and lists are \
broken where a line is longer than 80 columns. Comments stay with what is below them or in their line. Values, their spelling and the order of rules \
never change. A byte order mark is removed. Lines end with CRLF if all of them did, otherwise with LF, but a string of several lines keeps its own ends. A file that is not TOML, or is no rules file, is left alone.\n\n\
Examples:\n  \
signoff policy fmt mail.toml\n  \
signoff policy fmt --check policies/*.toml\n  \
signoff policy fmt - < mail.toml\n\n\
Exit codes: 0 done; 1 a file cannot be formatted or, with --check or --diff, differs; 2 usage."
)]
pub(in crate::cli) struct FmtArgs {
    /// Rules files or files of tests; - reads standard input and writes to standard output
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Write nothing, and list the files that differ from their layout
    #[arg(long)]
    check: bool,
    /// Write nothing, and show the differences
    #[arg(long)]
    diff: bool,
}

/// A file and its text in the layout.
struct Formatted {
    file: String,
    before: String,
    after: String,
}

pub(super) fn run(args: &FmtArgs, json: bool) -> Result<Exit, Stop> {
    if args.files.iter().filter(|file| *file == "-").count() > 1 {
        return Err(Failure::usage("standard input can be read only once").into());
    }
    let only_shows = args.check || args.diff;
    let (mut items, mut exit) = (Vec::new(), Exit::Done);
    for file in &args.files {
        match one(file, args) {
            Ok(done) => {
                if only_shows && done.differs() {
                    exit = Exit::Failed;
                }
                if json {
                    items.push(done.as_json());
                } else {
                    done.print(args)?;
                }
            }
            // Continue with the other files.
            Err(Unformatted::Problems(problems)) => {
                exit = Exit::Failed;
                if json {
                    items.push(json!({ "file": file, "ok": false, "problems": problems }));
                } else {
                    print(file, &problems, To::Error);
                }
            }
            Err(Unformatted::Failed(failure)) if args.files.len() > 1 => {
                exit = Exit::Failed;
                failure.print();
            }
            Err(Unformatted::Failed(failure)) => return Err(Stop::Failed(failure)),
        }
    }
    if json {
        output::line(&json!({ "items": items }).to_string());
    }
    Ok(exit)
}

/// Formats one file, and writes it unless it is only shown.
fn one(file: &str, args: &FmtArgs) -> Result<Formatted, Unformatted> {
    let before = source::rules(file)?;
    let after = formatted(&before)?;
    let done = Formatted { file: file.to_owned(), before, after };
    if done.differs() && !args.check && !args.diff && file != "-" {
        let mut draft = Destination::to(file.into()).create_like_before()?;
        draft.write_all(done.after.as_bytes())?;
        draft.keep()?;
    }
    Ok(done)
}

impl Formatted {
    fn differs(&self) -> bool {
        self.before != self.after
    }

    fn print(&self, args: &FmtArgs) -> Result<(), Failure> {
        let Self { file, before, after } = self;
        if args.diff {
            if self.differs() {
                print_diff(file, before, after);
            }
        } else if args.check {
            if self.differs() {
                output::plain(file);
            }
        } else if file == "-" {
            // Unmodified: without escapes.
            stdout().write_all(after.as_bytes())?;
        } else if self.differs() {
            output::plain(&format!("formatted {file}"));
        }
        Ok(())
    }

    fn as_json(&self) -> Value {
        let mut item = json!({ "file": self.file, "ok": true, "differs": self.differs() });
        if let Some(members) = item.as_object_mut().filter(|_| self.file == "-") {
            members.insert("text".to_owned(), json!(self.after));
        }
        item
    }
}

fn print_diff(file: &str, before: &str, after: &str) {
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().header(file, &format!("{file} (formatted)")).to_string();
    for line in text.lines() {
        let mark = match line.chars().next() {
            Some('+') => Mark::Added,
            Some('-') => Mark::Removed,
            Some('@') => Mark::Changed,
            _ => Mark::Same,
        };
        output::painted(mark.style(), line);
    }
}

impl<E: Into<Failure>> From<E> for Unformatted {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
