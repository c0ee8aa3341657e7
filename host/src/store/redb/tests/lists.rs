//! Lists, due times and prefixes, compared with a model that scans everything.

use super::*;

const AGENTS: [&str; 3] = ["agent:a", "agent:ab", "agent:b"];
const ACTIONS: [&str; 3] = ["deploy", "bdeploy", "refund"];

/// Everything a store should hold.
#[derive(Default)]
struct Model(Vec<Stored>);

impl Model {
    /// Newest first.
    fn list(&self, query: &Query) -> Vec<ApprovalId> {
        let passes = |summary: &Summary| {
            query.status.is_none_or(|status| status == summary.status)
                && query.agent.as_ref().is_none_or(|agent| *agent == summary.agent)
                && query.action.as_ref().is_none_or(|action| *action == summary.action)
                && query.before.is_none_or(|before| summary.id < before)
        };
        let found = self.0.iter().map(|stored| &stored.summary).filter(|summary| passes(summary));
        let mut ids: Vec<_> = found.map(|summary| summary.id).collect();
        ids.sort_by(|one, other| other.cmp(one));
        ids.truncate(query.limit);
        ids
    }

    fn due(&self, now: u64) -> Vec<ApprovalId> {
        let due =
            self.0.iter().filter_map(|stored| Some((stored.summary.due_at?, stored.summary.id)));
        let mut due: Vec<_> = due.filter(|(due_at, _)| *due_at <= now).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id).collect()
    }

    fn counts(&self) -> [u64; 6] {
        Status::ALL.map(|status| {
            self.0.iter().filter(|stored| stored.summary.status == status).count() as u64
        })
    }
}

fn roll(summary: &mut Summary, dice: &mut Dice) {
    summary.status = dice.pick(&Status::ALL);
    summary.due_at = (dice.below(3) > 0).then(|| dice.below(40));
}

/// Applies one random change to store and model.
async fn step(store: &RedbStore, model: &mut Model, dice: &mut Dice) {
    if model.0.is_empty() || dice.below(3) == 0 {
        let mut summary = summary(dice.id());
        summary.agent = dice.pick(&AGENTS).to_owned();
        summary.action = dice.pick(&ACTIONS).to_owned();
        roll(&mut summary, dice);
        let change = new(summary.clone());
        let record = change.approval.as_ref().unwrap().record.clone();
        let Commit::Committed { entry } = store.commit(change).await.unwrap() else {
            panic!("the id is new")
        };
        model.0.push(Stored { summary, record, entry, texts: None });
        return;
    }
    let at = dice.below(model.0.len() as u64) as usize;
    let stored = &mut model.0[at];
    let change = next(stored, |summary| roll(summary, dice));
    stored.summary = change.approval.as_ref().unwrap().summary.clone();
    stored.record = change.approval.as_ref().unwrap().record.clone();
    let Commit::Committed { entry } = store.commit(change).await.unwrap() else {
        panic!("nobody else changes it")
    };
    stored.entry = entry;
}

fn query(dice: &mut Dice, model: &Model, filters: u64) -> Query {
    let at = dice.below(model.0.len() as u64) as usize;
    let cursors = [None, Some(model.0[at].summary.id), Some(dice.id())];
    Query {
        status: (filters & 1 > 0).then(|| dice.pick(&Status::ALL)),
        agent: (filters & 2 > 0).then(|| dice.pick(&AGENTS).to_owned()),
        action: (filters & 4 > 0).then(|| dice.pick(&ACTIONS).to_owned()),
        before: dice.pick(&cursors),
        limit: dice.pick(&[0, 1, 7, 1_000]),
    }
}

