//! House rules of the source tree that no lint checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Words of prose that CONTRIBUTING.md replaces. Each is a phrase, so that names of code do not match.
const BANNED: [&str; 12] = [
    " errs ",
    " errs:",
    " mended",
    " mends ",
    "what is none",
    "What is none",
    "as good as not",
    "no token of signoff",
    "Has a module serve",
    "whose it is",
    "stands twice",
    "Must be driven to its end",
];

/// Files and folders that may name what bindgen generates from `wit/`.
const BINDINGS: [&str; 4] = [
    "guest/policy/src/component.rs",
    "guest/verifier/src/component.rs",
    "host/src/policy/evaluate.rs",
    "host/src/verifier/",
];

#[test]
fn every_source_file_starts_with_its_purpose() {
    let mut lacking = Vec::new();
    for (path, text) in sources(&["rs", "py", "mjs"]) {
        let first = text.lines().find(|line| !line.starts_with("#!")).unwrap_or_default();
        if !["//!", "//", "\"\"\"", "/**", "///"].iter().any(|mark| first.starts_with(mark)) {
            lacking.push(path);
        }
    }
    assert!(lacking.is_empty(), "these files do not start with what they are for: {lacking:#?}");
}

#[test]
fn prose_uses_no_banned_words() {
    let mut found = Vec::new();
    for (path, text) in sources(&["rs", "py", "mjs", "md", "wit", "toml"]) {
        if path.ends_with("CONTRIBUTING.md") || path.ends_with("tests/e2e/tidy.rs") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for words in BANNED.iter().filter(|words| line.contains(*words)) {
                found.push(format!("{}:{}: `{words}`", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "CONTRIBUTING.md has better words: {found:#?}");
}

#[test]
fn generated_bindings_are_named_in_their_modules_alone() {
    let mut found = Vec::new();
    for (path, text) in sources(&["rs"]) {
        let product = ["host/src", "guest/verifier/src", "guest/policy/src", "guest/core/src"];
        if !product.iter().any(|folder| path.starts_with(folder))
            || BINDINGS.iter().any(|place| path.starts_with(place))
        {
            continue;
        }
        let names = ["signoff_approval_", "exports::signoff", "bindgen!", "wit_bindgen::"];
        if names.iter().any(|name| text.contains(name)) {
            found.push(path);
        }
    }
    assert!(found.is_empty(), "these files name generated bindings: {found:#?}");
}

#[test]
fn the_modules_of_the_host_depend_one_way() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources(&["rs"]) {
        let Ok(below) = path.strip_prefix("host/src") else { continue };
        let module = below.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if ["lib", "main"].contains(&module)
            || below.iter().any(|part| part == "tests" || part == "tests.rs")
        {
            continue;
        }
        // Tests are at the end of a file; in a `mod.rs` they have files of their own.
        let code = match below.ends_with("mod.rs") {
            true => text.as_str(),
            false => text.split("#[cfg(test)]").next().unwrap(),
        };
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let named = code
            .flat_map(|line| line.split("crate::").skip(1))
            .filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next());
        let named = named.filter(|name| *name != module).map(str::to_owned);
        uses.entry(module.to_owned()).or_default().extend(named);
    }
    // Those that use nothing that is left are taken away; what remains uses itself.
    while let Some(done) = uses.iter().find_map(|(module, used)| {
        used.iter().all(|used| !uses.contains_key(used)).then(|| module.clone())
    }) {
        uses.remove(&done);
    }
    assert!(uses.is_empty(), "these modules depend on each other: {uses:#?}");
}

#[test]
fn files_that_pages_name_exist() {
    let mut missing = Vec::new();
    for (path, text) in sources(&["md"]) {
        let places = [root(), root().join("host/src"), root().join(&path).parent().unwrap().into()];
        let is_path = |word: &str| {
            word.contains('/')
                && !word.starts_with('/')
                && (word.ends_with(".rs") || word.ends_with(".py") || word.ends_with('/'))
                && word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-/.".contains(c))
        };
        for word in text.split('`').skip(1).step_by(2).filter(|word| is_path(word)) {
            if places.iter().all(|place| !place.join(word).exists()) {
                missing.push(format!("{}: `{word}`", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A claim of SECURITY.md names the tests that hold it.
#[test]
fn tests_that_security_names_exist() {
    let tests: Vec<_> =
        sources(&["rs"]).into_iter().filter(|(_, text)| text.contains("#[")).collect();
    let security = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let section = security.split("## Tests that hold these claims").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    let named = |row: &&str| row.split('`').skip(1).step_by(2).any(|word| word.contains("::"));
    assert!(rows.len() > 20 && rows.iter().all(named), "{rows:#?}");
    let words = section.split('`').skip(1).step_by(2);
    let missing: Vec<&str> = words
        .filter(|word| *word != "file::test" && word.contains("::"))
        .filter(|word| {
            let (file, test) = word.split_once("::").unwrap();
            let is_in = |path: &std::path::Path| {
                path.with_extension("").iter().any(|part| part.to_str() == Some(file))
            };
            let attribute = format!("test]\nfn {test}()");
            let inner = format!("test]\n    fn {test}()");
            let asynchronous = format!("test]\nasync fn {test}()");
            !tests.iter().any(|(path, text)| {
                is_in(path)
                    && [&attribute, &inner, &asynchronous].iter().any(|fun| text.contains(*fun))
            })
        })
        .collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that do not exist: {missing:#?}");
}

#[test]
fn links_between_pages_lead_to_files() {
    let mut broken = Vec::new();
    for (path, text) in sources(&["md"]) {
        let folder = root().join(&path).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let is_file = !file.is_empty() && !file.contains("://") && !file.contains(' ');
            if is_file && !folder.join(file).exists() {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files of the repository with one of these endings: path from the root, and text.
fn sources(endings: &[&str]) -> Vec<(PathBuf, String)> {
    let (root, mut folders, mut files) = (root(), vec![PathBuf::new()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = folder.join(&name);
            let made =
                ["artifacts", "corpus", "node_modules", "target", "venv"].contains(&name.as_str());
            if entry.file_type().unwrap().is_dir() {
                if !made && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| endings.iter().any(|e| ending == *e)) {
                let text = fs::read(entry.path()).unwrap();
                files.push((path, String::from_utf8_lossy(&text).into_owned()));
            }
        }
    }
    assert!(!files.is_empty(), "no files with an ending of {endings:?}");
    files
}
