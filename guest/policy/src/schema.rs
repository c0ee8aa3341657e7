//! Schemas of contexts, by action: `[context.transfer]`.
//!
//! A schema that matches an action says which members its context has. A context that does not fit
//! fails the condition of every rule that concerns the attempt, so it never makes a verdict milder. The
//! check of conditions uses the schemas that cover all actions of a rule.

use signoff_core::glob::Glob;

use crate::condition::equal;
use crate::file::Shape;
use crate::json::Node;
use crate::near::did_you_mean;
use crate::text::push_member;

/// The schemas of a policy.
#[derive(Debug, Default)]
pub struct Schemas(pub(crate) Vec<Schema>);

/// The schema of the contexts of some actions.
#[derive(Debug)]
pub struct Schema {
    /// The actions, in lower case.
    pub(crate) action: Glob,
    /// Its header in the file: `[context.transfer]`.
    pub(crate) header: String,
    /// Its offset in the file.
    pub(crate) at: usize,
    /// What a context is: always a table.
    pub(crate) context: Spec,
}

/// What a value is.
#[derive(Debug)]
pub struct Spec {
    pub(crate) kind: Kind,
    /// Whether it may be null.
    pub(crate) is_nullable: bool,
    /// The only possible values; any if empty.
    pub(crate) one_of: Vec<Node<'static>>,
}

/// The kind of a value.
#[derive(Debug)]
pub(crate) enum Kind {
    Any,
    Bool,
    Int,
    Number,
    String,
    /// A list, whose items may be declared.
    List(Option<Box<Spec>>),
    /// A table, whose members may be declared.
    Table(Option<Members>),
}

/// The declared members of a table.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) members: Vec<Member>,
    /// Whether there are no others.
    pub(crate) is_closed: bool,
}

/// A declared member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) is_required: bool,
    pub(crate) spec: Spec,
}

