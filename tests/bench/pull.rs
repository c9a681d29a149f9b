//! The pull rows: large blobs, small blobs, small blobs beside cold reads, manifests. Owns the stage's servers, which
//! all hold the same bytes.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{Advice, fadvise};

use crate::client::Client;
use crate::contest::{Field, beside, ratio};
use crate::data::{Blob, Image, Source};
use crate::load::{Sample, Tally, clients, drive, now};
use crate::plan::{Plan, Row};
use crate::push::fill;
use crate::report::{Bar, Report, Unit};
use crate::server::Contestant::{self, NginxBuffered, NginxSendfile, Portolan, Registry};
use crate::server::{Ground, Server};

/// Small blobs among which the clients go round.
const SMALL_BLOBS: usize = 64;
/// Clients of the small blob rows.
const SMALL_CLIENTS: usize = 64;
/// Clients that read cold blobs beside them.
const COLD_CLIENTS: usize = 16;
/// Clients of the manifest row.
const MANIFEST_CLIENTS: usize = 16;
/// The tag the manifest row asks for.
const TAG: &str = "latest";

/// Measures the pull rows the plan wants.
pub(crate) fn run(ground: &Ground, plan: &Plan, report: &mut Report) -> io::Result<()> {
    if !plan.wants_any(&[Row::Large1, Row::Large16, Row::Large64, Row::Small, Row::Cold, Row::Manifest]) {
        return Ok(());
    }
    plan.warm(ground)?;
    let all = [Portolan, NginxBuffered, NginxSendfile, Registry];
    let mut field = Field::start(ground, "pull", &all);
    large(&mut field, plan, report);
    small(&mut field, plan, report);
    manifest(&mut field, plan, report);
    field.remove()
}

fn large(field: &mut Field, plan: &Plan, report: &mut Report) {
    let rows = [(Row::Large1, 1), (Row::Large16, 16), (Row::Large64, 64)];
    if !plan.wants_any(&rows.map(|(row, _)| row)) {
        return;
    }
    let blob = Source::new(1, plan.large).blob();
    field.prepare(|server| {
        fill(server, std::slice::from_ref(&blob))?;
        // Into the page cache, for those who wrote it past the cache.
        Client::connect(server)?.pull_blob(&blob, None).map(drop)
    });
    for (row, connections) in rows.into_iter().filter(|(row, _)| plan.wants(*row)) {
        let what = format!("GET {} blob, {connections} {}", Plan::size(plan.large), plural(connections));
        plan.announce(row);
        let series = field.rounds(
            plan.rounds,
            |_| true,
            |_, server| pull_until(server, connections, plan.seconds, std::slice::from_ref(&blob)),
        );
        let mut bar = |against: &str, bar, theirs, measure: fn(&Sample) -> f64| {
            report.bar(&what, against, bar, " ×", ratio(&series, Portolan, theirs, measure));
        };
        bar("rate / nginx, no sendfile", Bar::AtLeast(0.95), NginxBuffered, Sample::mib_per_second);
        bar("CPU a GiB / nginx, no sendfile", Bar::AtMost(1.2), NginxBuffered, Sample::cpu_per_gib);
        bar("rate / nginx, sendfile", Bar::AtLeast(0.6), NginxSendfile, Sample::mib_per_second);
        bar("rate / docker-registry", Bar::AtLeast(1.5), Registry, Sample::mib_per_second);
        report.figures(&what, Unit::Bytes, &series);
    }
}

fn small(field: &mut Field, plan: &Plan, report: &mut Report) {
    if !plan.wants_any(&[Row::Small, Row::Cold]) {
        return;
    }
    let blobs = Source::new(2, plan.small).blobs(SMALL_BLOBS);
    field.prepare(|server| fill(server, &blobs));
    let what = format!("GET {} blob, {SMALL_CLIENTS} connections", Plan::size(plan.small));
    if plan.wants(Row::Small) {
        plan.announce(Row::Small);
        let series =
            field.rounds(plan.rounds, |_| true, |_, server| pull_until(server, SMALL_CLIENTS, plan.seconds, &blobs));
        let mut bar = |against: &str, least, theirs| {
            let result = ratio(&series, Portolan, theirs, Sample::per_second);
            report.bar(&what, against, Bar::AtLeast(least), " ×", result);
        };
        bar("rate / nginx, sendfile", 0.7, NginxSendfile);
        bar("rate / docker-registry", 20.0, Registry);
        report.figures(&what, Unit::Requests, &series);
    }
    if plan.wants(Row::Cold) {
        plan.announce(Row::Cold);
        cold(field, plan, report, &what, &blobs);
    }
}

