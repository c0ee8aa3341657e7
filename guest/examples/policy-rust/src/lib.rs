//! A policy in Rust, with nothing but wit-bindgen: [`rules`] are the rules, [`policy`] is world
//! `policy` on top of them.

#[cfg(target_arch = "wasm32")]
mod policy;
pub mod rules;