#[tokio::test]
async fn every_combination_of_filters_lists_what_a_full_look_finds() {
    let mut fixture = Fixture::new();
    let mut model = Model::default();
    let mut dice = Dice(1);
    for round in 0..12 {
        for _ in 0..40 {
            step(&fixture.store, &mut model, &mut dice).await;
        }
        for filters in (0..8).cycle().take(160) {
            let query = query(&mut dice, &model, filters);
            assert_eq!(list(&fixture.store, query.clone()).await, model.list(&query), "{query:?}");
        }
        let now = dice.below(50);
        assert_eq!(fixture.store.due(now, 10_000).await.unwrap(), model.due(now));
        assert_eq!(fixture.store.head().await.unwrap().counts, model.counts());
        agrees(&fixture.store);
        if round % 4 == 3 {
            fixture = fixture.reopen();
        }
    }
    for stored in &model.0 {
        assert_eq!(load(&fixture.store, stored.summary.id).await, *stored);
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let fixture = Fixture::new();
    let mut model = Model::default();
    let mut dice = Dice(2);
    for _ in 0..150 {
        step(&fixture.store, &mut model, &mut dice).await;
    }
    for filters in 0..8 {
        let mut query = Query { before: None, limit: 4, ..query(&mut dice, &model, filters) };
        let mut pages = Vec::new();
        loop {
            let page = list(&fixture.store, query.clone()).await;
            let Some(last) = page.last() else { break };
            query.before = Some(*last);
            pages.extend(page);
            assert!(pages.len() <= model.0.len(), "a page repeats");
        }
        let whole = Query { before: None, limit: 10_000, ..query };
        assert_eq!(pages, model.list(&whole));
    }
}

#[tokio::test]
async fn a_list_names_exactly_its_agent_and_action() {
    let fixture = Fixture::new();
    // The concatenated agent and action of both are equal.
    for (number, agent, action) in [(1, "ab", "c"), (2, "a", "bc")] {
        let names = Summary { agent: agent.into(), action: action.into(), ..summary(id(number)) };
        fixture.store.commit(new(names)).await.unwrap();
    }
    let both = |agent: &str, action: &str| Query {
        agent: Some(agent.to_owned()),
        action: Some(action.to_owned()),
        limit: 10,
        ..Query::default()
    };
    assert_eq!(list(&fixture.store, both("ab", "c")).await, [id(1)]);
    assert_eq!(list(&fixture.store, both("a", "bc")).await, [id(2)]);
    assert_eq!(list(&fixture.store, both("abc", "")).await, []);
}

#[tokio::test]
async fn due_gives_the_earliest_first_and_includes_now() {
    let fixture = Fixture::new();
    for (number, due_at) in
        [(1, Some(30)), (2, Some(10)), (3, None), (4, Some(20)), (5, Some(u64::MAX))]
    {
        let summary = Summary { due_at, ..summary(id(number)) };
        fixture.store.commit(new(summary)).await.unwrap();
    }
    let store = &fixture.store;
    assert_eq!(store.due(9, 10).await.unwrap(), []);
    assert_eq!(store.due(20, 10).await.unwrap(), [id(2), id(4)]);
    assert_eq!(store.due(u64::MAX, 3).await.unwrap(), [id(2), id(4), id(1)]);
    assert_eq!(store.due(u64::MAX, 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_prefix_finds_the_ids_that_begin_with_it() {
    let fixture = Fixture::new();
    let mut dice = Dice(3);
    let mut ids: Vec<_> = (0..200).map(|_| dice.id()).collect();
    for id in &ids {
        fixture.store.commit(new(summary(*id))).await.unwrap();
    }
    ids.sort_unstable();
    for length in [5, 6, 7, 8, 31] {
        for id in ids.iter().step_by(23) {
            let prefix = &id.to_string()[..length];
            let begins = |id: &&ApprovalId| id.to_string().starts_with(prefix);
            let expected: Vec<_> = ids.iter().filter(begins).copied().collect();
            assert_eq!(fixture.store.with_prefix(prefix, 1_000).await.unwrap(), expected);
            let limited = fixture.store.with_prefix(prefix, 1).await.unwrap();
            assert_eq!(limited, expected[..1]);
        }
    }
    for none in ["appr_!", "exec_", "appr_8", "appr_0000000000000000000000000000"] {
        assert_eq!(fixture.store.with_prefix(none, 10).await.unwrap(), [], "{none}");
    }
}

#[tokio::test]
async fn entries_are_numbered_from_one_without_a_gap() {
    let fixture = Fixture::new();
    for number in 1..=9 {
        let change = new(summary(id(number)));
        assert_eq!(fixture.store.commit(change).await.unwrap(), kept(number));
    }
    let entries = fixture.store.entries(3, 4).await.unwrap();
    let numbers: Vec<_> = entries.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [4, 5, 6, 7]);
    assert!(entries[0].text.contains(&id(4).to_string()));
    assert_eq!(fixture.store.entries(9, 4).await.unwrap(), []);
    assert_eq!(fixture.store.entries(u64::MAX, 4).await.unwrap(), []);
}
