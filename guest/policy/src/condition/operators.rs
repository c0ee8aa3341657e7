//! Comparisons with signoff's semantics: integers and doubles compare exactly, whatever their size;
//! lists and maps compare equally from a context and from a condition; and an integer beyond 64
//! bits cannot be compared.

use std::cmp::Ordering;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelOptional, CelString, CelUInt, DYN_TYPE, Kind,
};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError, extensions};

use super::scope::Pattern;
use super::{macros, pairs, strict};
use crate::json::is_big;

pub(super) const EQUAL: &str = "@eq";
pub(super) const UNEQUAL: &str = "@ne";
pub(super) const LESS: &str = "@lt";
pub(super) const LESS_EQUAL: &str = "@le";
pub(super) const GREATER: &str = "@gt";
pub(super) const GREATER_EQUAL: &str = "@ge";
pub(super) const WITHIN: &str = "@within";
pub(super) const MATCHES: &str = "@matches";
pub(super) const TYPE: &str = "@type";

pub(super) type Taken<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// Creates the environment in which conditions are compiled and evaluated: the standard library,
/// the extensions for strings, lists and mathematics, and the comparisons.
///
/// # Errors
///
/// Only for a duplicate function, which callers cannot cause.
pub fn environment() -> Result<Env, DeclarationError> {
    let mut env = Env::stdlib();
    env.add_extension(extensions::strings)?;
    env.add_extension(extensions::lists)?;
    env.add_extension(extensions::math)?;
    let two = || vec![DYN_TYPE, DYN_TYPE];
    env.add_overload(EQUAL, EQUAL, two(), |args| with_two(&args, equal))?;
    env.add_overload(UNEQUAL, UNEQUAL, two(), |args| with_two(&args, |a, b| Ok(!equal(a, b)?)))?;
    env.add_overload(LESS, LESS, two(), |args| with_two(&args, |a, b| Ok(order(a, b)?.is_lt())))?;
    env.add_overload(LESS_EQUAL, LESS_EQUAL, two(), |args| {
        with_two(&args, |a, b| Ok(order(a, b)?.is_le()))
    })?;
    env.add_overload(GREATER, GREATER, two(), |args| {
        with_two(&args, |a, b| Ok(order(a, b)?.is_gt()))
    })?;
    env.add_overload(GREATER_EQUAL, GREATER_EQUAL, two(), |args| {
        with_two(&args, |a, b| Ok(order(a, b)?.is_ge()))
    })?;
    env.add_overload(WITHIN, WITHIN, two(), |args| with_two(&args, |a, b| contains(b, a)))?;
    env.add_overload(MATCHES, MATCHES, two(), |args| with_two(&args, matches))?;
    env.add_overload(TYPE, TYPE, vec![DYN_TYPE], |args| type_of(&args))?;
    strict::add(&mut env)?;
    pairs::add(&mut env)?;
    macros::add(&mut env)?;
    Ok(env)
}

fn with_two<'b, 'v>(
    args: &[CowVal<'_, '_>],
    answer: impl FnOnce(&dyn Val, &dyn Val) -> Result<bool, ExecutionError>,
) -> Taken<'b, 'v> {
    let [left, right] = args else { return Err(ExecutionError::missing_argument_or_target()) };
    let answer = answer(left.as_ref(), right.as_ref())?;
    Ok(CowVal::Borrowed(if answer { &CelBool::TRUE } else { &CelBool::FALSE }))
}

fn type_of<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Taken<'b, 'v> {
    let [value] = args else { return Err(ExecutionError::missing_argument_or_target()) };
    if is_big(value.as_ref()) {
        return Err(not_taken("type()", value.as_ref()));
    }
    Ok(CowVal::owned(cel::common::types::CelType::from(value.get_type())))
}

/// Returns whether two values are equal.
///
/// # Errors
///
/// An integer beyond 64 bits in either.
pub(crate) fn equal(left: &dyn Val, right: &dyn Val) -> Result<bool, ExecutionError> {
    if is_big(left) || is_big(right) {
        return Err(refused("==", left, right));
    }
    if let (Some(left), Some(right)) = (Number::of(left), Number::of(right)) {
        return Ok(left.order(right) == Some(Ordering::Equal));
    }
    match (left.get_type().kind(), right.get_type().kind()) {
        (Kind::List, Kind::List) => equal_lists(left, right),
        (Kind::Map, Kind::Map) => equal_maps(left, right),
        (Kind::List | Kind::Map, _) | (_, Kind::List | Kind::Map) => Ok(false),
        _ => {
            match (left.downcast_ref::<CelOptional<'_>>(), right.downcast_ref::<CelOptional<'_>>())
            {
                (Some(left), Some(right)) => match (left.option(), right.option()) {
                    (Some(left), Some(right)) => equal(left, right),
                    (left, right) => Ok(left.is_none() && right.is_none()),
                },
                _ => Ok(left.equals(right)),
            }
        }
    }
}

/// Compares every item of both lists, so that an integer beyond 64 bits is found wherever it is.
fn equal_lists(left: &dyn Val, right: &dyn Val) -> Result<bool, ExecutionError> {
    let (Some(lefts), Some(rights)) = (left.as_iterable(), right.as_iterable()) else {
        return Ok(false);
    };
    let (mut lefts, mut rights) = (lefts.iter(), rights.iter());
    let mut same = true;
    loop {
        match (lefts.next(), rights.next()) {
            (Some(left), Some(right)) => same &= equal(left, right)?,
            (None, None) => return Ok(same),
            (Some(one), None) | (None, Some(one)) => {
                equal(one, one)?;
                same = false;
            }
        }
    }
}

