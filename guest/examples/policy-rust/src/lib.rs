//! A policy in Rust, with only wit-bindgen: [`rules`] has the rules, [`policy`] implements world
//! `policy` with them.

#[cfg(target_arch = "wasm32")]
mod policy;
pub mod rules;
