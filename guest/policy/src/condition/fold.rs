//! Constant folding: finds conditions with the same result for every attempt.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};
use cel::common::types::CelBool;
use cel::{Context, Env, Value};
use std::sync::Arc;

use super::{Constant, Scope, Tables};
use crate::attempt::Attempt;

/// Returns the constant result of an expression; `None` if it depends on the attempt.
pub(super) fn fold(expression: &IdedExpr, env: &Arc<Env>, tables: &Tables) -> Option<Constant> {
    if closed(expression, &mut Vec::new()) {
        let nothing =
            Attempt { agent: "", action: "", context: "", plan: None, facts: "{}", now: 0 };
        let scope = Scope::new(&nothing, tables);
        let mut context = Context::with_env(Arc::clone(env));
        context.set_variable_resolver(&scope);
        let value = Value::resolve_val(expression, &context).ok();
        let bool =
            value.and_then(|value| value.downcast_ref::<CelBool>().map(|bool| *bool.inner()));
        return Some(bool.map_or(Constant::Error, Constant::Bool));
    }
    let Expr::Call(CallExpr { func_name, args, .. }) = &expression.expr else { return None };
    let mut sides = args.iter().map(|side| fold(side, env, tables));
    match func_name.as_str() {
        operators::LOGICAL_AND => {
            sides.any(|side| side == Some(Constant::Bool(false))).then_some(Constant::Bool(false))
        }
        operators::LOGICAL_OR => {
            sides.any(|side| side == Some(Constant::Bool(true))).then_some(Constant::Bool(true))
        }
        _ => None,
    }
}

/// Returns whether an expression uses only variables that its own macros declare.
fn closed<'e>(expression: &'e IdedExpr, locals: &mut Vec<&'e str>) -> bool {
    match &expression.expr {
        Expr::Literal(_) => true,
        Expr::Ident(name) => {
            let made_at_load = name.starts_with("@v") || name.starts_with("@r");
            made_at_load || locals.contains(&name.as_str())
        }
        Expr::Select(select) => closed(&select.operand, locals),
        Expr::Call(call) => {
            call.target.iter().all(|target| closed(target, locals))
                && call.args.iter().all(|arg| closed(arg, locals))
        }
        Expr::List(list) => list.elements.iter().all(|element| closed(element, locals)),
        Expr::Map(map) => map.entries.iter().all(|entry| match &entry.expr {
            EntryExpr::StructField(field) => closed(&field.value, locals),
            EntryExpr::MapEntry(entry) => {
                closed(&entry.key, locals) && closed(&entry.value, locals)
            }
        }),
        Expr::Comprehension(it) => {
            if !closed(&it.iter_range, locals) || !closed(&it.accu_init, locals) {
                return false;
            }
            let outer = locals.len();
            locals.extend([it.accu_var.as_str(), it.iter_var.as_str()]);
            locals.extend(it.iter_var2.as_deref());
            let all = [&it.loop_cond, &it.loop_step, &it.result]
                .into_iter()
                .all(|one| closed(one, locals));
            locals.truncate(outer);
            all
        }
        Expr::Struct(_) | Expr::Unspecified => false,
    }
}
