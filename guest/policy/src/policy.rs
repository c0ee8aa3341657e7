//! A loaded rules file: every condition compiled, every rule indexed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cel::Env;
use signoff_core::authoring::RuleRequirement;

use crate::condition::{Condition, Constant, Given, Tables, environment};
use crate::constants::Constants;
use crate::file::{self, Case, RulesFile, Shape, When};
use crate::index::Index;
use crate::limits::REQUIREMENTS_MAX;
use crate::lint;
use crate::problem::{Problem, Problems};
use crate::reason::Reason;
use crate::schema::Schemas;
use crate::verdict::{Decision, Requirement};

/// A loaded rules file.
pub struct Policy {
    name: String,
    text: String,
    /// The paths of the included files.
    includes: Vec<String>,
    /// The names of the named values.
    constants: Vec<String>,
    pub(crate) schemas: Schemas,
    pub(crate) default: Decision,
    pub(crate) rules: Vec<Rule>,
    pub(crate) cases: Vec<Case>,
    pub(crate) conditions: Vec<Shared>,
    pub(crate) tables: Tables,
    pub(crate) env: Arc<Env>,
    pub(crate) index: Index,
}

/// A rule, ready for evaluation.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) at: usize,
    pub(crate) line: usize,
    pub(crate) shape: Shape,
    /// Index into the policy's conditions.
    pub(crate) condition: Option<u32>,
    pub(crate) verdict: Decision,
    pub(crate) requirement: Requirement,
    pub(crate) reason: Option<Reason>,
}

/// A condition, and whether several rules share it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) condition: Condition,
    pub(crate) by_many: bool,
}

impl Policy {
    /// Loads a rules file. Also returns the warnings.
    ///
    /// # Errors
    ///
    /// All errors and warnings, in order of position; at most 100.
    pub fn load(text: &str) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut problems = Problems::new(text);
        let file = file::read(text, &mut problems);
        let env = match environment() {
            Ok(env) => Arc::new(env),
            Err(error) => {
                problems.error(0, format!("the environment cannot be created: {error}"));
                return Err(problems.into_sorted());
            }
        };
        let policy = Self::compile(text, file, env, &mut problems);
        if !problems.is_loadable() {
            return Err(problems.into_sorted());
        }
        lint::lint(&policy, &mut problems);
        Ok((policy, problems.into_sorted()))
    }

    fn compile(text: &str, file: RulesFile, env: Arc<Env>, problems: &mut Problems<'_>) -> Self {
        let mut compiler = Compiler::new(text, &env, &file.constants, &file.schemas);
        let mut index = Index::default();
        let mut rules = Vec::with_capacity(file.rules.len());
        for (at, rule) in file.rules.into_iter().enumerate() {
            problems.rule = Some(rule.id.clone());
            let condition = rule.when.and_then(|when| compiler.add(&when, &rule.shape, problems));
            compiler.tables.facts.extend(rule.reason.iter().flat_map(Reason::facts));
            index.add(u32::try_from(at).unwrap_or(u32::MAX), &rule.shape.agent, &rule.shape.action);
            rules.push(Rule {
                id: rule.id,
                at: rule.at,
                line: rule.line,
                shape: rule.shape,
                condition,
                verdict: rule.verdict,
                requirement: rule.requirement,
                reason: rule.reason,
            });
        }
        problems.rule = None;
        let Compiler { mut tables, conditions, .. } = compiler;
        tables.close();
        if problems.is_loadable() {
            lint::unread(&file.constants, &file.includes, problems);
        }
        Self {
            name: file.name,
            text: text.to_owned(),
            includes: file.includes.into_iter().map(|named| named.path).collect(),
            constants: file.constants.names().map(str::to_owned).collect(),
            schemas: file.schemas,
            default: file.default,
            rules,
            cases: file.cases,
            conditions,
            tables,
            env,
            index,
        }
    }

    /// Returns the file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of rules.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Returns the names of the facts that conditions and reasons read, in ascending order.
    pub fn facts(&self) -> impl Iterator<Item = &'static str> {
        self.tables.facts.iter().copied()
    }

    /// Returns the number of tests in the file.
    #[must_use]
    pub fn tests(&self) -> usize {
        self.cases.len()
    }

    /// Returns each requirement with a threshold above 1 or with groups once, with its first rule; at
    /// most 64.
    #[must_use]
    pub fn requirements(&self) -> Vec<RuleRequirement> {
        let mut seen = HashSet::new();
        let demanding = |rule: &&Rule| {
            let Requirement { threshold, groups, .. } = &rule.requirement;
            let demands = threshold.is_some_and(|threshold| threshold > 1) || !groups.is_empty();
            demands && seen.insert((*threshold, groups.clone()))
        };
        let demanding = self.rules.iter().filter(demanding);
        demanding
            .take(REQUIREMENTS_MAX)
            .map(|rule| RuleRequirement {
                rule: rule.id.clone(),
                line: rule.line,
                requirement: rule.requirement.clone(),
            })
            .collect()
    }

    /// Returns the policy's description as JSON: `{name, kind, format, version, default, facts, consts,
    /// includes, contexts, requirements, rules_count, rules}`. `rules` is the whole text, with the
    /// included files as a [`Bundle`](crate::bundle::Bundle).
    #[must_use]
    pub fn describe(&self) -> String {
        let contexts = self.schemas.0.iter().map(|schema| &schema.header);
        serde_json::json!({
            "name": self.name,
            "kind": "rules",
            "format": 1,
            "version": env!("CARGO_PKG_VERSION"),
            "default": self.default,
            "facts": self.tables.facts,
            "consts": self.constants,
            "includes": self.includes,
            "contexts": contexts.collect::<Vec<_>>(),
            "requirements": self.requirements(),
            "rules_count": self.rules.len(),
            "rules": self.text,
        })
        .to_string()
    }

    pub(crate) fn condition(&self, rule: &Rule) -> Option<&Shared> {
        self.conditions.get(rule.condition? as usize)
    }

    /// Returns whether the condition of a rule fails for every attempt.
    pub(crate) fn always_fails(&self, rule: &Rule) -> bool {
        let constant = self.condition(rule).and_then(|shared| shared.condition.constant);
        constant == Some(Constant::Error)
    }

    /// Returns whether a rule matches every attempt that it concerns.
    pub(crate) fn is_unconditional(&self, rule: &Rule) -> bool {
        match self.condition(rule).map(|shared| shared.condition.constant) {
            None => rule.condition.is_none(),
            Some(constant) => match constant {
                Some(Constant::Bool(bool)) => bool,
                Some(Constant::Error) => rule.verdict != Decision::Allow,
                None => false,
            },
        }
    }
}

