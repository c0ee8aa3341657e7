//! Every query of a store, and whether its answer is one that the honest store gives.

use std::collections::{BTreeSet, HashMap};

use signoff::id::ApprovalId;
use signoff::store::redb::RedbStore;
use signoff::store::{About, Query, RowKind, Scope, Status, Store, StoreError, WithTexts};

use super::edits::{approval_id, number};
use super::tables::{Contents, Table, Write};

/// The number of entries and hashes that are read one by one, spread over all.
const SPREAD: u64 = 60;

/// Queries about every id and key of the honest store, of its older copy, and of an edit. The bytes of
/// modules are left out: the host compares them with their digest before it runs them.
#[derive(Clone, Debug, Default)]
pub struct Queries {
    approvals: BTreeSet<u128>,
    rows: BTreeSet<(RowKind, String)>,
    scopes: BTreeSet<Scope>,
    agents: BTreeSet<String>,
    actions: BTreeSet<String>,
    /// The numbers before each entry.
    entries: BTreeSet<u64>,
    /// Positions in the tree.
    hashes: BTreeSet<u64>,
}

/// The answer to a query, item by item; `None` if the store refuses.
pub type Answer = Option<Vec<String>>;

/// How an answer may differ from the honest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowed {
    /// It is the honest one or a refusal.
    Refusal,
    /// Items may be missing, but the order is the same.
    Missing,
    /// It may be empty.
    Empty,
}

/// A query, its answer, and how the answer may differ.
#[derive(Clone, Debug)]
pub struct Answered {
    query: String,
    answer: Answer,
    allowed: Allowed,
}

impl Queries {
    /// Returns queries about all contents of these stores.
    pub fn about(contents: &[&Contents]) -> Self {
        let mut queries = Self::default();
        for contents in contents {
            for table in Table::ALL {
                contents.rows(table).keys().for_each(|key| queries.add(table, key));
            }
        }
        queries.agents = ["knowledge_update", "inbox_triage"].map(str::to_owned).into();
        queries.actions = ["apply"].map(str::to_owned).into();
        let last = queries.entries.last().copied().unwrap_or_default();
        let stride = usize::try_from(last / SPREAD + 1).unwrap();
        queries.entries = (0..=last).step_by(stride).chain([last]).collect();
        queries.hashes = (0..2 * last).step_by(stride).collect();
        queries
    }

    /// Adds queries about the rows that an edit writes.
    pub fn and(&self, writes: &[Write]) -> Self {
        let mut queries = self.clone();
        writes.iter().for_each(|(table, key, _)| queries.add(*table, key));
        queries
    }

    fn add(&mut self, table: Table, key: &[u8]) {
        match table {
            Table::Approvals | Table::Texts => {
                self.approvals.insert(approval_id(key).to_u128());
            }
            Table::Lists | Table::Due => {
                let id = key.last_chunk().map(|bytes| u128::from_be_bytes(*bytes));
                self.approvals.extend(id);
            }
            Table::Rows => {
                let key = String::from_utf8(key.to_vec()).unwrap();
                let (kind, id) = key.split_once('/').unwrap();
                self.rows.extend(RowKind::parse(kind).map(|kind| (kind, id.to_owned())));
            }
            Table::Answers => {
                self.scopes.insert(key.try_into().unwrap());
            }
            Table::Entries => self.entries.extend([number(key), number(key) - 1]),
            Table::Tree => {
                self.hashes.insert(number(key));
            }
            Table::Meta | Table::Abouts | Table::State | Table::Blobs | Table::AnswerTimes => {}
        }
    }

    /// Runs all queries.
    pub async fn run(&self, store: &RedbStore) -> Vec<Answered> {
        let mut answered = Vec::new();
        self.query_approvals(store, &mut answered).await;
        self.query_lists(store, &mut answered).await;
        self.query_rows(store, &mut answered).await;
        self.query_log(store, &mut answered).await;
        answered
    }

    async fn query_approvals(&self, store: &RedbStore, answered: &mut Vec<Answered>) {
        for id in &self.approvals {
            let id = ApprovalId::from_u128(*id);
            for texts in [WithTexts::Yes, WithTexts::No] {
                let answer = one(store.load(&id, texts).await);
                answered.push(Answered::new(
                    format!("load {id} {texts:?}"),
                    answer,
                    Allowed::Refusal,
                ));
            }
            let about = store.entries_about(About::approval(id), 0, 1_000).await;
            answered.push(Answered::new(
                format!("entries about {id}"),
                many(about),
                Allowed::Missing,
            ));
            let shown = id.to_string();
            let found = store.with_prefix(&shown[..12], 1_000).await;
            answered.push(Answered::new(format!("prefix of {id}"), many(found), Allowed::Refusal));
        }
        let all = many(store.approvals(None, 1_000).await);
        answered.push(Answered::new("every id", all, Allowed::Refusal));
        let unfinished = many(store.unfinished(None, 1_000).await);
        answered.push(Answered::new("unfinished", unfinished, Allowed::Refusal));
    }

