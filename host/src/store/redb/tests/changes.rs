//! Commits: compare-and-set, batches, idempotency.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::*;

#[tokio::test]
async fn a_change_is_kept_and_read_back() {
    let fixture = Fixture::new();
    let plan = Some("{\"steps\": []}".to_owned());
    let mut change = new(summary(id(1)));
    change.approval.as_mut().unwrap().base =
        Base::New(Texts { plan: plan.clone(), ..texts(id(1)) });
    assert_eq!(fixture.store.commit(change).await.unwrap(), kept(1));

    let fixture = fixture.reopen();
    let stored = fixture.store.load(&id(1), WithTexts::Yes).await.unwrap().unwrap();
    assert_eq!(stored.summary, summary(id(1)));
    assert_eq!(stored.record, record(id(1), Status::Pending));
    assert_eq!(stored.entry, 1);
    assert_eq!(stored.texts, Some(Texts { plan, ..texts(id(1)) }));
    assert_eq!(load(&fixture.store, id(1)).await.texts, None);
    let entries = fixture.store.entries(0, 10).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].number, 1);
    let head = fixture.store.head().await.unwrap();
    assert_eq!(head.audience, AUDIENCE);
    assert_eq!((head.entries, head.last_commit_at, head.writable), (1, 1_000, true));
    assert_eq!(head.counts, [1, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_change_from_anything_but_the_last_version_conflicts_and_leaves_no_trace() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let base = |base| change(summary(id(1)), base);
    assert_eq!(store.commit(base(Base::Entry(0))).await.unwrap(), Commit::Conflict);
    assert_eq!(store.commit(base(Base::Entry(1))).await.unwrap(), Commit::Conflict);
    store.commit(new(summary(id(1)))).await.unwrap();
    let before = load(store, id(1)).await;
    for refused in [Base::New(texts(id(1))), Base::Entry(0), Base::Entry(2)] {
        let mut change = base(refused);
        change.at = 9_999;
        change.answer = Some((scope(1), answer(5)));
        assert_eq!(store.commit(change).await.unwrap(), Commit::Conflict);
    }
    assert_eq!(load(store, id(1)).await, before);
    let head = store.head().await.unwrap();
    assert_eq!((head.entries, head.last_commit_at), (1, 1_000));
    assert_eq!(store.answer(&scope(1)).await.unwrap(), None);
    let approved = next(&before, |summary| summary.status = Status::Approved);
    assert_eq!(store.commit(approved).await.unwrap(), kept(2));
    assert_eq!(agrees(store).approvals, 1);
}

#[tokio::test]
async fn of_many_changes_from_one_version_one_is_kept() {
    let Fixture { store, folder: _folder } = Fixture::new();
    let store = Arc::new(store);
    store.commit(new(summary(id(0)))).await.unwrap();
    let stored = load(&store, id(0)).await;
    let mut racing = JoinSet::new();
    for number in 1..=100 {
        let claim = next(&stored, |summary| summary.status = Status::Executed);
        let (first, second) = (Arc::clone(&store), Arc::clone(&store));
        racing.spawn(async move { first.commit(claim).await.unwrap() });
        // Others in the same batch are committed.
        racing.spawn(async move { second.commit(new(summary(id(number)))).await.unwrap() });
    }
    let outcomes = racing.join_all().await;
    let conflicts = outcomes.iter().filter(|outcome| **outcome == Commit::Conflict).count();
    assert_eq!(conflicts, 99);
    assert_eq!(store.head().await.unwrap().counts, [100, 0, 0, 1, 0, 0]);
    assert_eq!(agrees(&store).entries, 102);
    let stats = store.stats();
    assert!(stats.batches < stats.changes / 2, "changes share commits: {stats:?}");
}

#[tokio::test]
async fn a_scope_is_answered_once_and_then_repeats() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let with_key = |number, at| {
        let answer = Some((scope(1), answer(at)));
        Change { answer, ..new(summary(id(number))) }
    };
    let (first, second) =
        tokio::join!(store.commit(with_key(1, 50)), store.commit(with_key(2, 60)));
    assert_eq!(first.unwrap(), kept(1));
    assert_eq!(second.unwrap(), Commit::Replayed(stored_answer(50, 1)));
    // The answer takes precedence: a repeated request does not conflict with itself.
    assert_eq!(
        store.commit(with_key(1, 70)).await.unwrap(),
        Commit::Replayed(stored_answer(50, 1))
    );
    assert_eq!(store.answer(&scope(1)).await.unwrap(), Some(stored_answer(50, 1)));
    assert_eq!(store.answer(&scope(2)).await.unwrap(), None);
    assert_eq!(store.load(&id(2), WithTexts::No).await.unwrap(), None);
    assert_eq!(store.head().await.unwrap().entries, 1);
}

