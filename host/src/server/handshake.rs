//! TLS handshakes under way: each has a time, and all of them together a number.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::CONNECTIONS_MAX;

/// Longest that a handshake may take: two round trips, over any network.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Most handshakes at once. Half the connections: who only begins handshakes cannot take all places.
const HANDSHAKES_MAX: usize = CONNECTIONS_MAX / 2;

/// The handshakes under way, oldest first. Dropping this ends them.
#[derive(Default)]
pub(super) struct Handshakes(VecDeque<oneshot::Sender<Infallible>>);

/// A handshake's turn. It is over when the turn is taken away.
pub(super) struct Turn(oneshot::Receiver<Infallible>);

impl Handshakes {
    /// A turn for one more. Where there are too many, the oldest gives way: an honest client is done
    /// in a moment, one that only holds the place is not.
    pub(super) fn begin(&mut self) -> Turn {
        if self.0.len() >= HANDSHAKES_MAX {
            self.0.retain(|handshake| !handshake.is_closed());
        }
        if self.0.len() >= HANDSHAKES_MAX {
            self.0.pop_front();
        }
        let (handshake, turn) = oneshot::channel();
        self.0.push_back(handshake);
        Turn(turn)
    }
}

impl Turn {
    /// Shakes hands; none if the client fails to, in whatever way. Scanners and health checks do so
    /// all day: it is nothing to tell.
    pub(super) async fn shake(
        self,
        stream: TcpStream,
        acceptor: TlsAcceptor,
    ) -> Option<TlsStream<TcpStream>> {
        tokio::select! {
            shaken = acceptor.accept(stream) => shaken.ok(),
            _ = self.0 => None,
            () = tokio::time::sleep(HANDSHAKE_TIME_MAX) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HANDSHAKES_MAX, Handshakes, Turn};

    fn taken_away(turn: &mut Turn) -> bool {
        turn.0.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn the_oldest_gives_way_and_those_that_are_done_do_not_count() {
        let mut handshakes = Handshakes::default();
        let mut turns: Vec<Turn> = (0..HANDSHAKES_MAX).map(|_| handshakes.begin()).collect();
        assert!(!turns.iter_mut().any(taken_away));
        // One in the middle is done: its place is free, and nobody gives way.
        drop(turns.remove(7));
        turns.push(handshakes.begin());
        assert!(!turns.iter_mut().any(taken_away));
        turns.push(handshakes.begin());
        let gone: Vec<bool> = turns.iter_mut().map(taken_away).collect();
        assert_eq!(gone.iter().filter(|gone| **gone).count(), 1);
        assert!(gone[0], "the oldest");
        assert_eq!(handshakes.0.len(), HANDSHAKES_MAX);
        drop(handshakes);
        assert!(turns.iter_mut().all(taken_away), "the end of the server ends them");
    }
}
