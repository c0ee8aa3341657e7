//! The metrics of the process, under the names that all Prometheus clients use. They come from
//! `/proc`; a system without it has none of them.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Reads the metrics at each scrape.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(stat) =
            fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::read)
        {
            counter(&mut encoder, "cpu_seconds", "User and system CPU time", stat.cpu_seconds())?;
            gauge(&mut encoder, "threads", "Threads", stat.threads)?;
            gauge(&mut encoder, "virtual_memory_bytes", "Virtual memory", stat.virtual_bytes)?;
            let resident = stat.resident_pages.saturating_mul(page_size() as u64);
            gauge(&mut encoder, "resident_memory_bytes", "Resident memory", resident)?;
            if let Some(boot) = boot_time() {
                let start = boot as f64 + stat.start_ticks as f64 / ticks();
                let help = "Start of the process, in seconds since 1970";
                gauge(&mut encoder, "start_time_seconds", help, start)?;
            }
        }
        // Without the handle that lists them.
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            let open = (open.count() as u64).saturating_sub(1);
            gauge(&mut encoder, "open_fds", "Open file descriptors", open)?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            gauge(&mut encoder, "max_fds", "Maximum number of open file descriptors", most)?;
        }
        Ok(())
    }
}

fn gauge<N>(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: N) -> fmt::Result
where
    ConstGauge<N>: EncodeMetric,
{
    let gauge = ConstGauge::new(value);
    let help = format!("{help}.");
    gauge.encode(encoder.encode_descriptor(name, &help, None, gauge.metric_type())?)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    let help = format!("{help}.");
    counter.encode(encoder.encode_descriptor(name, &help, None, counter.metric_type())?)
}

/// The members of `/proc/self/stat` that are used; see proc_pid_stat(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    user_ticks: u64,
    system_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The second member is the name, in parentheses, and may contain anything.
        let (_, members) = text.rsplit_once(')')?;
        let members: Vec<&str> = members.split_whitespace().collect();
        // The first of these is member 3.
        let member = |number: usize| members.get(number - 3)?.parse().ok();
        Some(Self {
            user_ticks: member(14)?,
            system_ticks: member(15)?,
            threads: member(20)?,
            start_ticks: member(22)?,
            virtual_bytes: member(23)?,
            resident_pages: member(24)?,
        })
    }

    fn cpu_seconds(&self) -> f64 {
        self.user_ticks.saturating_add(self.system_ticks) as f64 / ticks()
    }
}

fn ticks() -> f64 {
    clock_ticks_per_second().max(1) as f64
}

/// Returns when the system started, in seconds since 1970.
fn boot_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn a_name_with_blanks_and_parentheses_shifts_nothing() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 11 12 0 0 20 0 3 0 4711 8192 55 18446744073709551615 1 1\n";
        let stat = Stat {
            user_ticks: 11,
            system_ticks: 12,
            threads: 3,
            start_ticks: 4711,
            virtual_bytes: 8192,
            resident_pages: 55,
        };
        assert_eq!(Stat::read(text), Some(stat));
        for broken in ["", "7 (a) S 1", "7 (a", &text.replace("4711", "x")] {
            assert_eq!(Stat::read(broken), None, "{broken}");
        }
    }
}