#[tokio::test]
async fn answers_are_forgotten_oldest_first_up_to_a_time() {
    let fixture = Fixture::new();
    for number in 0..6_u8 {
        let at = 100 + u64::from(5 - number);
        let answer = Some((scope(number), answer(at)));
        let change = Change { answer, ..new(summary(id(u64::from(number)))) };
        fixture.store.commit(change).await.unwrap();
    }
    let store = &fixture.store;
    assert_eq!(store.forget_answers(100, 10).await.unwrap(), 0);
    assert_eq!(store.forget_answers(105, 2).await.unwrap(), 2);
    assert_eq!(store.answer(&scope(5)).await.unwrap(), None);
    assert_eq!(store.answer(&scope(4)).await.unwrap(), None);
    assert_eq!(store.answer(&scope(3)).await.unwrap(), Some(stored_answer(102, 4)));
    assert_eq!(store.forget_answers(105, 10).await.unwrap(), 3);
    assert_eq!(store.answer(&scope(0)).await.unwrap(), Some(stored_answer(105, 1)));
    assert_eq!(agrees(store).answers, 1);
}

#[tokio::test]
async fn an_expired_answer_is_ignored_even_if_its_row_exists() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let with_key = |number, at| {
        let answer = Some((scope(1), answer(at)));
        Change { answer, at, ..new(summary(id(number))) }
    };
    assert_eq!(store.commit(with_key(1, 50)).await.unwrap(), kept(1));
    let last = 50 + ANSWER_SECONDS - 1;
    assert_eq!(
        store.commit(with_key(2, last)).await.unwrap(),
        Commit::Replayed(stored_answer(50, 1))
    );
    assert_eq!(store.commit(Change { at: last + 1, ..note(3, &[]) }).await.unwrap(), kept(2));
    assert_eq!(store.answer(&scope(1)).await.unwrap(), None);
    assert_eq!(store.commit(with_key(4, last + 2)).await.unwrap(), kept(3));
    assert_eq!(store.answer(&scope(1)).await.unwrap(), Some(stored_answer(last + 2, 3)));
    assert_eq!(agrees(store).answers, 1);
}

#[tokio::test]
async fn a_cancelled_commit_does_no_harm() {
    let fixture = Fixture::new();
    for number in 0..50 {
        let commit = fixture.store.commit(new(summary(id(number))));
        let _ = tokio::time::timeout(std::time::Duration::from_micros(number * 20), commit).await;
    }
    let outcome = fixture.store.commit(new(summary(id(99)))).await.unwrap();
    assert!(matches!(outcome, Commit::Committed { .. }));
    let fixture = fixture.reopen();
    let found = agrees(&fixture.store);
    assert_eq!(found.approvals, found.entries);
}

#[tokio::test]
async fn closing_finishes_what_was_accepted_and_refuses_the_rest() {
    let fixture = Fixture::new();
    let store = Arc::new(fixture.store);
    let mut waiting = JoinSet::new();
    for number in 0..200 {
        let store = Arc::clone(&store);
        waiting.spawn(async move { (number, store.commit(new(summary(id(number)))).await) });
    }
    tokio::task::yield_now().await;
    let closing = Arc::clone(&store);
    tokio::task::spawn_blocking(move || closing.close()).await.unwrap();
    let outcomes = waiting.join_all().await;
    assert!(matches!(store.head().await, Err(StoreError::Io(_))));
    assert!(matches!(store.commit(new(summary(id(999)))).await, Err(StoreError::Io(_))));
    drop(store);
    let store = open(&fixture.folder.path().join("store.redb"), OpenMode::Write).unwrap();
    let mut kept = 0;
    for (number, outcome) in outcomes {
        let stored = store.load(&id(number), WithTexts::No).await.unwrap();
        assert_eq!(stored.is_some(), outcome.is_ok(), "{outcome:?}");
        kept += u64::from(outcome.is_ok());
    }
    assert_eq!(agrees(&store).approvals, kept);
}

#[tokio::test]
async fn an_oversized_change_is_refused_and_writing_continues() {
    let fixture = Fixture::new();
    let mut large = new(summary(id(1)));
    large.approval.as_mut().unwrap().record = "x".repeat(17 * 1024 * 1024);
    let refused = fixture.store.commit(large).await.unwrap_err();
    assert!(refused.to_string().contains("over the limit of 16777216"), "{refused}");
    let mut large = new(summary(id(1)));
    large.approval.as_mut().unwrap().base =
        Base::New(Texts { context: "x".repeat(3 << 20), plan: None });
    assert_eq!(fixture.store.commit(large).await.unwrap(), kept(1));
    let stored = fixture.store.load(&id(1), WithTexts::Yes).await.unwrap().unwrap();
    assert_eq!(stored.texts.unwrap().context.len(), 3 << 20);
}
