//! Who calls: tokens, their creation, revocation and check.

pub mod token;
mod tokens;

pub(crate) use tokens::TokenIndex;
pub use tokens::{NewToken, TOKEN_SECONDS_MAX, TokenRow, token_rows, tokens_required};
