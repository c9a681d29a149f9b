//! What it costs to be someone: tokens for a password that was verified shortly before, and manifests by token and by
//! password beside the same manifests for nobody. Owns the stage's node.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::Client;
use crate::contest::{Field, Series, beside};
use crate::data::{Image, Source};
use crate::load::{Sample, Tally, drive, now};
use crate::plan::{Plan, Row};
use crate::push::fill;
use crate::report::{Bar, Report, Unit};
use crate::server::Contestant::Portolan;
use crate::server::{Ground, PASSWORD, REPOSITORY, Server};

/// Clients at once.
const CLIENTS: usize = 16;
const TAG: &str = "latest";

/// Measures the row if the plan wants it.
pub(crate) fn run(ground: &Ground, plan: &Plan, report: &mut Report) -> io::Result<()> {
    if !plan.wants(Row::Rights) {
        return Ok(());
    }
    plan.announce(Row::Rights);
    let basic = format!("Basic {}", STANDARD.encode(format!("admin:{PASSWORD}")));
    let image = Image::over(Source::new(5, 2048).blobs(4));
    let mut field = Field::start(ground, "rights", &[Portolan]);
    field.prepare(|server| {
        fill(server, &image.blobs)?;
        Client::connect(server)?.push_manifest(&image.manifest, TAG, &[])?;
        // What nobody may pull can't be measured for nobody.
        let project = REPOSITORY.split('/').next().unwrap_or_default();
        let body = br#"{"metadata":{"public":"true"}}"#;
        let headers = [("Authorization", basic.as_str()), ("Content-Type", "application/json")];
        Client::connect(server)?.ask("PUT", &format!("/api/v2.0/projects/{project}"), &headers, body)
    });
    let manifest = format!("/v2/{REPOSITORY}/manifests/{TAG}");
    let token = format!("/service/token?service=portolan&scope=repository:{REPOSITORY}:pull");
    let (mut by_token, mut by_password, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    let nobody = field.rounds(
        plan.rounds,
        |_| true,
        |_, server| {
            let bearer = server.bearer.as_ref().map(|bearer| bearer.header()).transpose()?.unwrap_or_default();
            let nobody = repeat(server, plan, &manifest, None)?;
            by_token.push((server.who, repeat(server, plan, &manifest, Some(&bearer))?));
            by_password.push((server.who, repeat(server, plan, &manifest, Some(&basic))?));
            tokens.push((server.who, repeat(server, plan, &token, Some(&basic))?));
            Ok(nobody)
        },
    );
    let what = format!("GET manifest by tag, {CLIENTS} connections");
    report.figures(&format!("{what}, nobody"), Unit::Requests, &nobody);
    for (how, samples) in [("token", by_token), ("password", by_password)] {
        let series = beside(&nobody, samples);
        let ratio = pair(&series, &nobody).and_then(|(own, other)| own.over(other, Sample::per_second));
        report.bar(&what, &format!("rate by {how} / for nobody"), Bar::AtLeast(0.9), " ×", ratio);
        report.figures(&format!("{what}, by {how}"), Unit::Requests, &series);
    }
    let what = format!("token for a verified password, {CLIENTS} connections");
    let series = beside(&nobody, tokens);
    let rate = series.first().and_then(|series| series.spread(Sample::per_second));
    report.bar(&what, "tokens a second", Bar::AtLeast(5000.0), " /s", rate);
    report.figures(&what, Unit::Requests, &series);
    field.remove()
}

fn pair<'s>(one: &'s [Series], other: &'s [Series]) -> Option<(&'s Series, &'s Series)> {
    one.first().zip(other.first())
}

fn repeat(server: &Server, plan: &Plan, target: &str, authorization: Option<&str>) -> io::Result<Sample> {
    let headers: Vec<(&str, &str)> = authorization.map(|value| ("Authorization", value)).into_iter().collect();
    let until = now() + plan.seconds;
    drive(server, CLIENTS, |_, client| {
        let mut tally = Tally::default();
        loop {
            let start = now();
            if start >= until {
                return Ok(tally);
            }
            client.ask("GET", target, &headers, b"")?;
            tally.finished(start, 0);
        }
    })
}
