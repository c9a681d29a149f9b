//! Driving clients and weighing what the server did meanwhile. [`Sample`] is one round of one server; it owns its
//! latencies. The only place of the tool that reads the clock.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::process;
use crate::server::Server;

/// Between two looks at a server's memory.
const SAMPLING: Duration = Duration::from_millis(20);

/// A measurement begins with a token that needs no renewal for so long.
const UNDISTURBED: Duration = Duration::from_secs(60);

/// The time by the monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// What the clients of one round saw.
#[derive(Default)]
pub(crate) struct Tally {
    /// Body bytes moved, those of unfinished transfers included.
    pub(crate) bytes: u64,
    /// Time of each finished request.
    pub(crate) latencies: Vec<Duration>,
}

impl Tally {
    /// Counts one finished request.
    pub(crate) fn finished(&mut self, since: Instant, bytes: u64) {
        self.latencies.push(since.elapsed());
        self.bytes += bytes;
    }
}

/// One round of one server.
pub(crate) struct Sample {
    tally: Tally,
    wall: Duration,
    cpu: Duration,
    anonymous_peak: u64,
    disk_read: u64,
}

impl Sample {
    /// MiB a second.
    pub(crate) fn mib_per_second(&self) -> f64 {
        self.tally.bytes as f64 / MIB / self.wall.as_secs_f64()
    }

    /// Finished requests a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.tally.latencies.len() as f64 / self.wall.as_secs_f64()
    }

    /// Seconds from the first request to the last answer.
    pub(crate) fn seconds(&self) -> f64 {
        self.wall.as_secs_f64()
    }

    /// Processor seconds of the server for each GiB moved.
    pub(crate) fn cpu_per_gib(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.tally.bytes as f64 / MIB / 1024.0)
    }

    /// Processor microseconds of the server for each request.
    pub(crate) fn cpu_us_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.tally.latencies.len() as f64
    }

    /// The most anonymous memory seen, in MiB.
    pub(crate) fn anonymous_mib(&self) -> f64 {
        self.anonymous_peak as f64 / MIB
    }

    /// MiB a second the server had to fetch from the disk.
    pub(crate) fn disk_mib_per_second(&self) -> f64 {
        self.disk_read as f64 / MIB / self.wall.as_secs_f64()
    }

    /// Milliseconds within which half of the requests were answered.
    pub(crate) fn p50(&self) -> f64 {
        self.percentile(0.50)
    }

    /// Milliseconds within which 99 of 100 requests were answered.
    pub(crate) fn p99(&self) -> f64 {
        self.percentile(0.99)
    }

    /// By the nearest rank; NaN when nothing finished.
    fn percentile(&self, share: f64) -> f64 {
        let rank = (self.tally.latencies.len() as f64 * share).ceil() as usize;
        self.tally.latencies.get(rank.saturating_sub(1)).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

const MIB: f64 = 1024.0 * 1024.0;

/// Runs `clients` clients at once, each on a connection of its own that is open before the first request leaves.
pub(crate) fn clients<F>(server: &Server, clients: usize, work: F) -> io::Result<Tally>
where
    F: Fn(usize, &mut Client<'_>) -> io::Result<Tally> + Sync,
{
    let ready = (0..clients).map(|_| Client::connect(server)).collect::<io::Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let running: Vec<_> = ready
            .into_iter()
            .enumerate()
            .map(|(index, mut client)| {
                let work = &work;
                scope.spawn(move || work(index, &mut client))
            })
            .collect();
        let mut total = Tally::default();
        // Every client is waited for even when one has failed, so that no load runs on into the next measurement.
        let mut outcome = Ok(());
        for client in running {
            match client.join().unwrap_or_else(|_| Err(io::Error::other("a client panicked"))) {
                Ok(tally) => {
                    total.bytes += tally.bytes;
                    total.latencies.extend(tally.latencies);
                }
                Err(error) => outcome = Err(error),
            }
        }
        outcome.map(|()| total)
    })
}

/// Runs `work` while weighing `server`: processor time, memory, disk.
pub(crate) fn weigh(server: &Server, work: impl FnOnce() -> io::Result<Tally>) -> io::Result<Sample> {
    if let Some(bearer) = &server.bearer {
        bearer.good_for(UNDISTURBED)?;
    }
    let pids = server.pids();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            loop {
                let last = done.load(Ordering::Acquire);
                peak = peak.max(process::anonymous(&pids));
                if last {
                    return peak;
                }
                std::thread::park_timeout(SAMPLING);
            }
        });
        let (cpu, read) = (process::cpu(&pids), process::disk_read(&pids));
        let start = now();
        let outcome = work();
        let wall = start.elapsed();
        let (cpu, disk_read) = (process::cpu(&pids).saturating_sub(cpu), process::disk_read(&pids) - read);
        done.store(true, Ordering::Release);
        sampler.thread().unpark();
        let anonymous_peak = sampler.join().unwrap_or_default();
        let mut tally = outcome?;
        tally.latencies.sort_unstable();
        Ok(Sample { tally, wall, cpu, anonymous_peak, disk_read })
    })
}

/// The shape of most rows: `clients` clients, weighed.
pub(crate) fn drive<F>(server: &Server, count: usize, work: F) -> io::Result<Sample>
where
    F: Fn(usize, &mut Client<'_>) -> io::Result<Tally> + Sync,
{
    weigh(server, || clients(server, count, work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank_and_nothing_has_none() {
        let sample = |n: u64| Sample {
            tally: Tally { bytes: 0, latencies: (1..=n).map(Duration::from_millis).collect() },
            wall: Duration::from_secs(1),
            cpu: Duration::ZERO,
            anonymous_peak: 0,
            disk_read: 0,
        };
        assert_eq!((sample(200).p50(), sample(200).p99()), (100.0, 198.0));
        assert_eq!(sample(1).p99(), 1.0);
        assert!(sample(0).p99().is_nan());
    }
}
