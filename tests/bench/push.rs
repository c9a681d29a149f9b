//! The push rows: one very large blob, many small ones, a whole image by skopeo. Every round pushes bytes nobody has
//! seen, so that no server can answer from what it holds. Owns the stage's servers.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::client::{Client, PushStyle};
use crate::contest::{Field, beside, ratio};
use crate::data::{Blob, Image, Source};
use crate::load::{Sample, Tally, drive, now, weigh};
use crate::plan::{Plan, Row};
use crate::report::{Bar, Report, Unit};
use crate::server::Contestant::{Portolan, PortolanUnsynced, Registry};
use crate::server::{Ground, PASSWORD, Server};

/// Clients of the small push row.
const CLIENTS: usize = 16;
/// Seed of the first round's image; the next ones count on.
const FIRST_IMAGE: u64 = 1000;
/// Layers of the image.
pub(crate) const LAYERS: usize = 12;

/// Measures the push rows the plan wants.
pub(crate) fn run(ground: &Ground, plan: &Plan, report: &mut Report) -> io::Result<()> {
    if !plan.wants_any(&[Row::PushLarge, Row::PushSmall, Row::Image]) {
        return Ok(());
    }
    let all = [Portolan, PortolanUnsynced, Registry];
    plan.warm(ground)?;
    let who = if plan.wants(Row::PushLarge) { &all[..] } else { &[Portolan, Registry] };
    let field = Field::start(ground, "push", who);
    large(&field, plan, report);
    small(&field, plan, report);
    if plan.wants(Row::Image) {
        image(&field, ground, plan, report)?;
    }
    field.remove()
}

fn large(field: &Field, plan: &Plan, report: &mut Report) {
    if !plan.wants(Row::PushLarge) {
        return;
    }
    plan.announce(Row::PushLarge);
    let blobs = Source::new(5, plan.pushed).blobs(plan.rounds);
    let what = format!("push one {} blob, durable", Plan::size(plan.pushed));
    let series = field.rounds(
        plan.rounds,
        |_| true,
        |round, server| push_all(server, 1, std::slice::from_ref(&blobs[round]), plan.style),
    );
    let rate = ratio(&series, Portolan, Registry, Sample::mib_per_second);
    report.bar(&what, "rate / docker-registry", Bar::AtLeast(2.0), " ×", rate);
    let time = ratio(&series, Portolan, PortolanUnsynced, Sample::seconds);
    report.bar(&what, "time / with syncing off", Bar::AtMost(1.25), " ×", time);
    report.figures(&what, Unit::Bytes, &series);
}

fn small(field: &Field, plan: &Plan, report: &mut Report) {
    if !plan.wants(Row::PushSmall) {
        return;
    }
    plan.announce(Row::PushSmall);
    let mut source = Source::new(6, plan.small);
    let rounds: Vec<_> = (0..plan.rounds).map(|_| source.blobs(plan.pushes)).collect();
    let what = format!("push {} blobs of {}, {CLIENTS} clients, durable", plan.pushes, Plan::size(plan.small));
    let series = field.rounds(
        plan.rounds,
        |who| who != PortolanUnsynced,
        |round, server| push_all(server, CLIENTS, &rounds[round], plan.style),
    );
    let rate = ratio(&series, Portolan, Registry, Sample::per_second);
    report.bar(&what, "rate / docker-registry", Bar::AtLeast(6.0), " ×", rate);
    report.figures(&what, Unit::Requests, &series);
}

/// Pushes the blobs, shared out among `connections` clients as each becomes free; one latency is one whole push.
pub(crate) fn push_all(server: &Server, connections: usize, blobs: &[Blob], style: PushStyle) -> io::Result<Sample> {
    let next = AtomicUsize::new(0);
    let sample = drive(server, connections, |_, client| {
        let mut tally = Tally::default();
        while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start = now();
            client.push_blob(blob, style)?;
            tally.finished(start, blob.len());
        }
        Ok(tally)
    });
    server.settle()?;
    sample
}

fn image(field: &Field, ground: &Ground, plan: &Plan, report: &mut Report) -> io::Result<()> {
    plan.announce(Row::Image);
    let (source, target) = (ground.dir.join("image-pushed"), ground.dir.join("image-pulled"));
    let mut written = None;
    let mut pulls = Vec::new();
    let pushes = field.rounds(
        plan.rounds,
        |who| who != PortolanUnsynced,
        |round, server| {
            if written.replace(round) != Some(round) {
                write_image(&source, FIRST_IMAGE + round as u64, plan.layer)?;
            }
            let bytes = (LAYERS * plan.layer) as u64;
            let here = format!("docker://{}/bench/image:round-{round}", server.addr);
            let pushed = skopeo(server, &format!("dir:{}", source.display()), &here, bytes)?;
            server.settle()?;
            if target.exists() {
                fs::remove_dir_all(&target)?;
            }
            pulls.push((server.who, skopeo(server, &here, &format!("dir:{}", target.display()), bytes)?));
            server.settle()?;
            Ok(pushed)
        },
    );
    let pulls = beside(&pushes, pulls);
    let size = Plan::size(plan.layer);
    for (way, series) in [("push", &pushes), ("pull", &pulls)] {
        let what = format!("{way} an image of {LAYERS} layers of {size} by skopeo");
        let rate = ratio(series, Portolan, Registry, Sample::mib_per_second);
        report.bar(&what, "rate / docker-registry", Bar::Above(1.0), " ×", rate);
        report.figures(&what, Unit::Bytes, series);
    }
    for dir in [source, target] {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
    }
    Ok(())
}

/// Writes an image in skopeo's `dir:` layout. The layers begin as gzip does, so that skopeo passes them on as they are.
fn write_image(dir: &Path, seed: u64, layer: usize) -> io::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    let image = Image::over(Source::starting_with(&[0x1f, 0x8b, 8, 0], seed, layer).blobs(LAYERS));
    for blob in &image.blobs {
        fs::write(dir.join(blob.digest.hex()), blob.parts().concat())?;
    }
    fs::write(dir.join("version"), "Directory Transport Version: 1.1\n")?;
    fs::write(dir.join("manifest.json"), image.manifest)
}

/// One copy by skopeo, weighed on the server's side.
fn skopeo(server: &Server, from: &str, to: &str, bytes: u64) -> io::Result<Sample> {
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy", "--command-timeout", "300s", "copy", "--preserve-digests", "--quiet"]);
    command.args(["--src-tls-verify=false", "--dest-tls-verify=false"]);
    if server.bearer.is_some() {
        let side = if to.starts_with("docker:") { "--dest-creds" } else { "--src-creds" };
        command.args([side, &format!("admin:{PASSWORD}")]);
    }
    command.args([from, to]);
    weigh(server, || {
        let start = now();
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("skopeo: {}", said.lines().last().unwrap_or_default())));
        }
        let mut tally = Tally::default();
        tally.finished(start, bytes);
        Ok(tally)
    })
}

/// Fills a server with one client, outside any measurement.
pub(crate) fn fill(server: &Server, blobs: &[Blob]) -> io::Result<()> {
    let mut client = Client::connect(server)?;
    blobs.iter().try_for_each(|blob| client.push_blob(blob, PushStyle::Streamed))
}
