//! What it costs to be someone: tokens for a password that was verified shortly before, and manifests by token and by
//! password beside the same manifests for nobody. Owns the stage's node.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::Client;
use crate::contest::{Field, Series, Spread, beside};
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
/// Password of one who has no role anywhere; the node listens on the loopback only.
const STRANGER: &str = "Passw0rd-of-a-stranger";
/// Pairs of requests of each question a round.
const ORACLE_REQUESTS: usize = 2000;

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
    oracle(&field, plan, report, &basic);
    field.remove()
}

/// Whether someone who may not see a project can tell by the time that it is there: the same questions about one that is
/// and one that is not, in turns.
fn oracle(field: &Field, plan: &Plan, report: &mut Report, admin: &str) {
    let stranger = format!("Basic {}", STANDARD.encode(format!("stranger:{STRANGER}")));
    let questions: [(&str, &str, &str); 6] = [
        ("HEAD manifest", "HEAD", "/v2/PROJECT/app/manifests/1"),
        ("tags", "GET", "/v2/PROJECT/app/tags/list"),
        ("referrers", "GET", "/v2/PROJECT/app/referrers/DIGEST"),
        ("upload status", "GET", "/v2/PROJECT/app/blobs/uploads/00000000000000000000000000000000"),
        ("project", "GET", "/api/v2.0/projects/PROJECT"),
        ("search", "GET", "/api/v2.0/search?q=PROJECT"),
    ];
    let mut growth: Vec<Vec<f64>> = vec![Vec::new(); questions.len()];
    let rounds = field.rounds(
        plan.rounds,
        |_| true,
        |round, server| {
            let mut client = Client::connect(server)?;
            if round == 0 {
                let headers = [("Authorization", admin), ("Content-Type", "application/json")];
                client.ask("POST", "/api/v2.0/projects", &headers, br#"{"project_name":"hidden"}"#)?;
                let user = format!(
                    r#"{{"username":"stranger","email":"s@shop.example","realname":"S","password":"{STRANGER}"}}"#
                );
                client.ask("POST", "/api/v2.0/users", &headers, user.as_bytes())?;
            }
            for (at, (_, method, target)) in questions.iter().enumerate() {
                let digest = format!("sha256:{}", "0".repeat(64));
                let target = target.replace("DIGEST", &digest);
                let (mut there, mut gone) = (Vec::new(), Vec::new());
                for _ in 0..ORACLE_REQUESTS {
                    for (project, times) in [("hidden", &mut there), ("absent", &mut gone)] {
                        let (target, start) = (target.replace("PROJECT", project), now());
                        let headers = [("Authorization", stranger.as_str())];
                        client.ask_in_vain(method, &target, &headers, b"", |status| status < 500)?;
                        times.push(start.elapsed());
                    }
                }
                there.sort_unstable();
                gone.sort_unstable();
                let middle = ORACLE_REQUESTS / 2;
                growth[at].push(there[middle].as_secs_f64() / gone[middle].as_secs_f64());
            }
            repeat(server, plan, "/livez", None)
        },
    );
    if let Some(failure) = rounds.first().and_then(|series| series.failure.as_ref()) {
        report.note(format!("absent and forbidden: {failure}"));
    }
    for ((what, ..), growth) in questions.iter().zip(growth) {
        // Either way round it would tell.
        let told = Spread::of(growth.into_iter().map(|ratio| ratio.max(1.0 / ratio)));
        let against = "p50 of what is forbidden / of what is absent, or the other way round";
        report.bar(&format!("{what}, one client"), against, Bar::AtMost(1.1), " ×", told);
    }
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