/// The conditions of a file while it is loaded. Rules share a condition if its text and the schemas of
/// their actions are the same.
struct Compiler<'f> {
    text: &'f str,
    env: &'f Arc<Env>,
    constants: &'f Constants,
    schemas: &'f Schemas,
    tables: Tables,
    conditions: Vec<Shared>,
    known: HashMap<(String, Vec<usize>), Option<u32>>,
}

impl<'f> Compiler<'f> {
    fn new(
        text: &'f str,
        env: &'f Arc<Env>,
        constants: &'f Constants,
        schemas: &'f Schemas,
    ) -> Self {
        Self {
            text,
            env,
            constants,
            schemas,
            tables: Tables::default(),
            conditions: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// Compiles the condition of a rule. Returns its place; `None` if it has mistakes, which are
    /// recorded.
    fn add(&mut self, when: &When, shape: &Shape, problems: &mut Problems<'_>) -> Option<u32> {
        let schemas = self.schemas.of_rule(shape);
        let specs = self.schemas.specs(&schemas);
        let key = (when.text.clone(), schemas);
        if let Some(known) = self.known.get(&key) {
            let shared = known.and_then(|at| self.conditions.get_mut(at as usize));
            if let Some(shared) = shared {
                shared.by_many = true;
            }
            return *known;
        }
        let given = Given { constants: self.constants, context: &specs };
        let condition = match Condition::compile(&when.text, self.env, &mut self.tables, given) {
            Ok((condition, warnings)) => {
                for warning in warnings {
                    problems.warning(when.place(self.text, warning.offset), warning.message);
                }
                self.conditions.push(Shared { condition, by_many: false });
                u32::try_from(self.conditions.len() - 1).ok()
            }
            Err(faults) => {
                for fault in faults {
                    problems.error(when.place(self.text, fault.offset), fault.message);
                }
                None
            }
        };
        self.known.insert(key, condition);
        condition
    }
}
