//! The identity of callers: tokens, their creation, revocation and authentication.

mod after_rollback;
pub mod token;
mod tokens;

pub(crate) use after_rollback::{is_in_force, revoke_all_but};
pub use tokens::{
    InForce, NewToken, TOKEN_SECONDS_MAX, TokenRow, Tokens, token_rows, tokens_required,
};
