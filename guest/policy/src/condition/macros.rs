//! Macros that the `cel` crate lacks: those with two variables, as in cel-go's extension for
//! comprehensions, and `cel.bind`.
//!
//! `list.exists(i, v, p)` becomes a loop over the pairs of the list, in which `i` and `v` are the parts
//! of a pair. The pairs of a map are its keys and values in the order of the keys.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue, operators,
};
use cel::common::types::CelBool;
use cel::parser::{Macro, MacroExprHelper, ParseError};
use cel::{DeclarationError, Env};

use super::pairs;
use super::tree::each_part;

/// The accumulator of the crate's own macros, by whose name the interpreter recognizes them.
const RESULT: &str = "@result";

type Expanded = Result<Option<IdedExpr>, ParseError>;

/// Adds the macros to an environment.
///
/// # Errors
///
/// Only for a duplicate macro, which callers cannot cause.
pub(super) fn add(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_macro(Macro::receiver("exists", 3, exists))?;
    env.add_macro(Macro::receiver("all", 3, all))?;
    env.add_macro(Macro::receiver("existsOne", 3, exists_one))?;
    env.add_macro(Macro::receiver("exists_one", 3, exists_one))?;
    env.add_macro(Macro::receiver("transformList", 3, transform_list))?;
    env.add_macro(Macro::receiver("transformList", 4, transform_list))?;
    env.add_macro(Macro::receiver("transformMap", 3, transform_map))?;
    env.add_macro(Macro::receiver("transformMap", 4, transform_map))?;
    env.add_macro(Macro::receiver("bind", 3, bind))
}

/// The parts of a loop over pairs.
struct Pairs {
    /// The call that makes the pairs.
    range: IdedExpr,
    /// The variable that holds a pair.
    variable: String,
    /// The other arguments, which read the parts of the pair.
    bodies: Vec<IdedExpr>,
}

impl Pairs {
    /// Takes a call apart: the two variables, then other arguments.
    fn take(
        helper: &mut MacroExprHelper<'_>,
        target: &mut Option<IdedExpr>,
        args: &mut Vec<IdedExpr>,
    ) -> Result<Self, ParseError> {
        let mut args = std::mem::take(args).into_iter();
        let mut name = || {
            let argument = args.next().unwrap_or_default();
            match argument.expr {
                Expr::Ident(name) => Ok(name),
                _ => Err(helper.new_error(argument.id, "argument must be a simple name")),
            }
        };
        let (first, second) = (name()?, name()?);
        let mut bodies: Vec<IdedExpr> = args.collect();
        if first == second {
            let at = bodies.first().map_or(0, |body| body.id);
            return Err(helper.new_error(at, format!("`{first}` is the name of both variables")));
        }
        let target = target.take().unwrap_or_default();
        let range = call(helper, pairs::PAIRS, vec![target]);
        let variable = format!("@pair{}", range.id);
        for body in &mut bodies {
            for (name, at) in [(&first, 0), (&second, 1)] {
                replace(body, name, &mut || part(helper, &variable, at));
            }
        }
        Ok(Self { range, variable, bodies })
    }

    fn body(&mut self) -> IdedExpr {
        self.bodies.pop().unwrap_or_default()
    }

    fn looped(self, helper: &mut MacroExprHelper<'_>, fold: Fold) -> IdedExpr {
        helper.next_expr(Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range: self.range,
            iter_var: self.variable,
            iter_var2: None,
            accu_var: RESULT.to_owned(),
            accu_init: fold.start,
            loop_cond: fold.goes_on,
            loop_step: fold.step,
            result: fold.result,
        })))
    }
}

/// How a loop makes its result.
struct Fold {
    start: IdedExpr,
    goes_on: IdedExpr,
    step: IdedExpr,
    result: IdedExpr,
}

