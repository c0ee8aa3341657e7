//! The places of connections. Where all are taken, the oldest connection of the largest group makes
//! room: of those that authenticated nobody, or of one subject. So neither keeps others out. A few
//! more places are for admins and health checks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::Connection;

/// A subject may hold this many places while others wait for one.
const OF_ONE_SUBJECT_MAX: usize = 16;

/// The places, by the order in which they were taken.
pub(super) struct Places {
    most: usize,
    /// Places in addition, for admins and health checks.
    reserved: usize,
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
    pub(super) fn new(most: usize, reserved: usize) -> Arc<Self> {
        Arc::new(Self { most, reserved, taken: Mutex::default() })
    }

    /// Takes a place. If there is none, ends the oldest connection of the largest group, or takes a
    /// reserved place if every connection is of a subject within its share; `None` if those are taken
    /// too.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let mut taken = self.taken();
        if taken.connections.len() >= self.most
            && let Some(number) = taken.to_end()
            && let Some(ended) = taken.connections.remove(&number)
        {
            ended.end();
        }
        let number_taken = taken.connections.len();
        if number_taken >= self.most + self.reserved {
            return None;
        }
        let is_reserved = number_taken >= self.most;
        let number = taken.next;
        taken.next += 1;
        let connection = Connection::new(address, is_reserved);
        taken.connections.insert(number, Arc::clone(&connection));
        Some(Place { places: Arc::clone(self), number, connection })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Returns the oldest connection of the largest group: those of nobody, or those of a subject with
    /// more than its share. So neither connections that authenticate nobody nor those of one token
    /// crowd out others.
    fn to_end(&self) -> Option<u64> {
        let mut of_nobody = (0, None);
        let mut of_subjects: BTreeMap<&str, (usize, Option<u64>)> = BTreeMap::new();
        for (number, connection) in &self.connections {
            let group = match connection.subject() {
                None => &mut of_nobody,
                Some(subject) => of_subjects.entry(subject).or_default(),
            };
            group.0 += 1;
            group.1.get_or_insert(*number);
        }
        let above_share =
            of_subjects.into_values().filter(|(count, _)| *count > OF_ONE_SUBJECT_MAX);
        // Of two that are as large, `max_by_key` returns the last.
        let groups = above_share.chain([of_nobody]);
        groups.max_by_key(|(count, _)| *count).and_then(|(_, oldest)| oldest)
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
        let places = Places::new(3, 1);
        let mut held: Vec<Place> = (0..3).map(|_| places.take(None).unwrap()).collect();
        held[0].connection.identify("ann");
        held.push(places.take(None).unwrap());
        let numbers: Vec<u64> = places.taken().connections.keys().copied().collect();
        assert_eq!(numbers, [0, 2, 3], "the oldest of nobody ended");
        for place in &held {
            place.connection.identify("ann");
        }
        assert!(held.iter().all(|place| !place.connection.is_reserved()));
        let last = places.take(None).unwrap();
        assert!(last.connection.is_reserved(), "each other is of someone");
        let next = places.take(None).unwrap();
        assert!(next.connection.is_reserved(), "the one before is of nobody");
        next.connection.identify("admin");
        assert!(places.take(None).is_none(), "each is of someone");
        drop((last, held));
        assert!(!places.take(None).unwrap().connection.is_reserved());
    }

    #[test]
    fn the_larger_of_a_token_and_of_nobody_makes_room() {
        let places = Places::new(100, 8);
        let mut held: Vec<Place> = (0..100).map(|_| places.take(None).unwrap()).collect();
        let (mallory, others) = held.split_at(80);
        mallory.iter().for_each(|place| place.connection.identify("mallory"));
        others[0].connection.identify("ann");
        // A flood of connections of nobody ends mallory's, until there are as many of both.
        for _ in 0..500 {
            held.push(places.take(None).unwrap());
            assert!(!held[held.len() - 1].connection.is_reserved());
        }
        let taken = places.taken();
        let of = |subject| taken.connections.values().filter(|c| c.subject() == subject).count();
        assert_eq!((of(Some("mallory")), of(Some("ann")), of(None)), (49, 1, 50));
        drop(taken);
        // The same the other way round.
        let nobody: Vec<_> = places.taken().connections.values().cloned().collect();
        nobody.iter().for_each(|connection| connection.identify("mallory"));
        held.push(places.take(None).unwrap());
        let taken = places.taken();
        assert_eq!(taken.connections.values().filter(|c| c.subject().is_none()).count(), 1);
    }

    #[test]
    fn a_subject_with_more_than_its_share_makes_room() {
        let places = Places::new(OF_ONE_SUBJECT_MAX + 2, 0);
        let held: Vec<Place> =
            (0..OF_ONE_SUBJECT_MAX + 2).map(|_| places.take(None).unwrap()).collect();
        held[0].connection.identify("ann");
        for place in &held[1..] {
            place.connection.identify("mallory");
        }
        let _more = places.take(None).unwrap();
        let first = *places.taken().connections.keys().next().unwrap();
        assert_eq!(first, 0, "ann keeps her place");
        assert!(!places.taken().connections.contains_key(&1));
    }
}