    async fn query_lists(&self, store: &RedbStore, answered: &mut Vec<Answered>) {
        let some = |names: &BTreeSet<String>| {
            let named = names.iter().cloned().map(Some);
            named.chain([None]).collect::<Vec<_>>()
        };
        for status in Status::ALL.map(Some).into_iter().chain([None]) {
            for agent in some(&self.agents) {
                for action in some(&self.actions) {
                    let agent = agent.clone();
                    let query = Query { status, agent, action, before: None, limit: 1_000 };
                    let found = many(store.list(&query).await);
                    answered.push(Answered::new(format!("{query:?}"), found, Allowed::Missing));
                }
            }
        }
        for now in [0, 1_700_000_000, u64::MAX] {
            let due = many(store.due(now, 1_000).await);
            answered.push(Answered::new(format!("due at {now}"), due, Allowed::Missing));
        }
    }

    async fn query_rows(&self, store: &RedbStore, answered: &mut Vec<Answered>) {
        for (kind, id) in &self.rows {
            let row = one(store.row(*kind, id).await);
            answered.push(Answered::new(format!("row {kind}/{id}"), row, Allowed::Refusal));
        }
        for kind in RowKind::ALL {
            let ids = many(store.row_ids(kind, "", 1_000).await);
            answered.push(Answered::new(format!("ids of {kind}"), ids, Allowed::Refusal));
        }
        for scope in &self.scopes {
            let answer = one(store.answer(scope).await);
            answered.push(Answered::new(
                format!("answer {}", hex::encode(scope)),
                answer,
                Allowed::Empty,
            ));
        }
    }

    async fn query_log(&self, store: &RedbStore, answered: &mut Vec<Answered>) {
        let head = store.head().await.map(Some);
        answered.push(Answered::new("head", one(head), Allowed::Refusal));
        let whole = many(store.entries(0, usize::MAX).await);
        answered.push(Answered::new("every entry", whole, Allowed::Refusal));
        // One by one, so that a refused entry hides no other.
        for after in &self.entries {
            let next = many(store.entries(*after, 1).await);
            answered.push(Answered::new(format!("entry after {after}"), next, Allowed::Refusal));
        }
        for position in &self.hashes {
            let hash = many(store.hashes(&[*position]).await);
            answered.push(Answered::new(format!("hash {position}"), hash, Allowed::Refusal));
        }
    }
}

impl Answered {
    fn new(query: impl Into<String>, answer: Answer, allowed: Allowed) -> Self {
        Self { query: query.into(), answer, allowed }
    }

    /// Whether an honest store could give this answer. `honest` is its answer; `None` if it refused.
    fn is_sound(&self, honest: &Answer) -> bool {
        let (Some(answer), Some(honest)) = (&self.answer, honest) else {
            return self.answer.is_none();
        };
        match self.allowed {
            Allowed::Refusal => answer == honest,
            Allowed::Missing => is_part(answer, honest),
            Allowed::Empty => answer == honest || answer.is_empty(),
        }
    }
}

/// The answers of the honest store, by query.
#[derive(Default)]
pub struct HonestAnswers(HashMap<String, Answer>);

impl HonestAnswers {
    pub fn add(&mut self, answered: Vec<Answered>) {
        self.0.extend(answered.into_iter().map(|answered| (answered.query, answered.answer)));
    }

    /// Returns the answers that the honest store does not give to the same queries.
    #[track_caller]
    pub fn unsound(&self, answered: &[Answered]) -> Vec<String> {
        let honest = |answered: &Answered| self.0.get(&answered.query).expect("the same query");
        let unsound = answered.iter().filter(|answered| !answered.is_sound(honest(answered)));
        unsound.map(|answered| format!("{answered:?}, and it was {:?}", honest(answered))).collect()
    }
}

/// Whether `some` is a subsequence of `all`.
fn is_part(some: &[String], all: &[String]) -> bool {
    let mut all = all.iter();
    some.iter().all(|item| all.any(|other| other == item))
}

fn one<T: std::fmt::Debug>(found: Result<Option<T>, StoreError>) -> Answer {
    found.ok().map(|found| found.iter().map(|found| format!("{found:?}")).collect())
}

fn many<T: std::fmt::Debug>(found: Result<Vec<T>, StoreError>) -> Answer {
    found.ok().map(|found| found.iter().map(|found| format!("{found:?}")).collect())
}
