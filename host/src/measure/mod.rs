//! Benchmarks on a machine with other load, for `signoff bench` and `cargo bench`.
//!
//! Cases alternate in short rounds, so that all run under the same conditions, and the result is
//! the median of the rounds. A ratio is the median of the ratios per round. [`work`] has the
//! measured operations.

pub mod work;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A benchmark case.
pub struct Case<'a> {
    /// Its name.
    pub name: String,
    round: Round<'a>,
    /// Seconds per operation, one value per round.
    seconds: Vec<f64>,
}

/// Runs for about the given time; returns the seconds per operation.
type Round<'a> = Box<dyn FnMut(Duration) -> Result<f64> + 'a>;

impl<'a> Case<'a> {
    /// A case that measures itself: it runs for about the given time and returns the seconds per
    /// operation.
    pub fn timed(name: impl Into<String>, round: impl FnMut(Duration) -> Result<f64> + 'a) -> Self {
        Self { name: name.into(), round: Box::new(round), seconds: Vec::new() }
    }

    /// A case that repeats an operation.
    pub fn repeated<T>(
        name: impl Into<String>,
        mut operation: impl FnMut() -> Result<T> + 'a,
    ) -> Self {
        Self::timed(name, move |time| repeat(time, &mut operation))
    }

    /// Returns the seconds per operation: the median of all rounds.
    pub fn seconds(&self) -> f64 {
        median(self.seconds.clone())
    }

    /// Returns the ratio of the duration of an operation to that of another case in the same
    /// rounds.
    pub fn times(&self, other: &Self) -> f64 {
        median(self.seconds.iter().zip(&other.seconds).map(|(a, b)| a / b).collect())
    }
}

/// Runs cases alternately: one warm-up round, then `rounds` measured rounds, each of about
/// `length`.
///
/// # Errors
///
/// The first error of a case.
pub fn take_turns(cases: &mut [Case<'_>], rounds: usize, length: Duration) -> Result<()> {
    for round in 0..=rounds {
        for case in &mut *cases {
            let seconds = (case.round)(length).with_context(|| case.name.clone())?;
            if round > 0 {
                case.seconds.push(seconds);
            }
        }
    }
    Ok(())
}

/// Formats a duration for people: `1.23 µs`.
pub fn duration(seconds: f64) -> String {
    let (number, unit) = match seconds {
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = if number < 10.0 { 2 } else { usize::from(number < 100.0) };
    format!("{number:.digits$} {unit}")
}

/// Repeats an operation for about the given time, in batches that double, so that reading the clock
/// costs nothing. Returns the seconds per operation.
fn repeat<T>(time: Duration, operation: &mut impl FnMut() -> Result<T>) -> Result<f64> {
    let start = Instant::now();
    let (mut done, mut batch) = (0.0, 1_u32);
    while start.elapsed() < time {
        for _ in 0..batch {
            std::hint::black_box(operation()?);
        }
        done += f64::from(batch);
        // Do not start a batch that would exceed the time.
        let elapsed = start.elapsed().as_secs_f64();
        let fit = (time.as_secs_f64() - elapsed).max(0.0) / (elapsed / done);
        batch = batch.saturating_mul(2);
        if f64::from(batch) > fit {
            batch = (batch / 4).max(1);
        }
    }
    Ok(start.elapsed().as_secs_f64() / done)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = numbers.get(middle).copied().unwrap_or(f64::NAN);
    match numbers.len() % 2 {
        1 => upper,
        _ => {
            numbers.get(middle.wrapping_sub(1)).map_or(upper, |lower| f64::midpoint(*lower, upper))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on may stop")]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_outliers() {
        assert_eq!(median(vec![1.0, 900.0, 2.0]), 2.0);
        assert_eq!(median(vec![1.0, 2.0, 4.0, 900.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn cases_take_turns_and_ratios_are_of_the_same_round() {
        let order = std::cell::RefCell::new(String::new());
        let mut weather = [1.0, 1.0, 10.0, 100.0].into_iter();
        let other = std::cell::Cell::new(0.0);
        let mut cases = [
            Case::timed("a", |_| {
                order.borrow_mut().push('a');
                other.set(weather.next().unwrap());
                Ok(other.get())
            }),
            Case::timed("b", |_| {
                order.borrow_mut().push('b');
                Ok(3.0 * other.get())
            }),
        ];
        take_turns(&mut cases, 3, Duration::ZERO).unwrap();
        let [a, b] = &cases;
        assert_eq!((a.seconds(), b.times(a)), (10.0, 3.0));
        assert_eq!(*order.borrow(), "abababab");
    }

    #[test]
    fn an_operation_is_repeated_for_the_time_given() {
        let mut calls = 0;
        let seconds = repeat(Duration::from_millis(20), &mut || {
            calls += 1;
            std::thread::sleep(Duration::from_millis(1));
            Ok(())
        });
        assert!(seconds.unwrap() >= 0.001 && calls > 1);
    }

    #[test]
    fn durations_are_short() {
        let shown = [2.5e-9, 1.234e-6, 45.67e-6, 0.123_45, 12.0].map(duration);
        assert_eq!(shown, ["2.50 ns", "1.23 µs", "45.7 µs", "123 ms", "12.0 s"]);
    }
}
