//! JSON numbers. An integer within i64 is a CEL int, a number with a fraction or an exponent a CEL
//! double. An integer beyond i64 is kept as text and cannot be used in an expression.

use std::any::Any;
use std::cell::Cell;

use cel::common::traits::{
    Adder, Comparer, Container, Divider, Indexer, Iterable, Modder, Multiplier, Negator, Sizer,
    Subtractor, Zeroer,
};
use cel::common::types::{CelDouble, Type};
use cel::common::value::{BuiltinRef, StaticVal, Val};

static BIG_TYPE: Type = Type::new_unspecified_type("integer beyond 64 bits");

thread_local! {
    static TOUCHED: Cell<bool> = const { Cell::new(false) };
}

/// An integer outside i64. Reading it sets a mark that turns the condition into an error, so that
/// no operator, function or comparison can take it for another value. Only passing it on, and the
/// presence test of its field, leave the mark unset.
#[derive(Clone, Debug)]
pub struct Big(pub(super) Box<str>);

/// A double and its literal.
#[derive(Clone, Debug)]
pub struct Double<'v> {
    pub(super) value: CelDouble,
    pub(super) text: &'v str,
}

impl Double<'_> {
    /// Returns the value.
    pub(crate) fn value(&self) -> &CelDouble {
        &self.value
    }
}

/// Clears the mark that a condition read an integer beyond 64 bits.
pub fn forget_big() {
    TOUCHED.set(false);
}

/// Returns whether an integer beyond 64 bits was read since [`forget_big`].
#[must_use]
pub fn big_was_touched() -> bool {
    TOUCHED.get()
}

/// Returns whether a value is an integer beyond 64 bits; if so, this counts as reading it.
pub(crate) fn is_big(value: &dyn Val) -> bool {
    let big = std::ptr::eq(value.get_type(), &raw const BIG_TYPE);
    if big {
        touch();
    }
    big
}

fn touch() {
    TOUCHED.set(true);
}

macro_rules! refusing {
    ($($accessor:ident: $capability:ident),*) => {
        $(fn $accessor<'b, 'v>(&'b self) -> Option<&'b (dyn $capability + 'v)> where Self: 'v {
            touch();
            None
        })*
    };
}

impl Val for Big {
    fn get_type(&self) -> &Type {
        &BIG_TYPE
    }

    fn cel_type() -> &'static Type {
        &BIG_TYPE
    }

    refusing!(as_adder: Adder, as_divider: Divider, as_indexer: Indexer, as_iterable: Iterable,
        as_modder: Modder, as_multiplier: Multiplier, as_negator: Negator, as_subtractor: Subtractor);

    fn as_comparer(&self) -> Option<&dyn Comparer> {
        touch();
        None
    }

    fn as_container(&self) -> Option<&dyn Container> {
        touch();
        None
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        touch();
        None
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        touch();
        None
    }

    fn equals(&self, _: &dyn Val) -> bool {
        touch();
        false
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        touch();
        Some(self)
    }

    fn as_builtin<'b, 'v>(&'b self) -> BuiltinRef<'b, 'v>
    where
        Self: 'v,
    {
        touch();
        BuiltinRef::Other
    }
}

impl StaticVal for Big {}
