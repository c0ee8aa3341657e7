//! Walks the nodes of an expression.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// Visits each part of an expression, but not the parts of the parts.
pub(super) fn each_part(expression: &mut Expr, visit: &mut dyn FnMut(&mut IdedExpr)) {
    match expression {
        Expr::Call(call) => {
            if let Some(target) = &mut call.target {
                visit(target);
            }
            call.args.iter_mut().for_each(visit);
        }
        Expr::Select(select) => visit(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().for_each(visit),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                match &mut entry.expr {
                    EntryExpr::StructField(field) => visit(&mut field.value),
                    EntryExpr::MapEntry(entry) => {
                        visit(&mut entry.key);
                        visit(&mut entry.value);
                    }
                }
            }
        }
        Expr::Comprehension(it) => {
            for part in [
                &mut it.iter_range,
                &mut it.accu_init,
                &mut it.loop_cond,
                &mut it.loop_step,
                &mut it.result,
            ] {
                visit(part);
            }
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}
