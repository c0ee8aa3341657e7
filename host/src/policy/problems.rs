//! The problems of a rules file, for its author.

use std::fmt;

use serde::{Deserialize, Serialize};
use signoff_core::authoring::Problem;

/// The problems of a rules file that cannot be loaded; at least one is an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Problems {
    /// The problems, in the order of the file.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for Problem { severity, file, line, column, message, .. } in &self.problems {
            let file = file.as_ref().map_or_else(String::new, |file| format!("{file}:"));
            write!(f, "{between}{file}{line}:{column}: {severity}: {message}")?;
            between = "\n";
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