fn exists(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expanded {
    let mut pairs = Pairs::take(helper, target, args)?;
    let body = pairs.body();
    let not_yet = vec![result(helper)];
    let not_yet = vec![call(helper, operators::LOGICAL_NOT, not_yet)];
    let fold = Fold {
        start: bool(helper, false),
        goes_on: call(helper, operators::NOT_STRICTLY_FALSE, not_yet),
        step: with_result(helper, operators::LOGICAL_OR, body),
        result: result(helper),
    };
    Ok(Some(pairs.looped(helper, fold)))
}

fn all(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expanded {
    let mut pairs = Pairs::take(helper, target, args)?;
    let body = pairs.body();
    let so_far = vec![result(helper)];
    let fold = Fold {
        start: bool(helper, true),
        goes_on: call(helper, operators::NOT_STRICTLY_FALSE, so_far),
        step: with_result(helper, operators::LOGICAL_AND, body),
        result: result(helper),
    };
    Ok(Some(pairs.looped(helper, fold)))
}

fn exists_one(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expanded {
    let mut pairs = Pairs::take(helper, target, args)?;
    let body = pairs.body();
    let one = int(helper, 1);
    let more = with_result(helper, operators::ADD, one);
    let same = result(helper);
    let one = int(helper, 1);
    let fold = Fold {
        start: int(helper, 0),
        goes_on: bool(helper, true),
        step: call(helper, operators::CONDITIONAL, vec![body, more, same]),
        result: with_result(helper, operators::EQUALS, one),
    };
    Ok(Some(pairs.looped(helper, fold)))
}

fn transform_list(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expanded {
    let pairs = Pairs::take(helper, target, args)?;
    Ok(Some(listed(helper, pairs)))
}

fn transform_map(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expanded {
    let mut pairs = Pairs::take(helper, target, args)?;
    let body = pairs.body();
    let key = part(helper, &pairs.variable, 0);
    pairs.bodies.push(helper.next_expr(Expr::List(ListExpr::new(vec![key, body]))));
    let list = listed(helper, pairs);
    Ok(Some(call(helper, pairs::TO_MAP, vec![list])))
}

/// Returns the list of a loop's last body, for the pairs that its first body takes if it has two.
fn listed(helper: &mut MacroExprHelper<'_>, mut pairs: Pairs) -> IdedExpr {
    let body = pairs.body();
    let filter = pairs.bodies.pop();
    let item = helper.next_expr(Expr::List(ListExpr::new(vec![body])));
    let mut step = with_result(helper, operators::ADD, item);
    if let Some(filter) = filter {
        let same = result(helper);
        step = call(helper, operators::CONDITIONAL, vec![filter, step, same]);
    }
    let fold = Fold {
        start: helper.next_expr(Expr::List(ListExpr::new(Vec::new()))),
        goes_on: bool(helper, true),
        step,
        result: result(helper),
    };
    pairs.looped(helper, fold)
}

/// Expands `cel.bind(name, value, body)` as cel-go does: a loop over nothing, whose accumulator is the
/// variable.
fn bind(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expanded {
    let is_ours = target
        .as_ref()
        .is_some_and(|target| matches!(&target.expr, Expr::Ident(name) if name == "cel"));
    if !is_ours {
        return Ok(None);
    }
    target.take();
    let mut args = std::mem::take(args).into_iter();
    let name = args.next().unwrap_or_default();
    let Expr::Ident(variable) = name.expr else {
        return Err(helper.new_error(name.id, "argument must be a simple name"));
    };
    let (value, body) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    let nothing = helper.next_expr(Expr::List(ListExpr::new(Vec::new())));
    let never = bool(helper, false);
    let same = helper.next_expr(Expr::Ident(variable.clone()));
    Ok(Some(helper.next_expr(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: nothing,
        iter_var: "@unused".to_owned(),
        iter_var2: None,
        accu_var: variable,
        accu_init: value,
        loop_cond: never,
        loop_step: same,
        result: body,
    })))))
}

/// Replaces a variable wherever an expression reads it. A loop inside may have a variable of the same
/// name, which is another.
fn replace(expression: &mut IdedExpr, name: &str, with: &mut dyn FnMut() -> IdedExpr) {
    match &mut expression.expr {
        Expr::Ident(read) if read == name => {
            let id = expression.id;
            expression.expr = with().expr;
            expression.id = id;
        }
        Expr::Comprehension(it) => {
            replace(&mut it.iter_range, name, with);
            replace(&mut it.accu_init, name, with);
            let is_accumulator = it.accu_var == name;
            if !is_accumulator && it.iter_var != name {
                replace(&mut it.loop_cond, name, with);
                replace(&mut it.loop_step, name, with);
            }
            if !is_accumulator {
                replace(&mut it.result, name, with);
            }
        }
        other => each_part(other, &mut |part| replace(part, name, with)),
    }
}

fn part(helper: &mut MacroExprHelper<'_>, variable: &str, at: i64) -> IdedExpr {
    let pair = helper.next_expr(Expr::Ident(variable.to_owned()));
    let at = int(helper, at);
    call(helper, operators::INDEX, vec![pair, at])
}

fn call(helper: &mut MacroExprHelper<'_>, function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    helper.next_expr(Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }))
}

fn with_result(helper: &mut MacroExprHelper<'_>, function: &str, other: IdedExpr) -> IdedExpr {
    let result = result(helper);
    call(helper, function, vec![result, other])
}

fn result(helper: &mut MacroExprHelper<'_>) -> IdedExpr {
    helper.next_expr(Expr::Ident(RESULT.to_owned()))
}

fn bool(helper: &mut MacroExprHelper<'_>, bool: bool) -> IdedExpr {
    let literal = if bool { CelBool::TRUE } else { CelBool::FALSE };
    helper.next_expr(Expr::Literal(LiteralValue::Boolean(literal)))
}

fn int(helper: &mut MacroExprHelper<'_>, int: i64) -> IdedExpr {
    helper.next_expr(Expr::Literal(LiteralValue::Int(int.into())))
}
