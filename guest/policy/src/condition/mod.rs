//! Conditions: CEL text in, a bool or an error out.
//!
//! A text is checked for depth (`nesting`), parsed by the `cel` crate, given the named values
//! (`named`), checked (`check`) and rewritten (`rewrite`): comparisons become signoff's own functions (`operators`), which are exact
//! and refuse values that CEL cannot hold, paths into the context are looked up in one step, and
//! regular expressions are compiled once. The `cel` crate interprets the result.

mod check;
mod fold;
mod functions;
mod habits;
mod macros;
mod named;
mod names;
mod nesting;
mod operators;
mod pairs;
mod pattern;
mod rewrite;
mod scope;
mod strict;
mod syntax;
mod time;
mod tokens;
mod tree;

use std::sync::Arc;

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::common::types::CelBool;
use cel::{Context, Env, ExecutionError, Value};

use tokens::Token;

pub use functions::{Function, Type, functions};
pub use operators::environment;
pub use scope::{Scope, Tables};

pub(crate) use operators::{contains, equal};
pub(crate) use scope::{Path, Root, Step};

use crate::constants::Constants;
use crate::json;
use crate::limits::{WHEN_BYTES_MAX, WHEN_NESTING_MAX};
use crate::schema::Spec;

/// A compiled condition.
#[derive(Debug)]
pub struct Condition {
    expression: IdedExpr,
    /// The result, if it is the same for every attempt.
    pub constant: Option<Constant>,
}

/// A result that is the same for every attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// A bool.
    Bool(bool),
    /// An error.
    Error,
}

/// A mistake in a condition, at a byte of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Offset in the text.
    pub offset: usize,
    /// The message.
    pub message: String,
}

/// The result of evaluating a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A bool.
    Bool(bool),
    /// The evaluation failed or returned another type.
    Error,
}

/// What the file of a condition declares.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g> {
    /// Its named values.
    pub constants: &'g Constants,
    /// What the context is, for the schemas of the rule; empty if unknown.
    pub(crate) context: &'g [&'g Spec],
}

impl<'g> Given<'g> {
    /// Creates what a file without schemas declares.
    #[must_use]
    pub fn new(constants: &'g Constants) -> Self {
        Self { constants, context: &[] }
    }
}

impl Condition {
    /// Compiles a text for an [`environment`]. Also returns what its author may not have meant.
    ///
    /// # Errors
    ///
    /// Too long, too deep, not CEL, an undeclared name or function, a call with the wrong number of
    /// arguments, types that never fit, a member that no schema declares, a result that is not a bool,
    /// an invalid regular expression.
    pub fn compile(
        text: &str,
        env: &Arc<Env>,
        tables: &mut Tables,
        given: Given<'_>,
    ) -> Result<(Self, Vec<Fault>), Vec<Fault>> {
        if text.len() > WHEN_BYTES_MAX {
            let message =
                format!("a condition of {} bytes, expected at most {WHEN_BYTES_MAX}", text.len());
            return Err(vec![Fault { offset: 0, message }]);
        }
        let tokens: Vec<Token<'_>> = tokens::tokens(text).collect();
        nesting::bounded(&tokens).map_err(|fault| vec![fault])?;
        let named = named::replaced(text, &tokens);
        let source = named.as_ref().map_or(text, |(source, _)| source.as_str());
        let depth = u16::try_from(WHEN_NESTING_MAX).unwrap_or(u16::MAX);
        let parser = env.parser().max_recursion_depth(depth).enable_ident_escape_syntax(true);
        let (mut expression, positions) = parser
            .parse_with_source_info(source)
            .map_err(|errors| refused(text, &tokens, errors.errors))?;
        let places = Places { text, positions };
        if let Some((_, word)) = &named {
            named::resolve(&mut expression, word, given.constants, tables, &places)?;
        }
        let checked = check::check(&expression, &places, tables, given)?;
        tables.facts.extend(checked.facts);
        rewrite::rewrite(&mut expression, env, tables, &places)?;
        let constant = fold::fold(&expression, env, tables);
        Ok((Self { expression, constant }, checked.warnings))
    }

    /// Evaluates the condition.
    #[must_use]
    pub fn outcome(&self, context: &Context<'_, '_>) -> Outcome {
        json::forget_big();
        let value = Value::resolve_val(&self.expression, context);
        let bool =
            value.ok().and_then(|value| value.downcast_ref::<CelBool>().map(|bool| *bool.inner()));
        match bool {
            Some(bool) if !json::big_was_touched() => Outcome::Bool(bool),
            _ => Outcome::Error,
        }
    }

    /// Returns why the condition cannot be evaluated; `None` if it can.
    #[must_use]
    pub fn error(&self, context: &Context<'_, '_>, tables: &Tables) -> Option<String> {
        json::forget_big();
        let value = Value::resolve_val(&self.expression, context);
        if json::big_was_touched() {
            return Some("an integer beyond 64 bits cannot be used in a condition".to_owned());
        }
        match value {
            Ok(value) if value.downcast_ref::<CelBool>().is_some() => None,
            Ok(value) => Some(format!(
                "the condition gave a value of type {}, expected a bool",
                value.get_type().name()
            )),
            Err(error) => Some(describe_error(&error, tables)),
        }
    }
}

/// Maps the nodes of an expression to positions in its text.
struct Places<'t> {
    text: &'t str,
    positions: SourceInfo,
}

impl Places<'_> {
    /// Returns the byte at which a node starts; `None` for a node created by a macro.
    fn offset(&self, id: u64) -> Option<usize> {
        let (start, _) = self.positions.offset_for(id)?;
        Some(self.text.floor_char_boundary(usize::try_from(start).ok()?))
    }
}

/// Converts a column in characters, used by syntax errors, to a byte offset, used by nodes.
fn byte_of(text: &str, chars: usize) -> usize {
    text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at)
}

/// Converts the errors of the parser. After a syntax error it goes on with a guess, whose errors would
/// mislead, so only the first one is reported.
fn refused(text: &str, tokens: &[Token<'_>], errors: Vec<cel::ParseError>) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for error in errors {
        let line = usize::try_from(error.pos.0).unwrap_or(1).max(1);
        let column = usize::try_from(error.pos.1).unwrap_or(1).max(1);
        let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let offset = start + byte_of(text.get(start..).unwrap_or_default(), column - 1);
        if error.msg.starts_with("Syntax error") {
            let fault = syntax::of_tokens(text, tokens);
            return vec![fault.unwrap_or_else(|| syntax::at(text, tokens, offset))];
        }
        let token = tokens.iter().find(|token| token.start <= offset && offset < token.end());
        let message = syntax::of_form(&error.msg, token);
        // The parser may report one mistake several times at the same position.
        if faults.iter().all(|fault| fault.offset != offset) {
            faults.push(Fault { offset, message });
        }
    }
    faults
}

fn lowered(message: &str) -> String {
    let message =
        message.trim_start_matches("Syntax error: ").trim_end_matches('.').replace('\n', "\\n");
    let mut chars = message.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// Formats an error of the interpreter, restoring the names that rewriting replaced.
fn describe_error(error: &ExecutionError, tables: &Tables) -> String {
    if let ExecutionError::UndeclaredReference(name) = error
        && let Some(path) = tables.path(name)
    {
        return format!("`{path}` is missing");
    }
    match error {
        ExecutionError::NoSuchKey(key) => format!("`{key}` is missing"),
        ExecutionError::FunctionError { function, message } if function.starts_with('@') => {
            message.clone()
        }
        other => lowered(&other.to_string()),
    }
}
