//! The reference page is that of the table: `SIGNOFF_BLESS=1 cargo test -p signoff --lib reference`
//! writes it again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may stop")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Kind, SETTINGS, Setting};

const BEGIN: &str = "<!-- The tables are made of the code; a test compares them. -->\n";
const END: &str = "<!-- End of the tables. -->\n";

fn page_path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md")
}

/// Returns the tables of all settings.
fn tables() -> String {
    let mut text = String::new();
    let mut seen = Vec::new();
    for setting in SETTINGS {
        if seen.contains(&setting.table()) {
            continue;
        }
        seen.push(setting.table());
        text.push_str(&format!("\n### [{}]\n", setting.table()));
        for setting in SETTINGS.iter().filter(|other| other.table() == setting.table()) {
            text.push_str(&entry(setting));
        }
    }
    text
}

fn entry(setting: &Setting) -> String {
    let Setting { name, flag, variable, kind, default, example, applies, .. } = setting;
    let flag = flag.map_or("none".to_owned(), |flag| match flag.short {
        Some(short) => format!("`--{}`, `-{short}`", flag.long),
        None => format!("`--{}`", flag.long),
    });
    let variable = variable.map_or("none".to_owned(), |variable| format!("`{variable}`"));
    let default = default.map_or("unset".to_owned(), |default| format!("`{default}`"));
    let recorded = match setting.recorded {
        true => "yes: a start with a weaker value is refused",
        false => "no",
    };
    let place = match setting.named_file_only {
        true => "a file that `--config` or `SIGNOFF_CONFIG` names",
        false => "any",
    };
    let key = setting.key();
    format!(
        "\n**`{name}`**: {}.\n\n\
         | | |\n| --- | --- |\n\
         | in a file | `{key} = {example}` |\n\
         | flag, variable | {flag}, {variable} |\n\
         | value | {} |\n\
         | default | {default} |\n\
         | file | {place} |\n\
         | takes effect | {} |\n\
         | recorded in the audit log | {recorded} |\n",
        setting.about.trim_end_matches('.'),
        value(*kind),
        applies.words(),
    )
}

fn value(kind: Kind) -> String {
    let text = match kind {
        Kind::Path => {
            format!("{}; relative paths in a file are relative to the file", kind.expected())
        }
        _ => kind.expected(),
    };
    text.replace('|', "\\|")
}

#[test]
fn the_reference_page_has_the_table_of_settings() {
    let page = fs::read_to_string(page_path()).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let expected = tables() + "\n";
    if std::env::var_os("SIGNOFF_BLESS").is_some() {
        fs::write(page_path(), format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert!(
        written == expected,
        "docs/settings.md differs: SIGNOFF_BLESS=1 cargo test -p signoff --lib reference"
    );
}

/// Returns the names of variables in a text.
fn variables(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c| !is_part(c));
    let ours = |word: &&str| {
        let known = ["SIGNOFF_", "HMAC_SECRET", "XDG_"].iter().any(|start| word.starts_with(start));
        known && !word.ends_with('_')
    };
    words.filter(ours).map(str::to_owned).collect()
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(variables(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Every variable that the program reads is on the page, and no other.
#[test]
fn the_reference_page_has_every_variable() {
    let page = fs::read_to_string(page_path()).unwrap();
    let mut read = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut read);
    // For the tests and the build of this repository.
    let test_only = [
        "SIGNOFF_BLESS",
        "SIGNOFF_BIN",
        "SIGNOFF_AUDIT_MUTATIONS",
        "SIGNOFF_PRUNED",
        "SIGNOFF_TARGET",
    ];
    for test_only in test_only {
        read.remove(test_only);
    }
    let shown = variables(&page);
    let missing: Vec<_> = read.difference(&shown).collect();
    assert!(missing.is_empty(), "docs/settings.md lacks {missing:?}");
}
