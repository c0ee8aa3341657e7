//! Somebody who can write the file of a stopped store, and not the keyring beside it, edits it: no edit
//! decides anything, and `doctor` names each one.
//!
//! | file | holds |
//! | --- | --- |
//! | `scene` | a store with every kind of row, made by a real server, and an older copy of it |
//! | `tables` | the tables of a file as bytes |
//! | `edits` | every kind of edit of every table |
//! | `reads` | everything that a store can be asked |

mod edits;
mod reads;
mod scene;
mod tables;

use std::fs;

use signoff::service::about_entry;
use signoff::store::redb::{Examined, RedbStore};
use signoff::store::StoreError;

use self::edits::Edit;
use self::reads::{Asked, Questions, unsound};
use self::scene::Scene;

/// What the store answers without an edit, and the questions.
struct Honest {
    questions: Questions,
    runtime: tokio::runtime::Runtime,
}

impl Honest {
    fn new(scene: &Scene) -> Self {
        let questions = Questions::about(&[&scene.rows, &scene.old_rows]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { questions, runtime }
    }

    fn ask(&self, questions: &Questions, store: &RedbStore) -> Vec<Asked> {
        self.runtime.block_on(questions.ask(store))
    }
}

/// What an edit led to.
struct Outcome {
    /// Answers that an honest store does not give.
    effects: Vec<String>,
    /// Whether `doctor` names what was edited.
    found: bool,
    said: String,
}

/// Edits a copy of a store, asks it everything, and has it examined as `doctor` does.
fn outcome(scene: &Scene, honest: &Honest, store: &RedbStore, edit: &Edit) -> Outcome {
    let path = scene.copy("edited.redb");
    tables::write(&path, &edit.writes);
    let questions = honest.questions.and(&edit.writes);
    let mut effects = Vec::new();
    let examined = match scene.open(&path) {
        Ok(edited) => {
            effects = unsound(&honest.ask(&questions, &edited), &honest.ask(&questions, store));
            edited.examine(&about_entry)
        }
        Err(StoreError::Untrusted(_) | StoreError::Damaged(_)) => {
            RedbStore::examine_untrusted(&path, &scene.trust(), &about_entry)
        }
        Err(refused) => Err(refused),
    };
    fs::remove_file(path).unwrap();
    let named = edit.named();
    let (found, said) = match examined {
        // No file is read that is of no format, or damaged: `doctor` says so.
        Err(refused) => (true, refused.to_string()),
        Ok(Examined { differences, .. }) => {
            let said: Vec<String> = differences.iter().map(ToString::to_string).collect();
            let names = |row: &String| said.iter().any(|said| said.starts_with(&format!("{row}:")));
            (!said.is_empty() && named.iter().all(names), said.join("; "))
        }
    };
    Outcome { effects, found, said }
}

/// Makes every edit of a store, each in a copy of its own.
fn no_edit_is_effective(scene: &Scene) {
    let honest = Honest::new(scene);
    let store = scene.open(&scene.copy("honest.redb")).unwrap();
    let examined = store.examine(&about_entry).unwrap();
    assert_eq!(examined.differences, []);
    let edits = edits::all(&scene.rows, &scene.old_rows);
    let (mut effective, mut missed) = (Vec::new(), Vec::new());
    for edit in &edits {
        let outcome = outcome(scene, &honest, &store, edit);
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
