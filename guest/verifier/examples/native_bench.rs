//! Benchmarks the verifier as an ordinary library; the host's `cargo bench` runs it next to the
//! component. For each line of standard input it prints seconds per operation, measured for the
//! given number of milliseconds:
//!
//! - `verify MILLISECONDS JSON`, with `{statement, signature, key}`
//! - `digest MILLISECONDS FILE`

use std::fs;
use std::hint::black_box;
use std::io::{self, BufRead, Error, Write};
use std::time::{Duration, Instant};

use serde::Deserialize;
use signoff_verifier::context;
use signoff_verifier::key::{KeyEntry, Keyring};
use signoff_verifier::rejection::Rejection;
use signoff_verifier::signature::{self, Accepted};
use signoff_verifier::statement::{Profile, Statement, StatementText};

#[derive(Deserialize)]
struct Signed {
    statement: StatementText,
    signature: String,
    key: KeyEntry,
}

fn main() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.splitn(3, ' ');
        let (work, time, about) = (words.next(), words.next(), words.next().unwrap_or_default());
        let time = time.and_then(|time| time.parse().ok()).unwrap_or(1.0);
        let time = Duration::from_secs_f64(time / 1e3);
        let seconds = match work {
            Some("verify") => {
                let signed: Signed =
                    serde_json::from_str(about).map_err(|e| Error::other(e.to_string()))?;
                seconds(time, || signed.verify().map_err(|e| e.to_string()))
            }
            Some("digest") => {
                let text = fs::read_to_string(about)?;
                seconds(time, || context::digest(black_box(&text)).map_err(|e| e.to_string()))
            }
            _ => Err(format!("unknown line `{line}`")),
        };
        writeln!(io::stdout(), "{:e}", seconds.map_err(Error::other)?)?;
        io::stdout().flush()?;
    }
    Ok(())
}

impl Signed {
    /// Does the same work as a call of the component: copies every string and parses it anew.
    fn verify(&self) -> Result<String, Rejection> {
        let key = KeyEntry {
            id: self.key.id.clone(),
            algorithm: self.key.algorithm.clone(),
            material: self.key.material.clone(),
            status: self.key.status.clone(),
            usage: self.key.usage.clone(),
            approver: self.key.approver.clone(),
            groups: self.key.groups.clone(),
        };
        let profile = if self.signature.starts_with("v2.") { Profile::V2 } else { Profile::V1 };
        let accept = vec![profile.as_str().to_owned()];
        let proof = signature::verify(
            &Statement::read(&self.statement.clone(), profile)?,
            &self.signature.clone(),
            &Keyring::read(&[key])?,
            &Accepted::read(&accept)?,
        )?;
        Ok(proof.key_id().to_string())
    }
}

/// Measures seconds per operation, in batches so that the cost of reading the clock is negligible.
fn seconds<T>(
    time: Duration,
    mut operation: impl FnMut() -> Result<T, String>,
) -> Result<f64, String> {
    let start = Instant::now();
    let mut done = 0.0;
    while start.elapsed() < time {
        for _ in 0..16 {
            black_box(operation()?);
            done += 1.0;
        }
    }
    Ok(start.elapsed().as_secs_f64() / done)
}
