//! Named values: the tables `[const]` of a rules file and of the files that it includes.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::json::{Node, parse, show};
use crate::near::did_you_mean;

/// The named values of a policy while it is loaded.
#[derive(Debug, Default)]
pub struct Constants {
    values: BTreeMap<String, Constant>,
    /// Whether some could not be read. What reads them is then not reported as well.
    pub(crate) is_incomplete: bool,
}

/// A named value.
#[derive(Debug)]
pub struct Constant {
    /// A JSON object whose only member is the value.
    text: String,
    value: Node<'static>,
    /// Offset of its name.
    pub at: usize,
    /// Whether an included file has it.
    pub is_included: bool,
    is_read: Cell<bool>,
}

impl Constant {
    /// Creates a value from its JSON text.
    ///
    /// # Errors
    ///
    /// Why a context could not have this value.
    pub fn new(json: &str, at: usize, is_included: bool) -> Result<Self, String> {
        let text = format!("{{\"_\": {json}}}");
        let value = match parse(&text) {
            Ok(holder) => holder.member("_").map(Node::to_static),
            Err(_) => None,
        };
        let value = value.ok_or("the value is not one that a context can have")?;
        if value.has_big() {
            return Err("an integer beyond 64 bits cannot be used in a condition".to_owned());
        }
        Ok(Self { text, value, at, is_included, is_read: Cell::new(false) })
    }
}

impl Constants {
    /// Adds a value.
    pub fn insert(&mut self, name: String, constant: Constant) {
        self.values.insert(name, constant);
    }

    /// Returns a value without recording that it is read.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Constant> {
        self.values.get(name)
    }

    /// Returns the names, in ascending order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Reads a value by its name.
    ///
    /// # Errors
    ///
    /// A message for an unknown name, with the nearest known one.
    pub(crate) fn read(&self, name: &str) -> Result<&Node<'static>, String> {
        let Some(constant) = self.values.get(name) else {
            let name: String = name.chars().take(64).collect();
            if self.is_empty() {
                return Err(format!(
                    "`const.{name}` is not declared: the file has no `[const]` and includes none"
                ));
            }
            let near = did_you_mean(&name, self.names());
            return Err(format!("`const.{name}` is not declared in `[const]`{near}"));
        };
        constant.is_read.set(true);
        Ok(&constant.value)
    }

    /// Returns the value at a path as people read it.
    ///
    /// # Errors
    ///
    /// A message for a path without a value.
    pub(crate) fn shown(&self, path: &[Place<'_>], bytes_max: usize) -> Result<String, String> {
        let Some((Place::Key(name), rest)) = path.split_first() else {
            return Err("a named value is `const.NAME`".to_owned());
        };
        inside(self.read(name)?, name, rest)?;
        let text = self.values.get(*name).map_or("", |constant| constant.text.as_str());
        let holder = parse(text).map_err(|_| "the value cannot be shown".to_owned())?;
        let mut shown = String::new();
        let value = holder
            .member("_")
            .and_then(|value| rest.iter().try_fold(value, |value, place| place.of(value)));
        if let Some(value) = value {
            show(value, &mut shown, bytes_max);
        }
        Ok(shown)
    }

    /// Returns the values that nothing read.
    pub(crate) fn unread(&self) -> impl Iterator<Item = (&str, &Constant)> {
        let unread = self.values.iter().filter(|(_, constant)| !constant.is_read.get());
        unread.map(|(name, constant)| (name.as_str(), constant))
    }

    /// Returns the values that something read.
    pub(crate) fn used(&self) -> impl Iterator<Item = &Constant> {
        self.values.values().filter(|constant| constant.is_read.get())
    }
}

/// One step into a named value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'p> {
    /// A member.
    Key(&'p str),
    /// An item.
    Item(usize),
}

impl Place<'_> {
    fn of<'n, 'v>(&self, value: &'n Node<'v>) -> Option<&'n Node<'v>> {
        match self {
            Self::Key(key) => value.member(key),
            Self::Item(at) => value.item(*at),
        }
    }
}

/// Returns the value at a path below a named value.
///
/// # Errors
///
/// A message that names the first step that does not exist.
pub(crate) fn inside<'n, 'v>(
    value: &'n Node<'v>,
    name: &str,
    path: &[Place<'_>],
) -> Result<&'n Node<'v>, String> {
    let mut value = value;
    let mut shown = format!("const.{name}");
    for place in path {
        let Some(inner) = place.of(value) else {
            return Err(match place {
                Place::Key(key) if matches!(value, Node::Object(_)) => {
                    let near = did_you_mean(key, value.names());
                    format!("`{shown}` has no member `{}`{near}", key.escape_debug())
                }
                Place::Key(key) => {
                    let key = key.escape_debug();
                    format!("`{shown}` is {}, which has no member `{key}`", value.kind())
                }
                Place::Item(at) if matches!(value, Node::List(_)) => {
                    let length = value.items().len();
                    format!(
                        "`{shown}` has {length} items, the first is `[0]`: there is no `[{at}]`"
                    )
                }
                Place::Item(at) => {
                    format!("`{shown}` is {}, which has no item `[{at}]`", value.kind())
                }
            });
        };
        value = inner;
        match place {
            Place::Key(key) => crate::text::push_member(&mut shown, key),
            Place::Item(at) => shown.push_str(&format!("[{at}]")),
        }
    }
    Ok(value)
}
