//! Retries: the same request with the same idempotency key, until the call's time limit.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::error::Error;
use crate::random;
use crate::transport::{Answer, Failure, Outgoing, Transport};

/// The shortest and the longest wait between tries, where the server names none.
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Sends a request until it has an answer. Retried are only a connection that could not be made or
/// broke, and 429 and 503 with `Retry-After`.
///
/// # Errors
///
/// The refusal of the last answer; `unreachable`.
pub(crate) async fn send(
    transport: &Transport,
    outgoing: &Outgoing,
    timeout: Duration,
) -> Result<Answer, Error> {
    let deadline = Instant::now() + timeout;
    let mut tries = 0;
    loop {
        let (error, wait) = match timeout_at(deadline, transport.send(outgoing)).await {
            Err(_) => {
                let seconds = timeout.as_secs_f32();
                return Err(Error::unreachable(format!("no answer within {seconds} s")));
            }
            Ok(Err(Failure::Refused(why))) => return Err(Error::unreachable(why)),
            Ok(Err(Failure::Broken(why))) => (Error::unreachable(why), Some(Duration::ZERO)),
            Ok(Ok(answer)) if (200..300).contains(&answer.status) => return Ok(answer),
            Ok(Ok(answer)) => {
                let wait = answer.retry_after.filter(|_| matches!(answer.status, 429 | 503));
                (Error::of_answer(answer.status, answer.request_id, &answer.body), wait)
            }
        };
        let Some(wait) = wait else { return Err(error) };
        let next = Instant::now() + wait.max(backoff(tries));
        if next >= deadline {
            return Err(error);
        }
        sleep_until(next).await;
        tries += 1;
    }
}

/// Half of a time that doubles with each try, and up to as much again at random.
pub(crate) fn backoff(tries: u32) -> Duration {
    let longest = WAIT_MIN.saturating_mul(1 << tries.min(16)).min(WAIT_MAX);
    longest.mul_f64(0.5 + 0.5 * random::fraction())
}
