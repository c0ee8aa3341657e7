//! The variables of one attempt, and the values prepared at load: paths into the variables, and
//! regular expressions.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::OnceLock;

use cel::common::types::{CelNull, CelString, CelTimestamp, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;
use chrono::DateTime;
use regex::Regex;
use signoff_core::time::UnixSeconds;

use crate::attempt::Attempt;
use crate::json::{Node, parse};
use crate::text::push_member;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// A member of an object.
    Key(String),
    /// An item of an array.
    Item(usize),
}

/// The root of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Root {
    /// The context.
    Context,
    /// The plan.
    Plan,
    /// The facts.
    Facts,
}

/// A place in the context, the plan or the facts: `context.mail.to[0]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    /// The root.
    pub(crate) root: Root,
    /// Steps below the root.
    pub(crate) steps: Vec<Step>,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = match self.root {
            Root::Context => "context",
            Root::Plan => "plan",
            Root::Facts => "facts",
        };
        let mut path = root.to_owned();
        for step in &self.steps {
            match step {
                Step::Key(key) => push_member(&mut path, key),
                Step::Item(at) => path.push_str(&format!("[{at}]")),
            }
        }
        f.write_str(&path)
    }
}

/// A compiled regular expression as the interpreter passes it to `matches`.
#[derive(Clone, Debug)]
pub(super) struct Pattern(pub(super) Regex);

static PATTERN: Type = Type::new_unspecified_type("pattern");

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

/// Values shared by the conditions of one policy. A rewritten condition names paths `@0`, `@1`, …,
/// patterns `@r0`, `@r1`, … and values `@v0`, `@v1`, …: names that are not valid in a text.
#[derive(Debug, Default)]
pub struct Tables {
    paths: Vec<Path>,
    patterns: Vec<(String, Pattern)>,
    values: Vec<Node<'static>>,
    /// The facts that conditions and reasons read.
    pub(crate) facts: BTreeSet<&'static str>,
    /// The index of each path; only used while conditions are compiled.
    places: HashMap<Path, usize>,
    /// The name of each named value, by its path; only used while conditions are compiled.
    constants: HashMap<String, String>,
}

impl Tables {
    /// Returns the name of a path.
    pub(super) fn name_path(&mut self, path: Path) -> String {
        let at = *self.places.entry(path).or_insert_with_key(|path| {
            self.paths.push(path.clone());
            self.paths.len() - 1
        });
        format!("@{at}")
    }

    /// Drops what only compilation needs.
    pub fn close(&mut self) {
        self.places = HashMap::new();
        self.constants = HashMap::new();
    }

    /// Returns the name of a regular expression, or why it is invalid.
    pub(super) fn name_pattern(&mut self, text: &str) -> Result<String, String> {
        if let Some(at) = self.patterns.iter().position(|(known, _)| known == text) {
            return Ok(format!("@r{at}"));
        }
        let regex = super::pattern::compile(text)?;
        // The first search builds what later ones reuse, and the snapshot then contains it.
        let _warm = regex.is_match("");
        self.patterns.push((text.to_owned(), Pattern(regex)));
        Ok(format!("@r{}", self.patterns.len() - 1))
    }

    /// Returns the name of a value that is the same for every attempt.
    pub(super) fn name_value(&mut self, value: Node<'static>) -> String {
        self.values.push(value);
        format!("@v{}", self.values.len() - 1)
    }

    /// Returns the name of a named value, given by its path.
    pub(super) fn name_constant(&mut self, path: String, value: &Node<'static>) -> String {
        if let Some(name) = self.constants.get(&path) {
            return name.clone();
        }
        let name = self.name_value(value.clone());
        self.constants.insert(path, name.clone());
        name
    }