fn equal_maps(left: &dyn Val, right: &dyn Val) -> Result<bool, ExecutionError> {
    let same_size = left.as_sizer().map(|one| one.size()) == right.as_sizer().map(|one| one.size());
    let mut same = same_size;
    for (one, other) in [(left, right), (right, left)] {
        let (Some(keys), Some(ones), Some(others)) =
            (one.as_iterable(), one.as_indexer(), other.as_indexer())
        else {
            return Ok(false);
        };
        let mut keys = keys.iter();
        while let Some(key) = keys.next() {
            let value = ones.get(key)?;
            match others.get(key) {
                Ok(other) => same &= equal(value.as_ref(), other.as_ref())?,
                Err(_) => {
                    equal(value.as_ref(), value.as_ref())?;
                    same = false;
                }
            }
        }
    }
    Ok(same)
}

/// Returns whether a list contains an item, or a map a key.
///
/// # Errors
///
/// The container is neither a list nor a map; the value cannot be a map key; an integer beyond 64
/// bits.
pub(crate) fn contains(holder: &dyn Val, value: &dyn Val) -> Result<bool, ExecutionError> {
    if is_big(value) || is_big(holder) {
        return Err(refused("in", value, holder));
    }
    match holder.get_type().kind() {
        Kind::List => {
            let items = holder.as_iterable().ok_or_else(|| refused("in", value, holder))?;
            let mut items = items.iter();
            let mut found = false;
            while let Some(item) = items.next() {
                found |= equal(item, value)?;
            }
            Ok(found)
        }
        Kind::Map => {
            let map = holder.as_container().ok_or_else(|| refused("in", value, holder))?;
            map.contains(value)
        }
        _ => Err(refused("in", value, holder)),
    }
}

/// Returns the order of two values.
///
/// # Errors
///
/// Values of types without a common order; NaN; an integer beyond 64 bits.
pub(super) fn order(left: &dyn Val, right: &dyn Val) -> Result<Ordering, ExecutionError> {
    if let (Some(one), Some(other)) = (Number::of(left), Number::of(right)) {
        return one
            .order(other)
            .ok_or_else(|| no_order("NaN is neither less nor greater than a number".to_owned()));
    }
    let unlike = || {
        no_order(format!(
            "a value of type {} and one of type {} have no order",
            left.get_type().name(),
            right.get_type().name()
        ))
    };
    if is_big(left) || is_big(right) {
        return Err(unlike());
    }
    let comparer = left.as_comparer().ok_or_else(unlike)?;
    comparer.compare(right).map_err(|_| unlike())
}

fn matches(text: &dyn Val, pattern: &dyn Val) -> Result<bool, ExecutionError> {
    let (Some(text), Some(Pattern(pattern))) =
        (text.downcast_ref::<CelString<'_>>(), pattern.downcast_ref())
    else {
        return Err(refused("matches", text, pattern));
    };
    Ok(pattern.is_match(text.inner()))
}

pub(super) fn not_taken(function: &str, value: &dyn Val) -> ExecutionError {
    ExecutionError::FunctionError {
        function: format!("@{function}"),
        message: format!("`{function}` does not take a value of type {}", value.get_type().name()),
    }
}

fn no_order(message: String) -> ExecutionError {
    ExecutionError::FunctionError { function: "@<".to_owned(), message }
}

pub(super) fn refused(operator: &str, left: &dyn Val, right: &dyn Val) -> ExecutionError {
    ExecutionError::FunctionError {
        function: format!("@{operator}"),
        message: format!(
            "`{operator}` does not take a value of type {} and one of type {}",
            left.get_type().name(),
            right.get_type().name()
        ),
    }
}

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Uint(u64),
    Double(f64),
}

impl Number {
    fn of(value: &dyn Val) -> Option<Self> {
        match value.get_type().kind() {
            Kind::Int => value.downcast_ref::<CelInt>().map(|int| Self::Int(*int.inner())),
            Kind::UInt => value.downcast_ref::<CelUInt>().map(|uint| Self::Uint(*uint.inner())),
            Kind::Double => {
                value.downcast_ref::<CelDouble>().map(|double| Self::Double(*double.inner()))
            }
            _ => None,
        }
    }

    /// Returns the order on the number line; `None` for NaN.
    fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Double(left), Self::Double(right)) => left.partial_cmp(&right),
            (Self::Double(left), right) => order_whole(right.whole(), left).map(Ordering::reverse),
            (left, Self::Double(right)) => order_whole(left.whole(), right),
            (left, right) => Some(left.whole().cmp(&right.whole())),
        }
    }

    fn whole(self) -> i128 {
        match self {
            Self::Int(int) => i128::from(int),
            Self::Uint(uint) => i128::from(uint),
            Self::Double(_) => 0,
        }
    }
}

/// Compares an integer with a double without rounding either.
fn order_whole(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Every i64 and u64 is nearer to zero than 2^64.
    if double >= 18_446_744_073_709_551_616.0 {
        return Some(Ordering::Less);
    }
    if double <= -18_446_744_073_709_551_616.0 {
        return Some(Ordering::Greater);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a double without a fraction, within 2^64")]
    let floor = double.floor() as i128;
    Some(whole.cmp(&floor).then(if double.fract() == 0.0 {
        Ordering::Equal
    } else {
        Ordering::Less
    }))
}