/// The small row quiet and disturbed, in turns: a round is one of each for each server.
fn cold(field: &mut Field, plan: &Plan, report: &mut Report, what: &str, blobs: &[Blob]) {
    let cold = Source::new(3, plan.cold).blobs(plan.cold_blobs);
    field.prepare(|server| fill(server, &cold));
    let measured = |who: Contestant| who != NginxBuffered;
    let mut disturbed: Vec<(Contestant, Sample)> = Vec::new();
    let quiet = field.rounds(plan.rounds, measured, |_, server| {
        let quiet = pull_until(server, SMALL_CLIENTS, plan.seconds, blobs)?;
        disturbed.push((server.who, pull_beside_cold(server, plan.seconds, blobs, &cold)?));
        Ok(quiet)
    });
    let beside = beside(&quiet, disturbed);
    let what_beside = format!("{what}, beside {COLD_CLIENTS} cold readers");
    for (calm, rough) in quiet.iter().zip(&beside) {
        let growth = rough.over(calm, Sample::p99);
        let against = format!("p99 / quiet p99, {}", calm.who.name());
        if calm.who == Portolan {
            report.bar(&what_beside, "p99 / quiet p99", Bar::AtMost(3.0), " ×", growth);
        } else if let Some(growth) = growth {
            report.note(format!("{what_beside}: {against}: {:.2} (for comparison)", growth.median));
        }
        // Without this the row could pass because nothing was cold.
        if let Some(disk) = rough.spread(Sample::disk_mib_per_second) {
            report.note(format!("{what_beside}, {}: {:.0} MiB/s came from the disk", rough.who.name(), disk.median));
        }
    }
    report.figures(&format!("{what}, quiet"), Unit::Requests, &quiet);
    report.figures(&what_beside, Unit::Requests, &beside);
}

fn manifest(field: &mut Field, plan: &Plan, report: &mut Report) {
    if !plan.wants(Row::Manifest) {
        return;
    }
    plan.announce(Row::Manifest);
    let image = Image::over(Source::new(4, 2048).blobs(4));
    let manifest = &image.manifest;
    field.prepare(|server| {
        fill(server, &image.blobs)?;
        Client::connect(server)?.push_manifest(manifest, TAG, &[]).map(drop)
    });
    let what = format!("GET manifest by tag ({} bytes), {MANIFEST_CLIENTS} connections", manifest.len());
    let series = field.rounds(
        plan.rounds,
        |_| true,
        |_, server| repeat_until(server, MANIFEST_CLIENTS, plan.seconds, |client, _| client.pull_manifest(TAG)),
    );
    for (against, least, theirs) in
        [("rate / nginx, sendfile", 0.8, NginxSendfile), ("rate / docker-registry", 25.0, Registry)]
    {
        let result = ratio(&series, Portolan, theirs, Sample::per_second);
        report.bar(&what, against, Bar::AtLeast(least), " ×", result);
    }
    report.figures(&what, Unit::Requests, &series);
}

fn plural(connections: usize) -> &'static str {
    if connections == 1 { "connection" } else { "connections" }
}

/// Each client asks again and again until the time is over; a request that is under way then is finished.
fn repeat_until(
    server: &Server,
    connections: usize,
    time: Duration,
    request: impl Fn(&mut Client<'_>, usize) -> io::Result<u64> + Sync,
) -> io::Result<Sample> {
    let until = now() + time;
    drive(server, connections, |index, client| {
        let mut tally = Tally::default();
        for number in index.. {
            let start = now();
            if start >= until {
                break;
            }
            let bytes = request(client, number)?;
            tally.finished(start, bytes);
        }
        Ok(tally)
    })
}

/// Pulls `blobs` in turn until the time is over, and leaves off in the middle of a large one then: its bytes count, its
/// time does not.
fn pull_until(server: &Server, connections: usize, time: Duration, blobs: &[Blob]) -> io::Result<Sample> {
    let until = now() + time;
    drive(server, connections, |index, client| {
        let mut tally = Tally::default();
        for blob in blobs.iter().cycle().skip(index % blobs.len()) {
            let start = now();
            if start >= until {
                break;
            }
            let bytes = client.pull_blob(blob, Some(until))?;
            if bytes == blob.len() {
                tally.finished(start, bytes);
            } else {
                tally.bytes += bytes;
            }
        }
        Ok(tally)
    })
}

/// Small pulls while other clients read blobs whose pages they have had dropped. Only the small pulls are counted.
fn pull_beside_cold(server: &Server, time: Duration, blobs: &[Blob], cold: &[Blob]) -> io::Result<Sample> {
    let over = AtomicBool::new(false);
    let mut disturbance = Ok(Tally::default());
    let sample = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            clients(server, COLD_CLIENTS, |index, client| {
                for blob in cold.iter().cycle().skip(index * cold.len() / COLD_CLIENTS) {
                    if over.load(Ordering::Acquire) {
                        break;
                    }
                    fadvise(File::open(server.blob_file(&blob.digest))?, 0, None, Advice::DontNeed)?;
                    client.pull_blob(blob, None)?;
                }
                Ok(Tally::default())
            })
        });
        let sample = repeat_until(server, SMALL_CLIENTS, time, |client, number| {
            client.pull_blob(&blobs[number % blobs.len()], None)
        });
        over.store(true, Ordering::Release);
        disturbance = reading.join().unwrap_or_else(|_| Err(io::Error::other("a cold reader panicked")));
        sample
    });
    disturbance.and(sample)
}
