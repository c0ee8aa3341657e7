//! A rules file together with the files that it includes, as one text.
//!
//! The text of the rules file comes first. Each included file follows after a line of its own, which
//! begins with the record separator U+001E and names the file:
//!
//! ```text
//! format = 1
//! include = ["holidays.toml"]
//! ␞# include: holidays.toml
//! [const]
//! holidays = ["2026-12-25"]
//! ```
//!
//! TOML and JSON have no such character, so a line of a file is never taken for the start of another.
//! A built module contains this text, and every command reads it again.

use signoff_core::authoring::INCLUDE_MARK as MARK;
pub use signoff_core::authoring::joined;

use crate::limits::INCLUDE_PATH_BYTES_MAX;

/// A rules file and the files that it includes.
#[derive(Debug)]
pub struct Bundle<'t> {
    /// The text of the rules file.
    pub rules: &'t str,
    /// The included files, in the order of the text.
    pub included: Vec<Included<'t>>,
}

/// An included file.
#[derive(Clone, Copy, Debug)]
pub struct Included<'t> {
    /// Its path, as the rules file names it.
    pub path: &'t str,
    /// The byte of the whole text at which it starts.
    pub start: usize,
    /// Its text.
    pub text: &'t str,
}

impl<'t> Bundle<'t> {
    /// Splits a text.
    #[must_use]
    pub fn of(text: &'t str) -> Self {
        let mut marks = text.match_indices(MARK).map(|(at, _)| at).peekable();
        let rules = text.get(..marks.peek().copied().unwrap_or(text.len())).unwrap_or(text);
        let mut included = Vec::new();
        while let Some(mark) = marks.next() {
            let end = marks.peek().copied().unwrap_or(text.len());
            let part = text.get(mark + MARK.len()..end).unwrap_or_default();
            let (path, body) = part.split_once('\n').unwrap_or((part, ""));
            included.push(Included { path, start: end - body.len(), text: body });
        }
        Self { rules, included }
    }
}

/// Checks the path of an included file.
///
/// # Errors
///
/// A message for a path that is not below the rules file's folder, that has an unusual character, or
/// that ends with neither `.toml` nor `.json`.
pub fn check_path(path: &str) -> Result<(), String> {
    let shown = crate::text::cut(path, INCLUDE_PATH_BYTES_MAX).escape_debug();
    if path.is_empty() || path.len() > INCLUDE_PATH_BYTES_MAX {
        return Err(format!(
            "the path of an included file has 1 to {INCLUDE_PATH_BYTES_MAX} bytes, got {}",
            path.len()
        ));
    }
    if path.starts_with('/') || path.contains('\\') || path.get(1..2) == Some(":") {
        return Err(format!(
            "`{shown}` is not relative: name a file below the folder of the rules file, with `/` between folders"
        ));
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(format!(
            "`{shown}` leaves the folder of the rules file or is not in its shortest form: use neither `.`, `..` nor `//`"
        ));
    }
    let is_usual =
        |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '/' | ' ');
    if let Some(odd) = path.chars().find(|char| !is_usual(*char)) {
        let odd = odd.escape_debug();
        return Err(format!(
            "the path `{shown}` has the character `{odd}`: use letters, digits, `_`, `-`, `.` and `/`"
        ));
    }
    if !path.ends_with(".toml") && !path.ends_with(".json") {
        return Err(format!("`{shown}` is neither a .toml nor a .json file"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joined_text_is_split_into_the_same_files() {
        let files = [("a.toml", "[const]\nx = 1\n"), ("b/c.json", "{}"), ("d.toml", "")];
        for rules in ["format = 1\n", "format = 1", ""] {
            let text = joined(rules, files);
            let bundle = Bundle::of(&text);
            assert_eq!(bundle.rules.trim_end(), rules.trim_end());
            let split: Vec<(&str, &str)> =
                bundle.included.iter().map(|file| (file.path, file.text.trim_end())).collect();
            assert_eq!(split, files.map(|(path, body)| (path, body.trim_end())));
            for file in &bundle.included {
                assert_eq!(text.get(file.start..file.start + file.text.len()), Some(file.text));
            }
        }
        assert!(Bundle::of("format = 1\n").included.is_empty());
        let cut = Bundle::of("\u{1e}# include: a.toml");
        assert_eq!(cut.included.first().map(|file| (file.path, file.text)), Some(("a.toml", "")));
    }

    #[test]
    fn a_path_stays_in_the_folder() {
        for good in ["holidays.toml", "data/de.json", "a-b_c.d.toml", "ferien/bayern 2026.toml"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/etc/x.toml",
            "../x.toml",
            "a/../x.toml",
            "./x.toml",
            "a//x.toml",
            "a\\x.toml",
            "C:x.toml",
            "x",
            "x.toml/",
            "x\n.toml",
            "x\u{1e}.toml",
            "x\u{202e}.toml",
            "http://h/x.toml",
            "a*.toml",
            &format!("{}.toml", "x".repeat(300)),
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
