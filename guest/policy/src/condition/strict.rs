//! Functions of CEL that the `cel` crate implements more loosely than cel-go. A rewritten condition calls
//! these: some replace a function, the others check or prepare its argument.

use std::cmp::Ordering;

use cel::common::types::{
    CelDouble, CelDuration, CelInt, CelList, CelOptional, CelString, CelTimestamp, DYN_TYPE, Kind,
};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::operators::{Taken, not_taken, order, refused};
use super::time;

/// `duration(x)`
pub(super) const DURATION: &str = "@duration";
/// `timestamp(x)`
pub(super) const TIMESTAMP: &str = "@timestamp";
/// The argument of `uint(x)`.
pub(super) const UINT: &str = "@uint";
/// The argument of `double(x)`.
pub(super) const DOUBLE: &str = "@double";
/// The argument of `string(x)`.
pub(super) const STRING: &str = "@string";
/// The element of `[?x]` and `{?k: x}`.
pub(super) const OPTIONAL: &str = "@optional";
/// `x.?name` and `x[?key]`
pub(super) const FIND: &str = "@find";
/// `x.name` of a value that may be optional.
pub(super) const SELECT: &str = "@select";
/// What `.name` and `[key]` do not look into: an optional that a map or a list contains.
pub(super) const PLAIN: &str = "@plain";
/// `x + y`
pub(super) const ADD: &str = "@add";
/// What a macro that builds a list iterates over.
pub(super) const IN_ORDER: &str = "@in_order";

/// Adds the functions to an environment.
///
/// # Errors
///
/// Only for a duplicate function, which callers cannot cause.
pub(super) fn add(env: &mut Env) -> Result<(), DeclarationError> {
    let one = || vec![DYN_TYPE];
    let two = || vec![DYN_TYPE, DYN_TYPE];
    env.add_overload(DURATION, DURATION, one(), duration)?;
    env.add_overload(TIMESTAMP, TIMESTAMP, one(), timestamp)?;
    env.add_overload(UINT, UINT, one(), uint)?;
    env.add_overload(DOUBLE, DOUBLE, one(), double)?;
    env.add_overload(ADD, ADD, two(), |args| add_two(&args))?;
    env.add_overload(STRING, STRING, one(), string)?;
    env.add_overload(OPTIONAL, OPTIONAL, one(), optional)?;
    env.add_overload(PLAIN, PLAIN, one(), plain)?;
    env.add_overload(FIND, FIND, two(), |args| find(&args))?;
    env.add_overload(SELECT, SELECT, two(), |args| select(&args))?;
    env.add_overload(IN_ORDER, IN_ORDER, one(), in_order)?;
    Ok(())
}

fn only<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Taken<'b, 'v> {
    args.into_iter().next().ok_or_else(ExecutionError::missing_argument_or_target)
}

/// Names the function whose argument was refused.
fn named<T>(function: &str, result: Result<T, String>) -> Result<T, ExecutionError> {
    result.map_err(|message| ExecutionError::function_error(function, message))
}

fn duration<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Taken<'b, 'v> {
    let argument = only(args)?;
    let value = argument.as_ref();
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        let duration = named(DURATION, time::duration(text.inner()))?;
        return Ok(CowVal::owned(CelDuration::from(duration)));
    }
    if value.downcast_ref::<CelDuration>().is_none() {
        return Err(not_taken("duration()", value));
    }
    Ok(argument)
}

fn timestamp<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Taken<'b, 'v> {
    let argument = only(args)?;
    let value = argument.as_ref();
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        let timestamp = named(TIMESTAMP, time::timestamp(text.inner()))?;
        return Ok(CowVal::owned(CelTimestamp::from(timestamp)));
    }
    if let Some(seconds) = value.downcast_ref::<CelInt>() {
        let timestamp = named(TIMESTAMP, time::from_unix_seconds(*seconds.inner()))?;
        return Ok(CowVal::owned(CelTimestamp::from(timestamp)));
    }
    if value.downcast_ref::<CelTimestamp>().is_none() {
        return Err(not_taken("timestamp()", value));
    }
    Ok(argument)
}

/// Refuses a sign, which `uint` does not take.
fn uint<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Taken<'b, 'v> {
    let value = only(args)?;
    let text = value.as_ref().downcast_ref::<CelString<'_>>();
    if let Some(text) = text
        && !text.inner().bytes().all(|byte| byte.is_ascii_digit())
    {
        let message = format!("`{}` is not a uint, expected digits", text.inner().escape_debug());
        return Err(ExecutionError::function_error(UINT, message));
    }
    Ok(value)
}

/// Refuses a text that is beyond a double, which the crate reads as infinity, and a NaN with a sign.
fn double<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Taken<'b, 'v> {
    let value = only(args)?;
    if let Some(text) = value.as_ref().downcast_ref::<CelString<'_>>() {
        let text = text.inner();
        let is_in_range = text.parse::<f64>().is_ok_and(|double| {
            let is_signed = text.starts_with(['+', '-']);
            let is_named = text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'n'));
            !(double.is_infinite() && !is_named || double.is_nan() && is_signed)
        });
        if !is_in_range {
            let message = format!("`{}` is not a double", text.escape_debug());
            return Err(ExecutionError::function_error(DOUBLE, message));
        }
    }
    Ok(value)
}

