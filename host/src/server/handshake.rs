//! Limits on TLS handshakes in progress: the time of each, and their number.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::CONNECTIONS_MAX;

/// Maximum duration of a handshake: two round trips, over any network.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Maximum number of concurrent handshakes. Half the connections, so that clients that only begin
/// handshakes cannot occupy all of them.
const HANDSHAKES_MAX: usize = CONNECTIONS_MAX / 2;

/// The handshakes in progress, oldest first. Dropping this ends them.
#[derive(Default)]
pub(super) struct Handshakes(VecDeque<oneshot::Sender<Infallible>>);

/// The permit of a handshake. The handshake ends when its permit is revoked.
pub(super) struct Turn(oneshot::Receiver<Infallible>);

impl Handshakes {
    /// Returns a permit for one more handshake. At the limit, the oldest handshake is ended: an
    /// honest client finishes quickly, one that only occupies a slot does not.
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
    /// Performs the handshake; `None` if it fails for any reason. Failures are not logged: scanners
    /// and health checks cause them constantly.
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
        // One in the middle is done: its slot is free, and no handshake is ended.
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
