//! Lists of the administration interface at the size of a large installation, over HTTP: 10,000 projects, 100,000
//! repositories, 1,000,000 artifacts. The rows are written by the engine in bulk before the node starts; what is measured
//! is the node.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use node::storage::Health;
use node::storage::identity;
use node::storage::meta::Act;
use node::storage::meta::redb::{Fill, OpenRedb, RedbMeta};
use node::workers::Scope;
use node::world::{RealDisk, RealEntropy};
use protocol::Timestamp;
use protocol::seam::{Entropy, FileSystem};

use crate::contest::Spread;
use crate::http::Connection;
use crate::load::now;
use crate::plan::{Plan, Row};
use crate::report::{Bar, Report};
use crate::server::Contestant::Portolan;
use crate::server::{Ground, PASSWORD, Server};

const CACHE: usize = 256 << 20;
/// Makes the path of a numbered request.
type Target<'a> = Box<dyn Fn(usize) -> String + 'a>;

/// Requests of each kind a round.
const REQUESTS: usize = 200;

/// Measures the row if the plan wants it.
pub(crate) fn run(ground: &Ground, plan: &Plan, report: &mut Report) -> io::Result<()> {
    if !plan.wants(Row::Listings) {
        return Ok(());
    }
    plan.announce(Row::Listings);
    let projects: usize = if plan.quick { 100 } else { 10_000 };
    let fill = Fill { projects: u32::try_from(projects).unwrap_or(u32::MAX), repositories: 10, artifacts: 10 };
    let data = ground.dir.join("listings-Portolan").join("data");
    write(&data, fill)?;
    let server = Server::start(ground, "listings", Portolan)?;
    if server.data != data {
        return Err(io::Error::other("the node was started elsewhere than the rows are"));
    }
    let size = format!("{projects} projects, {} repositories, {} artifacts", projects * 10, projects * 100);
    let authorization = format!("Basic {}", STANDARD.encode(format!("admin:{PASSWORD}")));
    let page = |number: usize, of: usize| 1 + number * 7919 % of.max(1);
    let kinds: [(&str, Target<'_>); 7] = [
        (
            "projects, any page",
            Box::new(|n| format!("/api/v2.0/projects?page={}&page_size=100", page(n, projects / 100))),
        ),
        (
            "projects by a piece of the name, sorted",
            Box::new(|n| format!("/api/v2.0/projects?q=name%3D~{}&sort=-creation_time&page_size=100", n % 100)),
        ),
        (
            "repositories of a project",
            Box::new(|n| format!("/api/v2.0/projects/p{:05}/repositories?page_size=100", page(n, projects) - 1)),
        ),
        (
            "all repositories, any page",
            Box::new(|n| format!("/api/v2.0/repositories?page={}&page_size=100", page(n, projects / 10))),
        ),
        ("repositories by a piece of the name", Box::new(|n| format!("/api/v2.0/repositories?q=name%3D~{}", n % 100))),
        (
            "artifacts of a repository",
            Box::new(|n| {
                let project = page(n, projects) - 1;
                format!("/api/v2.0/projects/p{project:05}/repositories/team%252Fapp-0{}/artifacts", n % 10)
            }),
        ),
        ("search", Box::new(|n| format!("/api/v2.0/search?q={}", 100 + n % 900))),
    ];
    for (kind, target) in &kinds {
        let mut p99s = Vec::new();
        for round in 0..plan.rounds {
            p99s.push(p99(&server, &authorization, |n| target(round * REQUESTS + n))?);
        }
        let result = Spread::of(p99s.into_iter());
        report.bar(&format!("{kind} ({size})"), "p99", Bar::AtMost(50.0), " ms", result);
    }
    server.remove()
}

/// Milliseconds within which 99 of 100 requests were answered, one after the other.
fn p99(server: &Server, authorization: &str, target: impl Fn(usize) -> String) -> io::Result<f64> {
    let mut connection = Connection::open(server.addr)?;
    let mut took: Vec<Duration> = Vec::with_capacity(REQUESTS);
    for number in 0..REQUESTS {
        let (target, start) = (target(number), now());
        let head = connection.request("GET", &target, &[("Authorization", authorization)], &[])?;
        let body = connection.body(&head, 16 << 20)?;
        took.push(start.elapsed());
        if head.status != 200 {
            let said = String::from_utf8_lossy(&body);
            return Err(io::Error::other(format!("{target}: status {}: {said}", head.status)));
        }
    }
    took.sort_unstable();
    let rank = (took.len() * 99).div_ceil(100);
    Ok(took[rank - 1].as_secs_f64() * 1e3)
}

/// Writes the rows where the node will find them.
fn write(data: &std::path::Path, fill: Fill) -> io::Result<()> {
    std::fs::create_dir_all(data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (fs, scope): (Arc<dyn FileSystem>, _) = (Arc::new(RealDisk), Scope::new());
        let entropy: Arc<dyn Entropy> = Arc::new(RealEntropy);
        let author = identity::open(&*fs, data, &entropy, Timestamp(1), false).map_err(io::Error::other)?;
        let meta = RedbMeta::open(OpenRedb {
            fs,
            path: data.join("meta.redb"),
            cache: CACHE,
            sync: false,
            health: Health::new(),
            author,
            scope: scope.clone(),
        });
        let meta = meta.map_err(io::Error::other)?;
        let at = Timestamp(1_795_000_000_000);
        let act = Act { actor: "bench".into(), at, request: "bench".into(), via: Default::default() };
        meta.fill(fill, &act).await.map_err(io::Error::other)?;
        drop(meta);
        scope.stop(Duration::from_secs(60)).await;
        Ok(())
    })
}