/// Adds two values. A list takes a list only: the crate would add the keys of a map.
fn add_two<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Taken<'b, 'v> {
    let [left, right] = args else { return Err(ExecutionError::missing_argument_or_target()) };
    let (left, right) = (left.as_ref(), right.as_ref());
    let (kind, other) = (left.get_type().kind(), right.get_type().kind());
    if kind == Kind::List && other != Kind::List {
        return Err(refused("+", left, right));
    }
    let adder = left.as_adder().ok_or_else(|| refused("+", left, right))?;
    Ok(CowVal::Owned(adder.add(right)?.into_owned()))
}

/// Writes a double as cel-go does: the shortest digits that give it again, with an exponent below 1e-4
/// and from 1e6 on.
fn string<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Taken<'b, 'v> {
    let value = only(args)?;
    match value.as_ref().downcast_ref::<CelDouble>() {
        Some(double) => Ok(CowVal::owned(CelString::from(written(*double.inner())))),
        None => Ok(value),
    }
}

fn written(double: f64) -> String {
    if double.is_nan() {
        return "NaN".to_owned();
    }
    if double.is_infinite() {
        return if double > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{double:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&power) {
        return format!("{double}");
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.unsigned_abs())
}

fn optional<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Taken<'b, 'v> {
    let value = only(args)?;
    if value.as_ref().downcast_ref::<CelOptional<'_>>().is_none() {
        return Err(not_taken("[?]", value.as_ref()));
    }
    Ok(value)
}

/// Refuses an optional.
fn plain<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Taken<'b, 'v> {
    let value = only(args)?;
    if value.as_ref().downcast_ref::<CelOptional<'_>>().is_some() {
        return Err(not_taken(".", value.as_ref()));
    }
    Ok(value)
}

/// What an optional selection starts from.
enum Holder<'a, 'v> {
    Plain(&'a (dyn Val + 'v)),
    Present(&'a (dyn Val + 'v)),
    Absent,
}

impl<'a, 'v> Holder<'a, 'v> {
    fn of(value: &'a (dyn Val + 'v)) -> Self {
        match value.downcast_ref::<CelOptional<'v>>().map(CelOptional::option) {
            None => Self::Plain(value),
            Some(Some(inner)) => Self::Present(inner),
            Some(None) => Self::Absent,
        }
    }
}

fn find<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Taken<'b, 'v> {
    let [holder, key] = args else { return Err(ExecutionError::missing_argument_or_target()) };
    match Holder::of(holder.as_ref()) {
        Holder::Plain(holder) | Holder::Present(holder) => found(holder, key.as_ref()),
        Holder::Absent => Ok(CowVal::owned(CelOptional::none())),
    }
}

fn select<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Taken<'b, 'v> {
    let [holder, key] = args else { return Err(ExecutionError::missing_argument_or_target()) };
    match Holder::of(holder.as_ref()) {
        Holder::Plain(holder) => {
            let indexer = holder.as_indexer().filter(|_| holder.get_type().kind() == Kind::Map);
            let indexer = indexer.ok_or_else(|| not_taken(".", holder))?;
            Ok(CowVal::Owned(indexer.get(key.as_ref())?.into_owned()))
        }
        Holder::Present(holder) if holder.as_indexer().is_none() => Err(not_taken(".", holder)),
        Holder::Present(holder) => found(holder, key.as_ref()),
        Holder::Absent => Ok(CowVal::owned(CelOptional::none())),
    }
}

/// Returns an optional: the member or the item, or none.
fn found<'b, 'v>(holder: &(dyn Val + 'v), key: &(dyn Val + 'v)) -> Taken<'b, 'v> {
    let none = || CowVal::owned(CelOptional::none());
    let Some(indexer) = holder.as_indexer() else { return Ok(none()) };
    match indexer.get(key) {
        Ok(value) => Ok(CowVal::owned(CelOptional::of(value.into_owned()))),
        Err(ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_)) => Ok(none()),
        Err(other) => Err(other),
    }
}

/// Gives a map that a condition created an order, so that a condition has one result: the list of its
/// keys, ascending, first bools, then numbers, then strings. A context's objects are sorted already.
fn in_order<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Taken<'b, 'v> {
    let value = only(args)?;
    let holder = value.as_ref();
    if holder.get_type().kind() != Kind::Map || holder.as_iterable().is_none() {
        return Ok(value);
    }
    Ok(CowVal::owned(CelList::from(sorted_keys(holder))))
}

/// Returns the keys of a map, ascending: first bools, then numbers, then strings.
pub(super) fn sorted_keys<'v>(map: &(dyn Val + 'v)) -> Vec<Box<dyn Val + 'v>> {
    let Some(keys) = map.as_iterable() else { return Vec::new() };
    let mut keys = keys.iter();
    let mut sorted: Vec<Box<dyn Val + 'v>> = Vec::new();
    while let Some(key) = keys.next() {
        sorted.push(key.clone_as_boxed());
    }
    sorted.sort_by(|left, right| ascending(left.as_ref(), right.as_ref()));
    sorted
}

fn ascending(left: &dyn Val, right: &dyn Val) -> Ordering {
    let rank = |key: &dyn Val| match key.get_type().kind() {
        Kind::Boolean => 0,
        Kind::String => 2,
        _ => 1,
    };
    rank(left).cmp(&rank(right)).then_with(|| order(left, right).unwrap_or(Ordering::Equal))
}
