//! What a node takes: anonymous memory, the time to start, the size of the binary. Each figure is taken on a process
//! that has done nothing else; Portolan and, for comparison, docker-registry one after the other.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::client::Client;
use crate::contest::Spread;
use crate::data::{Blob, Image, Source};
use crate::load::{Sample, Tally, clients, drive, now, weigh};
use crate::plan::{Plan, Row};
use crate::push::{fill, push_all};
use crate::report::{Bar, Report};
use crate::server::Contestant::{self, Portolan, Registry};
use crate::server::{Ground, Server};

/// Pulls, and pushes, at once in the memory row.
pub(crate) const AT_ONCE: usize = 64;
/// How long a node is left alone before it counts as idle.
const IDLE: Duration = Duration::from_secs(3);
/// Clients that make the tags.
const TAGGERS: usize = 16;
/// Tags set by one request, where the server takes several.
const TAGS_A_REQUEST: usize = 10;

/// Measures the rows the plan wants.
pub(crate) fn run(ground: &Ground, plan: &Plan, report: &mut Report) -> io::Result<()> {
    if plan.wants(Row::Memory) {
        plan.announce(Row::Memory);
        memory(ground, plan, report);
    }
    if plan.wants(Row::Start) {
        plan.announce(Row::Start);
        let result = start(ground, plan).map_err(|error| complain(report, "start to ready", Portolan, &error)).ok();
        let (clean, killed) = result.unzip();
        let what = format!("start to ready, {} tags", plan.tags);
        report.bar(&what, "seconds, after a clean end", Bar::Below(1.0), " s", clean.flatten());
        report.bar(&what, "seconds, after kill -9", Bar::Below(1.0), " s", killed.flatten());
        let size = fs::metadata(&ground.portolan).ok().map(|file| file.len() as f64 / 1e6);
        report.bar("stripped binary", "size", Bar::AtMost(25.0), " MB", Spread::of(size.into_iter()));
    }
    Ok(())
}

fn memory(ground: &Ground, plan: &Plan, report: &mut Report) {
    let pulls = format!("{AT_ONCE} pulls of {}", Plan::size(plan.large));
    let pushes = format!("{AT_ONCE} pushes of {}", Plan::size(plan.weighed));
    let pulled = Source::new(8, plan.large).blob();
    let pushed = Source::new(9, plan.weighed).blobs(AT_ONCE);
    type Weigh<'a> = &'a dyn Fn(Server) -> io::Result<(Server, Sample)>;
    let rows: [(&str, Weigh<'_>, f64); 3] = [
        ("idle", &idle, 32.0),
        (&pulls, &|server| pull_at_once(ground, server, &pulled), 100.0),
        (&pushes, &|server| push_all(&server, AT_ONCE, &pushed, plan.style).map(|sample| (server, sample)), 160.0),
    ];
    for (what, weigh_it, limit) in rows {
        for who in [Portolan, Registry] {
            let result = Server::start(ground, "memory", who).and_then(weigh_it).and_then(|(server, sample)| {
                server.remove()?;
                Ok(sample)
            });
            let peak = result.map_err(|error| complain(report, what, who, &error)).ok();
            let peak = peak.and_then(|sample| Spread::of(std::iter::once(sample.anonymous_mib())));
            if who == Portolan {
                report.bar(what, "anonymous memory, peak", Bar::AtMost(limit), " MiB", peak);
            } else if let Some(peak) = peak {
                report.note(format!(
                    "{what}, {}: {:.0} MiB of anonymous memory (for comparison)",
                    who.name(),
                    peak.median
                ));
            }
        }
    }
}

fn idle(server: Server) -> io::Result<(Server, Sample)> {
    let sample = weigh(&server, || {
        std::thread::sleep(IDLE);
        Ok(Tally::default())
    })?;
    Ok((server, sample))
}

/// The blob is pushed to one process and pulled from the next, so that the pushing leaves nothing in what is weighed.
fn pull_at_once(ground: &Ground, server: Server, blob: &Blob) -> io::Result<(Server, Sample)> {
    fill(&server, std::slice::from_ref(blob))?;
    server.settle()?;
    let server = server.restart(ground, Signal::TERM)?;
    let sample = drive(&server, AT_ONCE, |_, client| {
        let start = now();
        let mut tally = Tally::default();
        let bytes = client.pull_blob(blob, None)?;
        tally.finished(start, bytes);
        Ok(tally)
    })?;
    Ok((server, sample))
}

/// Start to ready of a node that holds many tags: after it was ended, and after it was killed.
fn start(ground: &Ground, plan: &Plan) -> io::Result<(Option<Spread>, Option<Spread>)> {
    let mut server = Server::start(ground, "start", Portolan)?;
    tag(&server, plan.tags)?;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..plan.rounds {
        for (signal, times) in [Signal::TERM, Signal::KILL].into_iter().zip(&mut times) {
            server = server.restart(ground, signal)?;
            times.push(server.ready_after.as_secs_f64());
            // A node that is killed has been at work: one more tag makes its last commit a recent one.
            tag_one(&server)?;
        }
    }
    let counted = Client::connect(&server)?.count_tags()?;
    // `tag_one` writes the same tag each time.
    if counted != plan.tags + 1 {
        return Err(io::Error::other(format!("{counted} tags are there in place of {}", plan.tags + 1)));
    }
    server.remove()?;
    let [clean, killed] = times.map(|times| Spread::of(times.into_iter()));
    Ok((clean, killed))
}

/// An image nobody would notice, pushed but for its manifest.
fn small_image(server: &Server) -> io::Result<Image> {
    let image = Image::over(Source::new(10, 1024).blobs(1));
    fill(server, &image.blobs)?;
    Ok(image)
}

fn tag_one(server: &Server) -> io::Result<()> {
    let image = small_image(server)?;
    Client::connect(server)?.push_manifest(&image.manifest, "last", &[]).map(drop)
}

/// Gives one manifest `count` tags.
fn tag(server: &Server, count: usize) -> io::Result<()> {
    let image = small_image(server)?;
    let digest = image.digest().to_string();
    let next = AtomicUsize::new(0);
    clients(server, TAGGERS, |_, client| {
        loop {
            let first = next.fetch_add(TAGS_A_REQUEST, Ordering::Relaxed);
            if first >= count {
                return Ok(Tally::default());
            }
            let tags: Vec<String> = (first..count.min(first + TAGS_A_REQUEST)).map(|n| format!("tag-{n}")).collect();
            // A server that doesn't know `?tag=` ignores it: then each tag is put by itself.
            if client.push_manifest(&image.manifest, &digest, &tags)? != tags.len() {
                for tag in &tags {
                    client.push_manifest(&image.manifest, tag, &[])?;
                }
            }
        }
    })
    .map(drop)
}

fn complain(report: &mut Report, what: &str, who: Contestant, error: &io::Error) {
    eprintln!("  {}: {error}", who.name());
    report.note(format!("{what}, {}: not available: {error}", who.name()));
}
