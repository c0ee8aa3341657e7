//! Finds the rules that may concern an attempt, by the names of its agent and action, so that all
//! other rules cost nothing.
//!
//! A rule is filed under the literal prefix of each of its action globs, and there under that of
//! each of its agent globs. Only prefixes are compared: a rule that is found may not match, but a
//! rule that is not found never matches. Prefixes and names are in ASCII lower case, so that the rules
//! that ignore case are found, too.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::glob::Glob;

/// Rules by the names that they concern.
#[derive(Debug, Default)]
pub struct Index {
    by_action: Names<Names<Vec<u32>>>,
}

impl Index {
    /// Adds a rule.
    pub fn add(&mut self, rule: u32, agents: &[Glob], actions: &[Glob]) {
        for action in actions {
            let by_agent = self.by_action.entry(action);
            for agent in agents {
                let rules = by_agent.entry(agent);
                if rules.last() != Some(&rule) {
                    rules.push(rule);
                }
            }
        }
    }

    /// Returns the rules that may concern an attempt, in file order. The names are in lower case.
    #[must_use]
    pub fn candidates(&self, agent: &str, action: &str) -> Vec<u32> {
        let mut found = Vec::new();
        self.by_action.each(action, &mut |by_agent| {
            by_agent.each(agent, &mut |rules| found.extend_from_slice(rules));
        });
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Values filed under globs, by the globs' literal prefixes.
#[derive(Debug)]
struct Names<T> {
    whole: HashMap<Box<str>, T, Hashing>,
    starts: HashMap<Box<str>, T, Hashing>,
    /// Lengths of the prefixes, ascending.
    lengths: Vec<usize>,
    any: Option<T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            whole: HashMap::default(),
            starts: HashMap::default(),
            lengths: Vec::new(),
            any: None,
        }
    }
}

impl<T: Default> Names<T> {
    fn entry(&mut self, glob: &Glob) -> &mut T {
        let (prefix, whole) = glob.prefix();
        let prefix = prefix.to_ascii_lowercase();
        if whole {
            return self.whole.entry(prefix.into()).or_default();
        }
        if prefix.is_empty() {
            return self.any.get_or_insert_default();
        }
        if let Err(at) = self.lengths.binary_search(&prefix.len()) {
            self.lengths.insert(at, prefix.len());
        }
        self.starts.entry(prefix.into()).or_default()
    }

    fn each(&self, name: &str, visit: &mut impl FnMut(&T)) {
        if let Some(filed) = self.whole.get(name) {
            visit(filed);
        }
        for length in &self.lengths {
            let Some(start) = name.get(..*length) else { break };
            if let Some(filed) = self.starts.get(start) {
                visit(filed);
            }
        }
        if let Some(filed) = &self.any {
            visit(filed);
        }
    }
}

type Hashing = BuildHasherDefault<Fnv>;

/// FNV-1a. The keys come from the policy's author, so collisions cannot be forced by an attacker,
/// and it has no seed, so the same rules give the same snapshot.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
