//! The identity of callers: tokens, their creation, revocation and authentication.

pub mod token;
mod tokens;

pub use tokens::{
    InForce, NewToken, TOKEN_SECONDS_MAX, TokenRow, Tokens, token_rows, tokens_required,
};
