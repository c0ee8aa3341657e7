//! `[const]` and `include`: the named values of a rules file and of the files that it includes.

use toml::de::DeTable;

use super::member::Members;
use super::{DeValue, json, parsed};
use crate::bundle::{Bundle, Included, check_path};
use crate::constants::{Constant, Constants};
use crate::limits::{CONST_BYTES_MAX, CONSTS_MAX, INCLUDES_MAX, NAME_BYTES_MAX};
use crate::problem::Problems;
use crate::text::is_identifier;

/// A path in `include`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The path.
    pub path: String,
    /// Its offset in the rules file.
    pub at: usize,
}

/// Returns the files that a rules file includes; none for a malformed list, which loading the rules
/// reports.
#[must_use]
pub fn includes(text: &str) -> Vec<Named> {
    let mut problems = Problems::new(text);
    let rules = Bundle::of(text).rules;
    let Some(table) = parsed(rules, &mut problems) else { return Vec::new() };
    named(&mut Members::new(rules, 0, &table, &mut problems))
}

/// Reads the paths in `include`.
pub(super) fn named(members: &mut Members<'_, '_, '_>) -> Vec<Named> {
    let mut named: Vec<Named> = Vec::new();
    let Some(value) = members.value("include") else { return named };
    let Some(list) = value.get_ref().as_array() else {
        members.wrong(value, "include", "a list of files, as `[\"holidays.toml\"]`");
        return named;
    };
    if list.len() > INCLUDES_MAX {
        let message = format!("{} included files, expected at most {INCLUDES_MAX}", list.len());
        members.problems.error(value.span().start, message);
        return named;
    }
    for value in list.iter() {
        let at = value.span().start;
        let Some(path) = value.get_ref().as_str() else {
            members.wrong(value, "include", "a list of files, as `[\"holidays.toml\"]`");
            continue;
        };
        if let Err(message) = check_path(path) {
            members.problems.error(at, message);
        } else if named.iter().any(|known| known.path == path) {
            members.problems.error(at, format!("`{path}` is included twice"));
        } else {
            named.push(Named { path: path.to_owned(), at });
        }
    }
    named
}

/// Reads the named values of a rules file and of the files that it includes.
pub(super) fn constants<'p>(
    members: &mut Members<'_, '_, 'p>,
    bundle: &Bundle<'p>,
    named: &[Named],
) -> Constants {
    let mut reader = Reader { constants: Constants::default(), bytes: 0, is_full: false };
    reader.table(members, false);
    for Named { path, at } in named {
        match bundle.included.iter().find(|file| file.path == path) {
            Some(file) => reader.file(file, members.problems),
            None => {
                let message = format!("the file `{path}` was not given with the rules");
                members.problems.error(*at, message);
            }
        }
    }
    for (place, file) in bundle.included.iter().enumerate() {
        let is_named = named.iter().any(|named| named.path == file.path);
        let is_again = bundle.included.iter().take(place).any(|other| other.path == file.path);
        if !is_named || is_again {
            members.problems.error(file.start, "the rules file does not include this file");
        }
    }
    reader.constants
}

struct Reader {
    constants: Constants,
    bytes: usize,
    /// Whether there are more named values than a policy may have, which is reported once.
    is_full: bool,
}

impl Reader {
    fn file<'p>(&mut self, file: &Included<'p>, problems: &mut Problems<'p>) {
        problems.base = file.start;
        if file.path.ends_with(".json") {
            // TOML allows a byte order mark, JSON leaves it to the reader.
            let text = file.text.strip_prefix('\u{feff}').unwrap_or(file.text);
            problems.base += file.text.len() - text.len();
            self.json(text, problems);
        } else if let Some(table) = parsed(file.text, problems) {
            self.toml(file.text, &table, problems);
        }
        problems.base = 0;
    }

    fn toml<'p>(&mut self, text: &'p str, table: &DeTable<'_>, problems: &mut Problems<'p>) {
        for (key, _) in table.iter().filter(|(key, _)| key.get_ref() != "const") {
            let name = key.get_ref().escape_debug();
            let hint = if key.get_ref() == "include" {
                "; name that file in the `include` of the rules file"
            } else {
                ""
            };
            let message = format!("an included file has only `[const]`, got `{name}`{hint}");
            problems.error(key.span().start, message);
        }
        let mut members = Members::new(text, 0, table, problems);
        if !members.has("const") {
            members.problems.error(0, "an included file has a table `[const]`");
        }
        self.table(&mut members, true);
    }

    fn json(&mut self, text: &str, problems: &mut Problems<'_>) {
        if let Err(invalid) = signoff_core::context::canonicalize(text) {
            let message = format!("not JSON: {}", invalid.reason);
            problems.error(text.floor_char_boundary(invalid.offset), message);
            return;
        }
        type Object<'t> = std::collections::BTreeMap<String, &'t serde_json::value::RawValue>;
        let Ok(file) = serde_json::from_str::<Object<'_>>(text) else { return };
        let place = |part: &str| (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        if let Some((name, other)) = file.iter().find(|(name, _)| *name != "const") {
            let name = name.escape_debug();
            let message = format!("an included file has only `const`, got `{name}`");
            problems.error(place(other.get()), message);
        }
        let Some(object) = file.get("const") else {
            problems.error(0, "an included file has an object `const`");
            return;
        };
        let Ok(values) = serde_json::from_str::<Object<'_>>(object.get()) else {
            problems.error(place(object.get()), "`const` is an object of named values");
            return;
        };
        for (name, value) in values {
            self.add(&name, value.get(), place(value.get()), true, problems);
        }
    }

    /// Reads the table `const` of a TOML file.
    fn table(&mut self, members: &mut Members<'_, '_, '_>, is_included: bool) {
        let Some(value) = members.value("const") else { return };
        let DeValue::Table(table) = value.get_ref() else {
            members.wrong(value, "const", "a table of named values");
            return;
        };
        for (key, value) in table {
            let mut text = String::new();
            if json::write(members, value, &mut text).is_some() {
                let name = key.get_ref().as_ref();
                self.add(name, &text, key.span().start, is_included, members.problems);
            }
        }
    }

    fn add(
        &mut self,
        name: &str,
        json: &str,
        offset: usize,
        is_included: bool,
        problems: &mut Problems<'_>,
    ) {
        let shown = crate::text::cut(name, NAME_BYTES_MAX).escape_debug();
        if !is_identifier(name) || name.len() > NAME_BYTES_MAX {
            let message = format!(
                "a named value is [A-Za-z_][A-Za-z0-9_]* of at most {NAME_BYTES_MAX} bytes, got `{shown}`"
            );
            problems.error(offset, message);
            return;
        }
        if let Some(other) = self.constants.get(name) {
            let base = std::mem::take(&mut problems.base);
            let place = problems.place(other.at);
            problems.base = base;
            problems.error(offset, format!("`{name}` is already declared in {place}"));
            return;
        }
        let before = self.bytes;
        self.bytes += name.len() + json.len();
        if before <= CONST_BYTES_MAX && self.bytes > CONST_BYTES_MAX {
            let message =
                format!("the named values have more than {CONST_BYTES_MAX} bytes as JSON");
            problems.error(offset, message);
        }
        if self.constants.len() == CONSTS_MAX {
            if !self.is_full {
                self.is_full = true;
                problems.error(offset, format!("more than {CONSTS_MAX} named values"));
            }
            return;
        }
        match Constant::new(json, problems.base + offset, is_included) {
            Ok(constant) => self.constants.insert(name.to_owned(), constant),
            Err(message) => problems.error(offset, format!("`{shown}`: {message}")),
        }
    }
}
