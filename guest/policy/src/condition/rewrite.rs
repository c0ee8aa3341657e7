//! Prepares a checked expression for evaluation: comparisons call signoff's own functions, paths
//! into the context, the plan and the facts become single look-ups, the patterns of `matches` are
//! compiled, and lists of literals are built once.

use cel::common::ast::{
    CallExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, operators as cel_operators,
};

use cel::common::types::{CelBool, CelNull};
use cel::{Context, Env, Value};
use std::sync::Arc;

use super::operators;
use super::scope::{Path, Root, Step, Tables};
use super::{Fault, Places, strict, time};
use crate::json::Node;

/// Rewrites an expression in place.
pub(super) fn rewrite(
    expression: &mut IdedExpr,
    env: &Arc<Env>,
    tables: &mut Tables,
    places: &Places<'_>,
) -> Result<(), Vec<Fault>> {
    let mut rewriter =
        Rewriter { env, tables, places, locals: Vec::new(), faults: Vec::new(), at: 0 };
    rewriter.visit(expression);
    if rewriter.faults.is_empty() { Ok(()) } else { Err(rewriter.faults) }
}

struct Rewriter<'t> {
    env: &'t Arc<Env>,
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
            Expr::Select(select) => {
                let is_optional = may_be_optional(&select.operand);
                self.visit(&mut select.operand);
                if select.test {
                    return;
                }
                if is_optional {
                    let operand = std::mem::take(&mut *select.operand);
                    let field = text(&select.field);
                    *expression = called(strict::SELECT, vec![operand, field]);
                } else if !matches!(select.operand.expr, Expr::Ident(_))
                    && !is_package(&select.operand)
                {
                    wrap(&mut select.operand, strict::PLAIN);
                }
            }
            Expr::List(list) => match literals(list) {
                Some(items) => *expression = Expr::Ident(self.tables.name_value(Node::list(items))),
                None => {
                    for (at, element) in list.elements.iter_mut().enumerate() {
                        self.visit(element);
                        if list.optional_indices.contains(&at) {
                            wrap(element, strict::OPTIONAL);
                        }
                    }
                }
            },
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::StructField(field) => self.visit(&mut field.value),
                        EntryExpr::MapEntry(entry) => {
                            self.visit(&mut entry.key);
                            self.visit(&mut entry.value);
                            if entry.optional {
                                wrap(&mut entry.value, strict::OPTIONAL);
                            }
                        }
                    }
                }
            }
            Expr::Comprehension(it) => {
                self.visit(&mut it.iter_range);
                let made_here =
                    !matches!(&it.iter_range.expr, Expr::Ident(name) if name.starts_with('@'));
                if made_here && matches!(it.accu_init.expr, Expr::List(_)) {
                    wrap(&mut it.iter_range, strict::IN_ORDER);
                }
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
        self.literal(call);
        if call.func_name == cel_operators::ADD && !self.appends(call) {
            strict::ADD.clone_into(&mut call.func_name);
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
                "duration" => Some(strict::DURATION),
                "timestamp" => Some(strict::TIMESTAMP),
                cel_operators::OPT_INDEX | cel_operators::OPT_SELECT => Some(strict::FIND),
                _ => None,
            };
            if let Some(ours) = ours {
                ours.clone_into(&mut call.func_name);
            }
        }
        let is_plain_index = call.func_name == cel_operators::INDEX
            && call.args.first().is_some_and(|held| !may_be_optional(held));
        if let Some(target) = &mut call.target {
            self.visit(target);
        }
        call.args.iter_mut().for_each(|arg| self.visit(arg));
        if let Some(held) = call.args.first_mut().filter(|_| is_plain_index)
            && !matches!(held.expr, Expr::Ident(_))
        {
            wrap(held, strict::PLAIN);
        }
        let prepare = match call.func_name.as_str() {
            "double" => strict::DOUBLE,
            "string" => strict::STRING,
            "uint" => strict::UINT,
            _ => return,
        };
        if let ([argument], None) = (call.args.as_mut_slice(), &call.target) {
            wrap(argument, prepare);
        }
    }

    /// Returns whether an addition is a macro's own, by which the interpreter recognizes the macro.
    fn appends(&self, call: &CallExpr) -> bool {
        let left = call.args.first().map(|left| &left.expr);
        matches!(left, Some(Expr::Ident(name)) if name.starts_with('@') && self.locals.contains(name))
    }

    /// Checks a literal that is a duration, a timestamp or a time zone.
    fn literal(&mut self, call: &CallExpr) {
        let [argument] = call.args.as_slice() else { return };
        let Expr::Literal(LiteralValue::String(text)) = &argument.expr else { return };
        let message = match (call.func_name.as_str(), &call.target) {
            ("duration", None) => time::duration(text.inner()).err(),
            ("timestamp", None) => time::timestamp(text.inner()).err(),
            (name, Some(_)) if name.starts_with("get") => (!self.is_zone(argument)).then(|| {
                format!(
                    "`{}` is not a time zone, expected a name as in `Europe/Berlin` or an offset as in `+02:00`",
                    text.inner().escape_debug()
                )
            }),
            _ => None,
        };
        if let Some(message) = message {
            let offset = self.places.offset(argument.id).unwrap_or(self.at);
            self.faults.push(Fault { offset, message });
        }
    }

    /// Returns whether a literal is a time zone, by asking for the hours of a moment in it.
    fn is_zone(&self, literal: &IdedExpr) -> bool {
        let mut moment = IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Int(0.into())) };
        wrap(&mut moment, strict::TIMESTAMP);
        let hours = Expr::Call(CallExpr {
            func_name: "getHours".to_owned(),
            target: Some(Box::new(moment)),
            args: vec![literal.clone()],
        });
        let context = Context::with_env(Arc::clone(self.env));
        Value::resolve_val(&IdedExpr { id: 0, expr: hours }, &context).is_ok()
    }

    /// Rewrites `x.matches("…")` and `matches(x, "…")`. The pattern comes from the author, never
    /// from the agent.
    fn matches(&mut self, call: &mut CallExpr) {
        let text = call.target.take().map(|target| *target);
        let mut args: Vec<IdedExpr> =
            text.into_iter().chain(std::mem::take(&mut call.args)).collect();
        let Some(pattern) = args.get_mut(1) else { return };
        self.at = self.places.offset(pattern.id).unwrap_or(self.at);
        let text_of_pattern = match &pattern.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
            Expr::Ident(name) => match self.tables.value(name) {
                Some(Node::Text(text)) => Some(text.inner().to_owned()),
                _ => None,
            },
            _ => None,
        };
        match text_of_pattern.map(|text| self.tables.name_pattern(&text)) {
            Some(Ok(name)) => pattern.expr = Expr::Ident(name),
            Some(Err(message)) => self.faults.push(Fault { offset: self.at, message }),
            None => self.faults.push(Fault {
                offset: self.at,
                message: "the pattern of `matches` is a string in the condition or a named value, got an expression"
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

/// Returns whether an expression is an optional that `.name` and `[key]` look into: a call gives it, or a
/// selection from one. An optional that a map or a list contains is an ordinary value.
fn may_be_optional(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Select(select) => !select.test && may_be_optional(&select.operand),
        Expr::Call(call) if call.func_name == cel_operators::INDEX => {
            call.args.first().is_some_and(may_be_optional)
        }
        // `optMap` is a comprehension or a call.
        Expr::Call(_) | Expr::Comprehension(_) => true,
        _ => false,
    }
}

/// Returns whether an expression is the first part of a type's name, `google.protobuf`.
fn is_package(expression: &IdedExpr) -> bool {
    let Expr::Select(select) = &expression.expr else { return false };
    matches!(&select.operand.expr, Expr::Ident(name) if name == "google")
}

fn called(function: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args })
}

/// Replaces an expression with a call that takes it.
fn wrap(expression: &mut IdedExpr, function: &str) {
    let argument = std::mem::take(expression);
    expression.id = argument.id;
    expression.expr = called(function, vec![argument]);
}

fn text(text: &str) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::String(text.to_owned().into())) }
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
