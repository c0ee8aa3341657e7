//! What holds of rules files and their verdicts, asked through the crate's surface.

mod bending;
mod conditions;
mod index;
mod limits;
mod numbers;
mod problems;
mod reasons;
mod support;
mod verdicts;
mod workbench;
