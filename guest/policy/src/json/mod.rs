//! Contexts and plans as CEL values: parsed once, when a condition first uses them, and borrowed
//! from the text wherever possible.

mod number;
mod parse;
mod show;
mod value;

pub use number::{big_was_touched, forget_big};
pub use parse::{Malformed, parse};
pub use show::{plain, show};
pub use value::{List, Node, Object};

pub(crate) use number::is_big;
