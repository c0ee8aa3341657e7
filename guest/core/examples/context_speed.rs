//! Measures the canonical form and its digest for each file named: `cargo run --release -p
//! signoff-core --example context_speed -- FILE…`.

use std::hint::black_box;
use std::time::{Duration, Instant};
use std::{env, fs};

use signoff_core::context::{canonicalize, digest};

fn main() -> std::io::Result<()> {
    for path in env::args().skip(1) {
        let text = fs::read_to_string(&path)?;
        let canonical_us = microseconds(|| canonicalize(black_box(&text)).is_ok());
        let digest_us = microseconds(|| digest(black_box(&text)).is_ok());
        let bytes = text.len();
        println!("{path}: {bytes} bytes, canonical {canonical_us:.2} µs, digest {digest_us:.2} µs");
    }
    Ok(())
}

/// Returns the best mean of ten rounds, the one with the fewest interruptions.
fn microseconds(mut run: impl FnMut() -> bool) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        let mut runs = 0.0;
        while start.elapsed() < Duration::from_millis(50) {
            black_box(run());
            runs += 1.0;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / runs);
    }
    best
}
