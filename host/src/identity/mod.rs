//! Who calls: tokens, their creation, revocation and check.

pub mod token;
mod tokens;

pub use tokens::{NewToken, TOKEN_SECONDS_MAX, TokenRow, Tokens, token_rows, tokens_required};
