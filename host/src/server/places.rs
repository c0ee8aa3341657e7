//! The places of connections. Where all are taken, the oldest connection that authenticated nobody
//! makes room; so whoever only opens connections keeps no one else out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::Connection;

/// A subject may hold this many places while others wait for one.
const OF_ONE_SUBJECT_MAX: usize = 256;

/// The places, by the order in which they were taken.
pub(super) struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    connections: BTreeMap<u64, Arc<Connection>>,
}

/// A place; dropping it frees it.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    pub(super) connection: Arc<Connection>,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// Takes a place. If there is none, ends the oldest connection of nobody, else the oldest of the
    /// subject that has more than its share; `None` if every connection is of someone.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.taken();
        if taken.connections.len() >= self.most {
            let number = taken.to_end()?;
            if let Some(ended) = taken.connections.remove(&number) {
                ended.end();
            }
        }
        let number = taken.next;
        taken.next += 1;
        let connection = Connection::new();
        taken.connections.insert(number, Arc::clone(&connection));
        Some(Place { places: Arc::clone(self), number, connection })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn to_end(&self) -> Option<u64> {
        let mut of_subjects: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
        for (number, connection) in &self.connections {
            match connection.subject() {
                None => return Some(*number),
                Some(subject) => of_subjects.entry(subject).or_insert((0, *number)).0 += 1,
            }
        }
        let (count, oldest) = of_subjects.into_values().max()?;
        (count > OF_ONE_SUBJECT_MAX).then_some(oldest)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().connections.remove(&self.number);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_nobody_makes_room_and_those_of_someone_stay() {
        let places = Places::new(3);
        let mut held: Vec<Place> = (0..3).map(|_| places.take().unwrap()).collect();
        held[0].connection.identify("ann");
        held.push(places.take().unwrap());
        let numbers: Vec<u64> = places.taken().connections.keys().copied().collect();
        assert_eq!(numbers, [0, 2, 3], "the oldest of nobody ended");
        for place in &held {
            place.connection.identify("ann");
        }
        assert!(places.take().is_none(), "each is of someone");
        drop(held.pop());
        assert!(places.take().is_some());
    }

    #[test]
    fn a_subject_with_more_than_its_share_makes_room() {
        let places = Places::new(OF_ONE_SUBJECT_MAX + 2);
        let held: Vec<Place> =
            (0..OF_ONE_SUBJECT_MAX + 2).map(|_| places.take().unwrap()).collect();
        held[0].connection.identify("ann");
        for place in &held[1..] {
            place.connection.identify("mallory");
        }
        let _more = places.take().unwrap();
        let first = *places.taken().connections.keys().next().unwrap();
        assert_eq!(first, 0, "ann keeps her place");
        assert!(!places.taken().connections.contains_key(&1));
    }
}