    /// Returns the value with this name.
    pub(super) fn value(&self, name: &str) -> Option<&Node<'static>> {
        self.values.get(name.strip_prefix("@v")?.parse::<usize>().ok()?)
    }

    /// Returns the path with this name.
    pub(super) fn path(&self, name: &str) -> Option<&Path> {
        self.paths.get(name.strip_prefix('@')?.parse::<usize>().ok()?)
    }
}

/// The variables of one attempt.
#[derive(Debug)]
pub struct Scope<'v> {
    tables: &'v Tables,
    agent: CelString<'v>,
    action: CelString<'v>,
    now: OnceLock<Option<CelTimestamp>>,
    now_unix_seconds: u64,
    context: Document<'v>,
    plan: Option<Document<'v>>,
    facts: Document<'v>,
}

/// A JSON object that is parsed on first use.
#[derive(Debug)]
struct Document<'v> {
    text: &'v str,
    node: OnceLock<Option<Node<'v>>>,
}

impl<'v> Document<'v> {
    fn new(text: &'v str) -> Self {
        Self { text, node: OnceLock::new() }
    }

    /// Returns the object; `None` if the text is not a JSON object, and conditions that use it
    /// fail.
    fn node(&self) -> Option<&Node<'v>> {
        self.node.get_or_init(|| parse(self.text).ok()).as_ref()
    }
}

impl<'v> Scope<'v> {
    /// Creates the variables of an attempt.
    #[must_use]
    pub fn new(attempt: &Attempt<'v>, tables: &'v Tables) -> Self {
        Self {
            tables,
            agent: CelString::from(attempt.agent),
            action: CelString::from(attempt.action),
            now: OnceLock::new(),
            now_unix_seconds: attempt.now,
            context: Document::new(attempt.context),
            plan: attempt.plan.map(Document::new),
            facts: Document::new(attempt.facts),
        }
    }

    /// Returns the value at a path, if there is one.
    pub(crate) fn at(&self, path: &Path) -> Option<&Node<'v>> {
        let document = match path.root {
            Root::Context => &self.context,
            Root::Plan => self.plan.as_ref()?,
            Root::Facts => &self.facts,
        };
        path.steps.iter().try_fold(document.node()?, |node, step| match step {
            Step::Key(key) => node.member(key),
            Step::Item(at) => node.item(*at),
        })
    }

    /// Returns the context; `None` if its text is not a JSON object.
    pub(crate) fn context(&self) -> Option<&Node<'v>> {
        self.context.node()
    }

    fn now(&self) -> Option<&CelTimestamp> {
        let made = self.now.get_or_init(|| {
            // CEL's timestamps end with the year 9999, as signoff's do.
            let seconds = UnixSeconds::new(self.now_unix_seconds).ok()?.seconds();
            let now = DateTime::from_timestamp(i64::try_from(seconds).ok()?, 0)?;
            Some(CelTimestamp::from(now.fixed_offset()))
        });
        made.as_ref()
    }

    fn made_at_load(&self, name: &str) -> Option<&(dyn Val + 'v)> {
        if let Some(pattern) = name.strip_prefix('r') {
            let (_, pattern) = self.tables.patterns.get(pattern.parse::<usize>().ok()?)?;
            return Some(pattern);
        }
        if let Some(value) = name.strip_prefix('v') {
            return Some(self.tables.values.get(value.parse::<usize>().ok()?)?.val());
        }
        Some(self.at(self.tables.paths.get(name.parse::<usize>().ok()?)?)?.val())
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(name) = name.strip_prefix('@') {
            return self.made_at_load(name).map(|value| CowVal::Borrowed(value as &(dyn Val + 'b)));
        }
        let value: &(dyn Val + 'b) = match name {
            "agent" => &self.agent,
            "action" => &self.action,
            "context" => self.context.node()?.val(),
            "plan" => match &self.plan {
                Some(plan) => plan.node()?.val(),
                None => &CelNull,
            },
            "facts" => self.facts.node()?.val(),
            "now" => self.now()?,
            _ => return None,
        };
        Some(CowVal::Borrowed(value))
    }
}
