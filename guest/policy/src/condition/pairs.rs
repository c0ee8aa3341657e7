//! The functions behind the macros with two variables: the pairs of a list or a map, and the map of a
//! list of pairs.

use std::collections::HashMap;

use cel::common::types::{CelInt, CelList, CelMap, CelMapKey, Kind};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::operators::Taken;
use super::strict::sorted_keys;

/// `@pairs(x)`: the index and the item of each item of a list, or the key and the value of each member
/// of a map, in the order of the keys.
pub(super) const PAIRS: &str = "@pairs";
/// `@to_map(x)`: the map that a list of pairs makes.
pub(super) const TO_MAP: &str = "@to_map";

/// Adds the functions to an environment.
///
/// # Errors
///
/// Only for a duplicate function, which callers cannot cause.
pub(super) fn add(env: &mut Env) -> Result<(), DeclarationError> {
    let one = || vec![cel::common::types::DYN_TYPE];
    env.add_overload(PAIRS, PAIRS, one(), |args| pairs(&args))?;
    env.add_overload(TO_MAP, TO_MAP, one(), |args| to_map(&args))
}

fn pairs<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Taken<'b, 'v> {
    let [holder] = args else { return Err(ExecutionError::missing_argument_or_target()) };
    let holder = holder.as_ref();
    let mut pairs: Vec<Box<dyn Val + 'v>> = Vec::new();
    match holder.get_type().kind() {
        Kind::Map => {
            let indexer = holder.as_indexer().ok_or_else(|| refused(holder))?;
            for key in sorted_keys(holder) {
                let value = indexer.get(key.as_ref())?.into_owned();
                pairs.push(Box::new(CelList::from(vec![key, value])));
            }
        }
        Kind::List => {
            let items = holder.as_iterable().ok_or_else(|| refused(holder))?;
            let mut items = items.iter();
            let mut at = 0_i64;
            while let Some(item) = items.next() {
                let index: Box<dyn Val + 'v> = Box::new(CelInt::from(at));
                pairs.push(Box::new(CelList::from(vec![index, item.clone_as_boxed()])));
                at += 1;
            }
        }
        _ => return Err(refused(holder)),
    }
    Ok(CowVal::owned(CelList::from(pairs)))
}

fn refused(holder: &dyn Val) -> ExecutionError {
    ExecutionError::FunctionError {
        function: PAIRS.to_owned(),
        message: format!(
            "a macro iterates over a list or a map, got a value of type {}",
            holder.get_type().name()
        ),
    }
}

fn to_map<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Taken<'b, 'v> {
    let [list] = args else { return Err(ExecutionError::missing_argument_or_target()) };
    let list = list.as_ref().as_iterable().ok_or_else(|| refused(list.as_ref()))?;
    let mut pairs = list.iter();
    let mut map: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = HashMap::new();
    while let Some(pair) = pairs.next() {
        let parts = pair.as_indexer().ok_or_else(|| refused(pair))?;
        let part = |at: i64| parts.get(&CelInt::from(at)).map(CowVal::into_owned);
        map.insert(CelMapKey::try_from(part(0)?)?, part(1)?);
    }
    Ok(CowVal::owned(CelMap::from(map)))
}
