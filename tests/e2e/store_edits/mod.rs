//! An attacker edits the file of a stopped store, but cannot write the keyring next to it: no edit has
//! any effect, and `doctor` names each one.
//!
//! | file | contents |
//! | --- | --- |
//! | `scene` | a store with every kind of row, made by a real server, and an older copy of it |
//! | `tables` | the tables of a file as bytes |
//! | `edits` | every kind of edit of every table |
//! | `reads` | every query of a store |
//! | `groups` | groups of edits with one purpose |
//! | `probes` | whether the edits have an effect, over HTTP |
//! | `forged` | a log that is continued without the log key |
//! | `races` | concurrent readers and a writer |

mod edits;
mod forged;
mod groups;
mod probes;
mod pruned;
mod races;
mod reads;
mod scene;
mod tables;

use std::fs;
use std::sync::Arc;

use signoff::clock::{Clock, SystemClock};
use signoff::service::StoredTexts;
use signoff::store::redb::{Examined, RedbStore};
use signoff::store::{StoreError, Trust};

use self::edits::{Edit, shown_key};
use self::groups::Group;
use self::probes::Shown;
use self::reads::{HonestAnswers, Queries};
use self::scene::{Scene, with_server};
use self::tables::{Table, Write};
use crate::support::{SERVE, Server};

/// Returns how `doctor` reads the texts in a store.
fn texts() -> StoredTexts {
    StoredTexts { now: SystemClock.now() }
}

/// The queries, and the answers of the unedited store.
struct Honest {
    queries: Queries,
    answers: HonestAnswers,
    store: RedbStore,
    runtime: tokio::runtime::Runtime,
}