impl Schemas {
    /// Returns why a context does not fit the schemas of an action; `None` if it fits or there are none.
    /// `context` is `None` for a text that is not a JSON object. The action is in lower case.
    pub(crate) fn misfit<'n, 'v: 'n>(
        &self,
        lower_action: &str,
        context: impl FnOnce() -> Option<&'n Node<'v>>,
    ) -> Option<String> {
        let mut matching =
            self.0.iter().filter(|schema| schema.action.matches(lower_action)).peekable();
        matching.peek()?;
        let Some(context) = context() else {
            return Some("the context is not a JSON object".to_owned());
        };
        matching.find_map(|schema| {
            let why = schema.context.misfit(context, &mut "context".to_owned())?;
            Some(format!("the context does not fit `{}`: {why}", schema.header))
        })
    }

    /// Returns the schemas that a rule's conditions are checked with, by their places: those that cover
    /// one of its actions; none unless every action is covered.
    pub(crate) fn of_rule(&self, shape: &Shape) -> Vec<usize> {
        let mut found = Vec::new();
        for action in &shape.action {
            let action = action.to_lower();
            let covering = self.0.iter().enumerate().filter(|(_, it)| it.action.covers(&action));
            let before = found.len();
            found.extend(covering.map(|(at, _)| at));
            if found.len() == before {
                return Vec::new();
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Returns what the context is for the schemas at these places.
    pub(crate) fn specs(&self, places: &[usize]) -> Vec<&Spec> {
        places.iter().filter_map(|at| Some(&self.0.get(*at)?.context)).collect()
    }
}

impl Spec {
    /// Returns why a value does not fit. `path` names the value.
    pub(crate) fn misfit(&self, value: &Node<'_>, path: &mut String) -> Option<String> {
        if matches!(value, Node::Null(_)) && self.is_nullable {
            return None;
        }
        let fits = match (&self.kind, value) {
            (Kind::Any, value) => !value.has_big(),
            (Kind::Bool, Node::Bool(_))
            | (Kind::Int, Node::Int(_))
            | (Kind::Number, Node::Int(_) | Node::Double(_))
            | (Kind::String, Node::Text(_))
            | (Kind::List(_), Node::List(_))
            | (Kind::Table(_), Node::Object(_)) => true,
            _ => false,
        };
        if !fits {
            return Some(format!("`{path}` is {}, expected {}", value.kind(), self.kind.name()));
        }
        let is_listed = |one: &Node<'static>| equal(one.val(), value.val()).unwrap_or(false);
        if !self.one_of.is_empty() && !self.one_of.iter().any(is_listed) {
            return Some(format!("`{path}` is none of {}", self.choices()));
        }
        let length = path.len();
        match &self.kind {
            Kind::List(Some(spec)) => value.items().iter().enumerate().find_map(|(at, item)| {
                path.truncate(length);
                path.push_str(&format!("[{at}]"));
                spec.misfit(item, path)
            }),
            Kind::Table(Some(members)) => members.misfit(value, path),
            _ => None,
        }
    }

    /// Returns the only possible values as a file writes them, the first eight.
    pub(crate) fn choices(&self) -> String {
        let shown = self.one_of.iter().take(8).map(|one| match one {
            Node::Text(text) => format!("\"{}\"", text.inner().escape_debug()),
            other => {
                let mut text = String::new();
                crate::json::show(other, &mut text, 64);
                text
            }
        });
        let mut shown: Vec<String> = shown.collect();
        if self.one_of.len() > shown.len() {
            shown.push("…".to_owned());
        }
        shown.join(", ")
    }
}

impl Members {
    fn misfit(&self, value: &Node<'_>, path: &mut String) -> Option<String> {
        let length = path.len();
        for member in &self.members {
            path.truncate(length);
            push_member(path, &member.name);
            match value.member(&member.name) {
                Some(value) => {
                    if let Some(why) = member.spec.misfit(value, path) {
                        return Some(why);
                    }
                }
                None if member.is_required => return Some(format!("`{path}` is missing")),
                None => {}
            }
        }
        let mut names = value.names().filter(|_| self.is_closed);
        let other = names.find(|name| self.find(name).is_none())?;
        path.truncate(length);
        push_member(path, other);
        let near = did_you_mean(other, self.names());
        Some(format!("`{path}` is not declared{near}"))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }
}

impl Kind {
    /// Returns the kind as messages name it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Any => "any value within 64 bits",
            Self::Bool => "a bool",
            Self::Int => "an integer",
            Self::Number => "a number",
            Self::String => "a string",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// The member of values that the schemas of a rule describe.
#[derive(Debug, Default)]
pub(crate) struct Found<'s> {
    /// What it is, by each schema that declares it; empty if nothing is known.
    pub(crate) specs: Vec<&'s Spec>,
    /// Whether it may be missing.
    pub(crate) may_be_missing: bool,
}

/// Returns a member of values that have one of these specs.
///
/// # Errors
///
/// A message if no spec declares such a member.
pub(crate) fn member<'s>(specs: &[&'s Spec], name: &str) -> Result<Found<'s>, String> {
    let mut found = Found::default();
    let mut known: Vec<&Members> = Vec::new();
    for spec in specs {
        match &spec.kind {
            Kind::Any | Kind::Table(None) => return Ok(Found::default()),
            Kind::Table(Some(members)) => known.push(members),
            _ => {}
        }
    }
    for members in &known {
        match members.find(name) {
            Some(member) => {
                found.specs.push(&member.spec);
                found.may_be_missing |= !member.is_required;
            }
            None => found.may_be_missing = true,
        }
    }
    if found.specs.is_empty() && !known.is_empty() {
        let near = did_you_mean(name, known.iter().flat_map(|members| members.names()));
        return Err(near);
    }
    Ok(found)
}

/// Returns an item of lists that have one of these specs.
pub(crate) fn item<'s>(specs: &[&'s Spec]) -> Vec<&'s Spec> {
    let mut found = Vec::new();
    for spec in specs {
        match &spec.kind {
            Kind::List(Some(item)) => found.push(&**item),
            Kind::Any | Kind::List(None) => return Vec::new(),
            _ => {}
        }
    }
    found
}

/// Returns a value of a declared member of tables that have one of these specs.
pub(crate) fn values<'s>(specs: &[&'s Spec]) -> Vec<&'s Spec> {
    let mut found = Vec::new();
    for spec in specs {
        match &spec.kind {
            Kind::Table(Some(members)) => {
                found.extend(members.members.iter().map(|member| &member.spec));
            }
            Kind::Any | Kind::Table(None) => return Vec::new(),
            _ => {}
        }
    }
    found
}
