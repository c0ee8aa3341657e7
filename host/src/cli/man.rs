//! `signoff man`: the manual pages, made of the same definitions as `--help`.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{Exit, exit::Failure, output};
use crate::folder::Folder;

const VERSION: &str = concat!("signoff ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "signoff manual";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// Write a page for each command to this folder, which is created if it is missing; without it
    /// the page of `signoff` is printed
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  signoff man | man -l -
  signoff man ~/.local/share/man/man1   # then: man signoff-serve";

/// One manual page: its file name, and its text in roff.
struct Page {
    file: String,
    text: Vec<u8>,
}

pub(super) fn run(args: &ManArgs, command: clap::Command, json: bool) -> Result<Exit, Failure> {
    let command = built(command);
    let Some(folder) = &args.folder else {
        let page = Page::of(&command, None)?;
        output::styled_line(String::from_utf8(page.text)?.trim_end());
        return Ok(Exit::Done);
    };
    let mut pages = Vec::new();
    collect(&command, None, &mut pages)?;
    write(&pages, folder)?;
    let (count, shown) = (pages.len(), folder.display());
    if json {
        let files: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
        output::line(
            &serde_json::json!({ "folder": output::json_path(folder), "files": files }).to_string(),
        );
    } else {
        output::line(&format!("{} in `{shown}`", output::count(count, "manual page")));
    }
    Ok(Exit::Done)
}

/// Completes the definitions: names of subcommands, and their global options. The subcommand `help`
/// would have a page for each page.
fn built(command: clap::Command) -> clap::Command {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    command
}

/// Makes the page of a command and those of its subcommands.
fn collect(command: &clap::Command, parent: Option<&str>, pages: &mut Vec<Page>) -> Result<()> {
    pages.push(Page::of(command, parent)?);
    for inner in shown(command) {
        collect(inner, Some(full_name(command)), pages)?;
    }
    Ok(())
}

fn shown(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    command.get_subcommands().filter(|inner| !inner.is_hide_set())
}

/// Returns the name with those of its parents: `signoff-key-generate`.
fn full_name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn write(pages: &[Page], folder: &Path) -> Result<()> {
    let cannot = |path: &Path| format!("cannot write `{}`", path.display());
    fs::create_dir_all(folder).with_context(|| cannot(folder))?;
    let open = Folder::open(folder).with_context(|| cannot(folder))?;
    for page in pages {
        let mut draft = open.draft(OsStr::new(&page.file), 0o644)?;
        let written =
            draft.write_all(&page.text).and_then(|()| draft.replace(OsStr::new(&page.file)));
        written.with_context(|| cannot(&folder.join(&page.file)))?;
    }
    Ok(())
}

impl Page {
    fn of(command: &clap::Command, parent: Option<&str>) -> Result<Self> {
        let man = Man::new(command.clone());
        // Written here, because the library leaves out an empty date, and the fields after it move up.
        let title = format!(".TH \"{}\" 1 \"\" \"{VERSION}\" \"{MANUAL}\"\n", full_name(command));
        let mut text = title.into_bytes();
        man.render_name_section(&mut text)?;
        man.render_synopsis_section(&mut text)?;
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
        if shown(command).next().is_some() {
            man.render_subcommands_section(&mut text)?;
        }
        let mut rest = Roff::default();
        notes(command, &mut rest);
        see_also(command, parent, &mut rest);
        rest.to_writer(&mut text)?;
        Ok(Self { file: man.get_filename(), text })
    }
}

/// Adds what stands below the options in `--help`, line by line: examples are code.
fn notes(command: &clap::Command, page: &mut Roff) {
    let Some(help) = command.get_after_help() else { return };
    page.control("SH", ["NOTES"]);
    for paragraph in help.to_string().split("\n\n") {
        page.control("PP", []);
        let as_it_is = paragraph.contains('\n');
        if as_it_is {
            page.control("nf", []);
        }
        for line in paragraph.lines() {
            page.text([roman(line)]);
        }
        if as_it_is {
            page.control("fi", []);
        }
    }
}

fn see_also(command: &clap::Command, parent: Option<&str>, page: &mut Roff) {
    let inner = shown(command).map(full_name);
    let pages: Vec<String> = parent.into_iter().chain(inner).map(|p| format!("{p}(1)")).collect();
    if !pages.is_empty() {
        page.control("SH", ["SEE ALSO"]);
        page.text([roman(pages.join(", "))]);
    }
}