impl Honest {
    fn new(scene: &Scene) -> Self {
        let queries = Queries::about(&[&scene.rows, &scene.old_rows]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = scene.open(&scene.copy("honest.redb")).unwrap();
        assert_eq!(store.examine(&texts()).unwrap().differences, []);
        let mut answers = HonestAnswers::default();
        answers.add(runtime.block_on(queries.run(&store)));
        Self { queries, answers, store, runtime }
    }

    /// Returns the answers of the edited store that the honest one does not give.
    fn unsound(&mut self, edited: &RedbStore, edit: &Edit) -> Vec<String> {
        let besides = Queries::default().and(&edit.writes);
        self.answers.add(self.runtime.block_on(besides.run(&self.store)));
        let queries = self.queries.and(&edit.writes);
        self.answers.unsound(&self.runtime.block_on(queries.run(edited)))
    }
}

/// The result of an edit.
struct Outcome {
    /// Answers that the honest store does not give.
    effects: Vec<String>,
    /// Whether `doctor` names the edited row.
    found: bool,
    said: String,
}

/// Edits a copy of a store, runs every query, and examines it as `doctor` does.
fn outcome(scene: &Scene, honest: &mut Honest, edit: &Edit) -> Outcome {
    let path = scene.copy("edited.redb");
    tables::write(&path, &edit.writes);
    let mut effects = Vec::new();
    let examined = match scene.open(&path) {
        Ok(edited) => {
            effects = honest.unsound(&edited, edit);
            edited.examine(&texts())
        }
        Err(StoreError::Untrusted(_) | StoreError::Damaged(_)) => {
            RedbStore::examine_untrusted(&path, &scene.trust(), &texts())
        }
        Err(refused) => Err(refused),
    };
    fs::remove_file(path).unwrap();
    let named = edit.named();
    let (found, said) = match examined {
        // A file that is damaged or of an unknown format is not read: `doctor` reports it.
        Err(refused) => (true, refused.to_string()),
        Ok(Examined { differences, .. }) => {
            let said: Vec<String> = differences.iter().map(ToString::to_string).collect();
            let names = |row: &String| said.iter().any(|said| said.starts_with(&format!("{row}:")));
            (!said.is_empty() && named.iter().all(names), said.join("; "))
        }
    };
    Outcome { effects, found, said }
}

/// Makes every edit of a store, each in its own copy, and checks that none has an effect.
fn no_edit_is_effective(scene: &Scene) {
    let mut honest = Honest::new(scene);
    let edits = edits::all(&scene.rows, &scene.old_rows);
    let (mut effective, mut missed) = (Vec::new(), Vec::new());
    for edit in &edits {
        let outcome = outcome(scene, &mut honest, edit);
        if !outcome.effects.is_empty() {
            effective.push(format!("{}: {}", edit.what, outcome.effects.join("; ")));
        }
        if !outcome.found {
            missed.push(format!("{}: {}", edit.what, outcome.said));
        }
    }
    println!(
        "{} edits, {} effective, {} found by doctor",
        edits.len(),
        effective.len(),
        edits.len() - missed.len()
    );
    assert!(effective.is_empty(), "effective:\n{}", effective.join("\n"));
    assert!(missed.is_empty(), "not found by doctor:\n{}", missed.join("\n"));
}

#[test]
fn no_edit_of_a_store_is_effective() {
    no_edit_is_effective(&Scene::new());
}

#[test]
fn no_edit_of_a_store_with_a_saved_state_is_effective() {
    no_edit_is_effective(&Scene::saved());
}

/// Starts a server of the current store and probes it. Returns the effects that must not occur; none if
/// the server refuses to start.
fn effects(scene: &Scene, shown: &Shown, intruders: &[String]) -> Vec<String> {
    match Server::try_start_with(scene.home.signoff(SERVE)) {
        Ok(server) => {
            let effects = shown.effects(&server, scene, intruders);
            server.stop();
            effects
        }
        Err(refused) => {
            assert!(refused.contains("signoff: ") && !refused.contains("panicked"), "{refused}");
            Vec::new()
        }
    }
}

/// Returns what the server of the unedited store shows.
fn honestly_shown(scene: &Scene) -> Shown {
    with_server(&scene.home, |server| {
        let shown = Shown::by(server, scene);
        assert_eq!(shown.effects(server, scene, &[]), [""; 0]);
        shown
    })
}

/// Returns the findings of `signoff doctor` about the store.
fn diagnosed(scene: &Scene) -> Vec<String> {
    let doctor = scene.home.run(&["--json", "doctor"]).exits(1).json();
    let items = doctor["items"].as_array().unwrap().iter();
    let bad = items.filter(|item| item["level"] == "bad");
    bad.map(|item| item["found"].as_str().unwrap().to_owned()).collect()
}

/// Returns the rows of a group that `doctor` does not name. An index row of another edited row is named
/// with that row: an approval's row alone determines its lists.
fn unnamed(group: &Group, said: &[String]) -> Vec<String> {
    let owner = |(table, key, _): &Write| match table {
        Table::Texts => Some((Table::Approvals, key.clone())),
        // The end of the key is the id, big-endian.
        Table::Lists | Table::Due => {
            Some((Table::Approvals, key.iter().rev().take(16).copied().collect()))
        }
        Table::AnswerTimes => Some((Table::Answers, key[8..].to_vec())),
        _ => None,
    };
    let is_edited = |(table, key): (Table, Vec<u8>)| {
        group.writes.iter().any(|(other, other_key, _)| *other == table && *other_key == key)
    };
    let rows = group.writes.iter().filter(|write| !owner(write).is_some_and(is_edited));
    let rows = rows.map(|(table, key, _)| format!("{} {}:", table.name(), shown_key(*table, key)));
    rows.filter(|row| !said.iter().any(|said| said.starts_with(row))).collect()
}

#[test]
fn no_group_of_edits_has_an_effect_on_a_server() {
    let scene = Scene::new();
    scene.home.run(&["doctor"]).ok();
    let shown = honestly_shown(&scene);
    let keyring = fs::read(scene.home.path("signoff.keys.json")).unwrap();
    let (mut edits, mut effective, mut missed) = (0, Vec::new(), Vec::new());
    for group in groups::all(&scene) {
        scene.restore();
        tables::write(&scene.home.store(), &group.writes);
        if group.with_old_keyring {
            fs::write(scene.home.path("signoff.keys.json"), &scene.old_keyring).unwrap();
        }
        edits += group.writes.len();
        let unnamed = unnamed(&group, &diagnosed(&scene));
        missed.extend(unnamed.iter().map(|row| format!("{}: {row}", group.name)));
        let effects = effects(&scene, &shown, &group.intruders);
        effective.extend(effects.iter().map(|effect| format!("{}: {effect}", group.name)));
        fs::write(scene.home.path("signoff.keys.json"), &keyring).unwrap();
    }
    let found = edits - missed.len();
    println!("{edits} edits, {} effective, {found} found by doctor", effective.len());
    assert!(effective.is_empty(), "effective:\n{}", effective.join("\n"));
    assert!(missed.is_empty(), "not found by doctor:\n{}", missed.join("\n"));
}

/// Checks that no server starts with the store, and that `doctor` rejects it.
#[track_caller]
fn assert_refused(scene: &Scene, name: &str) {
    match Server::try_start_with(scene.home.signoff(SERVE)) {
        Ok(_) => panic!("a server starts with {name}"),
        Err(refused) => assert!(refused.contains("store is not authentic"), "{name}: {refused}"),
    }
    assert!(!diagnosed(scene).is_empty(), "{name}");
}

#[test]
fn a_log_continued_without_the_log_key_is_refused() {
    let scene = Scene::new();
    let path = scene.home.store();
    forged::unsign(&path);
    assert_refused(&scene, "a head without a signature");
    forged::go_on(&path, Trust::none(), &scene);
    assert_refused(&scene, "forged entries under an unsigned head");
    forged::with_old_head(&path, &scene);
    assert_refused(&scene, "forged entries under the old head");
    scene.restore();
    let stranger = Arc::new(forged::Stranger::new("default"));
    let signed = forged::signed_by_a_stranger(&scene, &stranger);
    tables::write(&path, &[signed]);
    assert_refused(&scene, "a head with a foreign signature");
    forged::go_on(&path, Trust::new(stranger), &scene);
    assert_refused(&scene, "forged entries under a head with a foreign signature");
    for years in ["1970", "2999"] {
        scene.restore();
        tables::write(&path, &[forged::last_entry_in(&scene, years)]);
        assert_refused(&scene, "a last entry at another time");
    }
}

/// The same edits by an attacker with the log key: here every probe must detect an effect.
#[test]
fn with_the_log_key_every_probe_detects_an_effect() {
    let scene = Scene::new();
    let shown = honestly_shown(&scene);
    scene.restore();
    let intruder = forged::go_on(&scene.home.store(), scene.trust(), &scene);
    let effects = effects(&scene, &shown, &[intruder]);
    for expected in [
        "claimed is shown as",
        "executor 0 claims it of succeeded",
        "executor 0 claims it of failed",
        "a revoked token gets 200",
        "a token that was never created gets 200",
        "a token is listed",
        "a receipt of claimed with other entries",
    ] {
        assert!(effects.iter().any(|effect| effect.contains(expected)), "{expected}: {effects:#?}");
    }
}

#[test]
fn another_store_in_place_of_the_old_one_is_refused() {
    let scene = Scene::new();
    let path = scene.home.store();
    let stranger = || Trust::new(Arc::new(forged::Stranger::new("default")));
    for trust in [Trust::none(), stranger()] {
        fs::remove_file(&path).unwrap();
        forged::empty(&path, "default", trust).unwrap();
        assert_refused(&scene, "an empty store");
    }
    fs::remove_file(&path).unwrap();
    forged::other_deployment(&scene.home, &path, "default");
    assert_refused(&scene, "a store of another deployment");
}

/// The log key signed the older head of a truncated log: only a witness detects the truncation. The rows
/// that were written after it are refused.
#[test]
fn rows_after_the_end_of_a_truncated_log_are_refused() {
    let scene = Scene::new();
    let shown = honestly_shown(&scene);
    scene.restore();
    let cut_back = forged::cut_back(&scene);
    tables::write(&scene.home.store(), &cut_back);
    let said = diagnosed(&scene);
    for table in [Table::Approvals, Table::Rows, Table::Answers] {
        for (_, key, _) in scene.rows.writes_from(&scene.old_rows, &[table]) {
            let row = format!("{} {}:", table.name(), shown_key(table, &key));
            assert!(said.iter().any(|said| said.starts_with(&row)), "{row} {said:#?}");
        }
    }
    // A key was recorded again after that end, so the server does not start. If it did, it could only
    // show an older log.
    let effects = effects(&scene, &shown, &[]);
    assert!(effects.iter().all(|effect| effect == "the log has other entries"), "{effects:#?}");
}
