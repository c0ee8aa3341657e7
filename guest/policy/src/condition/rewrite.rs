//! Prepares a checked expression for evaluation: comparisons call signoff's own functions, paths
//! into the context, the plan and the facts become single look-ups, the patterns of `matches` are
//! compiled, and lists of literals are built once.

use cel::common::ast::{
    CallExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, operators as cel_operators,
};

use cel::common::types::{CelBool, CelNull};

use super::operators;
use super::scope::{Path, Root, Step, Tables};
use super::{Fault, Places};
use crate::json::Node;

/// Rewrites an expression in place.
pub(super) fn rewrite(
    expression: &mut IdedExpr,
    tables: &mut Tables,
    places: &Places<'_>,
) -> Result<(), Vec<Fault>> {
    let mut rewriter = Rewriter { tables, places, locals: Vec::new(), faults: Vec::new(), at: 0 };
    rewriter.visit(expression);
    if rewriter.faults.is_empty() { Ok(()) } else { Err(rewriter.faults) }
}

struct Rewriter<'t> {
    tables: &'t mut Tables,
    places: &'t Places<'t>,
    /// Variables that macros declare. They may shadow signoff's own.
    locals: Vec<String>,
    faults: Vec<Fault>,
    at: usize,
}

impl Rewriter<'_> {
    fn visit(&mut self, expression: &mut IdedExpr) {
        let outer = self.at;
        self.at = self.places.offset(expression.id).unwrap_or(outer);
        if let Some(path) = self.path(expression) {
            expression.expr = Expr::Ident(self.tables.name_path(path));
        } else {
            self.inside(&mut expression.expr);
        }
        self.at = outer;
    }

    fn inside(&mut self, expression: &mut Expr) {
        match expression {
            Expr::Call(call) => self.call(call),
            Expr::Select(select) => self.visit(&mut select.operand),
            Expr::List(list) => match literals(list) {
                Some(items) => *expression = Expr::Ident(self.tables.name_list(items)),
                None => list.elements.iter_mut().for_each(|element| self.visit(element)),
            },
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::StructField(field) => self.visit(&mut field.value),
                        EntryExpr::MapEntry(entry) => {
                            self.visit(&mut entry.key);
                            self.visit(&mut entry.value);
                        }
                    }
                }
            }
            Expr::Comprehension(it) => {
                self.visit(&mut it.iter_range);
                self.visit(&mut it.accu_init);
                let outer = self.locals.len();
                self.locals.extend([it.accu_var.clone(), it.iter_var.clone()]);
                self.locals.extend(it.iter_var2.clone());
                self.visit(&mut it.loop_cond);
                self.visit(&mut it.loop_step);
                self.visit(&mut it.result);
                self.locals.truncate(outer);
            }
            Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
        }
    }

    fn call(&mut self, call: &mut CallExpr) {
        if call.func_name == "matches" {
            return self.matches(call);
        }
        if call.func_name == cel_operators::LOGICAL_NOT {
            // The interpreter evaluates this equivalent form faster.
            let literal =
                |bool| IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Boolean(bool)) };
            cel_operators::CONDITIONAL.clone_into(&mut call.func_name);
            call.args.extend([literal(CelBool::FALSE), literal(CelBool::TRUE)]);
        }
        if call.target.is_none() {
            let ours = match call.func_name.as_str() {
                cel_operators::EQUALS => Some(operators::EQUAL),
                cel_operators::NOT_EQUALS => Some(operators::UNEQUAL),
                cel_operators::LESS => Some(operators::LESS),
                cel_operators::LESS_EQUALS => Some(operators::LESS_EQUAL),
                cel_operators::GREATER => Some(operators::GREATER),
                cel_operators::GREATER_EQUALS => Some(operators::GREATER_EQUAL),
                cel_operators::IN => Some(operators::WITHIN),
                "type" => Some(operators::TYPE),
                _ => None,
            };
            if let Some(ours) = ours {
                ours.clone_into(&mut call.func_name);
            }
        }
        if let Some(target) = &mut call.target {
            self.visit(target);
        }
        call.args.iter_mut().for_each(|arg| self.visit(arg));
    }

    /// Rewrites `x.matches("…")` and `matches(x, "…")`. The pattern comes from the author, never
    /// from the agent.
    fn matches(&mut self, call: &mut CallExpr) {
        let text = call.target.take().map(|target| *target);
        let mut args: Vec<IdedExpr> =
            text.into_iter().chain(std::mem::take(&mut call.args)).collect();
        let Some(pattern) = args.get_mut(1) else { return };
        self.at = self.places.offset(pattern.id).unwrap_or(self.at);
        match &pattern.expr {
            Expr::Literal(LiteralValue::String(text)) => {
                match self.tables.name_pattern(text.inner()) {
                    Ok(name) => pattern.expr = Expr::Ident(name),
                    Err(error) => {
                        let message = match error {
                            regex::Error::CompiledTooBig(bytes) => {
                                format!("the compiled regular expression exceeds {bytes} bytes")
                            }
                            other => {
                                let message = other.to_string();
                                let message = message.lines().last().unwrap_or_default();
                                format!(
                                    "not a regular expression: {}",
                                    message.trim_start_matches("error: ")
                                )
                            }
                        };
                        self.faults.push(Fault { offset: self.at, message });
                    }
                }
            }
            _ => self.faults.push(Fault {
                offset: self.at,
                message: "the pattern of `matches` is a string in the condition, got an expression"
                    .to_owned(),
            }),
        }
        if let Some(text) = args.first_mut() {
            self.visit(text);
        }
        operators::MATCHES.clone_into(&mut call.func_name);
        call.args = args;
    }

    /// Returns the path that an expression denotes, with at least one step.
    fn path(&self, expression: &IdedExpr) -> Option<Path> {
        let path = self.walk(expression)?;
        (!path.steps.is_empty()).then_some(path)
    }

    fn walk(&self, expression: &IdedExpr) -> Option<Path> {
        match &expression.expr {
            Expr::Ident(name) if !self.locals.contains(name) => match name.as_str() {
                "context" => Some(Path { root: Root::Context, steps: Vec::new() }),
                "plan" => Some(Path { root: Root::Plan, steps: Vec::new() }),
                "facts" => Some(Path { root: Root::Facts, steps: Vec::new() }),
                _ => None,
            },
            Expr::Select(select) if !select.test => {
                let mut path = self.walk(&select.operand)?;
                path.steps.push(Step::Key(select.field.clone()));
                Some(path)
            }
            Expr::Call(call) if call.func_name == cel_operators::INDEX => {
                let [target, index] = call.args.as_slice() else { return None };
                let step = match &index.expr {
                    Expr::Literal(LiteralValue::String(key)) => Step::Key(key.inner().to_owned()),
                    Expr::Literal(LiteralValue::Int(at)) => {
                        Step::Item(usize::try_from(*at.inner()).ok()?)
                    }
                    _ => return None,
                };
                let mut path = self.walk(target)?;
                path.steps.push(step);
                Some(path)
            }
            _ => None,
        }
    }
}

/// Returns the items of a list of two or more literals. The interpreter's `map` and `filter`
/// recognize shorter lists by their shape.
fn literals(list: &ListExpr) -> Option<Vec<Node<'static>>> {
    if list.elements.len() < 2 || !list.optional_indices.is_empty() {
        return None;
    }
    let item = |element: &IdedExpr| match &element.expr {
        Expr::Literal(literal) => match literal {
            LiteralValue::Boolean(bool) => Some(Node::Bool(*bool)),
            LiteralValue::Double(double) => Some(Node::double(*double)),
            LiteralValue::Int(int) => Some(Node::Int(*int)),
            LiteralValue::Null => Some(Node::Null(CelNull)),
            LiteralValue::String(text) => Some(Node::Text(text.clone())),
            LiteralValue::Bytes(_) | LiteralValue::UInt(_) => None,
        },
        _ => None,
    };
    list.elements.iter().map(item).collect()
}
