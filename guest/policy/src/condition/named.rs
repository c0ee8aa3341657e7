//! Named values: `const.NAME` and paths below it become literals, or values made at load.
//!
//! `const` is a reserved word of CEL, which no expression may use as a variable. It is replaced in the
//! text, before that is parsed, by an identifier of the same length that the text does not have.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::CelBool;

use super::tokens::{Kind, Token};
use super::tree::each_part;
use super::{Fault, Places, Tables};
use crate::constants::{Constants, Place, inside};
use crate::json::Node;
use crate::text::push_member;

/// The word that conditions write.
const WORD: &str = "const";
const BY_NAME: &str = "a named value is read by its name, as `const.limit`";
/// Longest string that becomes a literal wherever it is read; a longer one is kept once.
const LITERAL_BYTES_MAX: usize = 256;

/// Returns the text with another identifier for each `const` that begins a path, and that identifier;
/// `None` if there is no such `const`.
pub(super) fn replaced(text: &str, tokens: &[Token<'_>]) -> Option<(String, String)> {
    let mut word = None;
    let mut out = text.to_owned();
    for (at, token) in tokens.iter().enumerate() {
        if !is_root(tokens, at) {
            continue;
        }
        let word: &String = word.get_or_insert_with(|| unused(text));
        out.replace_range(token.start..token.end(), word);
    }
    word.map(|word| (out, word))
}

/// Returns whether a token is the `const` of `const.x` or `const["x"]`, and not a member `a.const`.
fn is_root(tokens: &[Token<'_>], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
    let is_sign = |token: Option<&Token<'_>>, sign: &str| token.is_some_and(|token| token.is(sign));
    let is_member = is_sign(before(1), ".") || is_sign(before(1), "?") && is_sign(before(2), ".");
    let after = tokens.get(at + 1);
    tokens.get(at).is_some_and(|token| token.kind == Kind::Word && token.text == WORD)
        && !is_member
        && (is_sign(after, ".") || is_sign(after, "["))
}

/// Returns an identifier as long as [`WORD`] that a text does not contain. A text of four KiB contains
/// fewer than there are.
fn unused(text: &str) -> String {
    let candidates = (0..10_000).map(|number| format!("_{number:04}"));
    candidates.into_iter().find(|word| !text.contains(word.as_str())).unwrap_or_default()
}

/// Replaces what an expression reads of the named values.
///
/// # Errors
///
/// All mistakes; none if some named values could not be read, which is reported elsewhere.
pub(super) fn resolve(
    expression: &mut IdedExpr,
    word: &str,
    constants: &Constants,
    tables: &mut Tables,
    places: &Places<'_>,
) -> Result<(), Vec<Fault>> {
    let mut resolver = Resolver { word, constants, tables, places, faults: Vec::new(), at: 0 };
    resolver.visit(expression);
    if resolver.faults.is_empty() {
        return Ok(());
    }
    Err(if constants.is_incomplete { Vec::new() } else { resolver.faults })
}

struct Resolver<'t> {
    word: &'t str,
    constants: &'t Constants,
    tables: &'t mut Tables,
    places: &'t Places<'t>,
    faults: Vec<Fault>,
    at: usize,
}

impl Resolver<'_> {
    fn visit(&mut self, expression: &mut IdedExpr) {
        let outer = self.at;
        self.at = self.places.offset(expression.id).unwrap_or(outer);
        let read = match &expression.expr {
            Expr::Select(select) if select.test => self.tested(&select.operand, &select.field),
            _ => self.path(expression).map(|(root, path)| self.read(root, &path)),
        };
        match read {
            Some(Ok(value)) => expression.expr = value,
            Some(Err(fault)) => self.faults.push(fault),
            None => {
                if matches!(&expression.expr, Expr::Ident(name) if name == self.word) {
                    self.fault(BY_NAME.to_owned());
                }
                self.names(&expression.expr);
                if let Expr::Struct(message) = &mut expression.expr {
                    message.type_name = message.type_name.replace(self.word, WORD);
                }
                each_part(&mut expression.expr, &mut |part| self.visit(part));
            }
        }
        self.at = outer;
    }

    fn fault(&mut self, message: String) {
        self.faults.push(Fault { offset: self.at, message });
    }

    /// Refuses `const` as the variable of a macro.
    fn names(&mut self, expression: &Expr) {
        let Expr::Comprehension(it) = expression else { return };
        if it.iter_var == self.word || it.accu_var == self.word {
            self.fault(
                "`const` is a reserved word, which no variable can have as its name".to_owned(),
            );
        }
    }

    /// Returns the value of `has(const.a.b)`; `None` for another argument.
    fn tested(&self, operand: &IdedExpr, field: &str) -> Option<Result<Expr, Fault>> {
        let is_root = matches!(&operand.expr, Expr::Ident(name) if name == self.word);
        let (root, path) = if is_root { (operand, Vec::new()) } else { self.path(operand)? };
        let has = match path.split_first() {
            None => self.constants.read(field).map(|_| true),
            Some((Place::Key(name), rest)) => {
                let holder = self.constants.read(name).and_then(|value| inside(value, name, rest));
                holder.and_then(|holder| match holder {
                    Node::Object(_) => Ok(holder.member(field).is_some()),
                    other => Err(format!("`has` looks into a table, got {}", other.kind())),
                })
            }
            Some((Place::Item(_), _)) => Err(BY_NAME.to_owned()),
        };
        Some(has.map(of_bool).map_err(|message| self.fault_at(root, message)))
    }

    /// Returns the root of a path with literal steps, and its steps; `None` for other expressions.
    fn path<'e>(&self, expression: &'e IdedExpr) -> Option<(&'e IdedExpr, Vec<Place<'e>>)> {
        let (holder, place) = match &expression.expr {
            Expr::Select(select) if !select.test => {
                (&*select.operand, Place::Key(select.field.as_str()))
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [holder, index] = call.args.as_slice() else { return None };
                let place = match &index.expr {
                    Expr::Literal(LiteralValue::String(key)) => Place::Key(key.inner()),
                    Expr::Literal(LiteralValue::Int(at)) => {
                        Place::Item(usize::try_from(*at.inner()).ok()?)
                    }
                    _ => return None,
                };
                (holder, place)
            }
            _ => return None,
        };
        if matches!(&holder.expr, Expr::Ident(name) if name == self.word) {
            return Some((holder, vec![place]));
        }
        let (root, mut path) = self.path(holder)?;
        path.push(place);
        Some((root, path))
    }

    fn read(&mut self, root: &IdedExpr, path: &[Place<'_>]) -> Result<Expr, Fault> {
        let Some((Place::Key(name), rest)) = path.split_first() else {
            return Err(self.fault_at(root, BY_NAME.to_owned()));
        };
        let value = self.constants.read(name).and_then(|value| inside(value, name, rest));
        let value = value.map_err(|message| self.fault_at(root, message))?;
        Ok(match literal(value) {
            Some(literal) => Expr::Literal(literal),
            None => Expr::Ident(self.tables.name_constant(written(name, rest), value)),
        })
    }

    fn fault_at(&self, node: &IdedExpr, message: String) -> Fault {
        Fault { offset: self.places.offset(node.id).unwrap_or(self.at), message }
    }
}

fn of_bool(bool: bool) -> Expr {
    Expr::Literal(LiteralValue::Boolean(if bool { CelBool::TRUE } else { CelBool::FALSE }))
}

/// Returns a value as a literal; `None` for a list, a table and a long string.
fn literal(value: &Node<'static>) -> Option<LiteralValue> {
    match value {
        Node::Null(_) => Some(LiteralValue::Null),
        Node::Bool(bool) => Some(LiteralValue::Boolean(*bool)),
        Node::Int(int) => Some(LiteralValue::Int(*int)),
        Node::Double(double) => Some(LiteralValue::Double(*double.value())),
        Node::Text(text) if text.inner().len() <= LITERAL_BYTES_MAX => {
            Some(LiteralValue::String(text.inner().to_owned().into()))
        }
        Node::Text(_) | Node::Big(_) | Node::List(_) | Node::Object(_) => None,
    }
}

fn written(name: &str, path: &[Place<'_>]) -> String {
    let mut text = name.to_owned();
    for place in path {
        match place {
            Place::Key(key) => push_member(&mut text, key),
            Place::Item(at) => text.push_str(&format!("[{at}]")),
        }
    }
    text
}
