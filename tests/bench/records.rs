//! What the metadata takes for its records: the engine itself, without a server around it. A process of its own writes
//! them, a hundred and one to an intent, and is killed when the last is durable; this one opens what it left.

use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use node::storage::Health;
use node::storage::identity;
use node::storage::meta::redb::{OpenRedb, RedbMeta};
use node::storage::meta::{Act, MetaError, MetaStore, Project, PublishManifest, RecordAt};
use node::workers::Scope;
use node::world::{RealDisk, RealEntropy};
use protocol::seam::{Entropy, FileSystem};
use protocol::{Digest, Reference, RepositoryName, Tag, Timestamp};

use crate::contest::Spread;
use crate::load::now;
use crate::plan::{Plan, Row};
use crate::report::{Bar, Report};
use crate::server::Ground;

/// What the writing process is called with, before the directory and the number of records.
const CHILD: &str = "write-records";
/// Tags set by one intent; with its manifest one record more.
const TAGS: usize = 100;
/// How often each tag is written.
const VERSIONS: usize = 5;
/// Intents that wait at once.
const AT_ONCE: usize = 64;
/// Tags looked up.
const LOOKUPS: usize = 10_000;
const CACHE: usize = 64 << 20;

/// Measures the row if the plan wants it.
pub(crate) fn run(ground: &Ground, plan: &Plan, report: &mut Report) -> io::Result<()> {
    if !plan.wants(Row::Records) {
        return Ok(());
    }
    plan.announce(Row::Records);
    let mut taken = Vec::new();
    for round in 0..plan.rounds {
        let dir = ground.dir.join(format!("records-{round}"));
        taken.push(measure(&dir, plan.records)?);
        std::fs::remove_dir_all(&dir)?;
    }
    let what = format!("{} records", plan.records);
    let all = |figure: fn(&Figures) -> f64| Spread::of(taken.iter().map(figure));
    report.bar(&what, "durable a second", Bar::AtLeast(8000.0), " /s", all(|figures| figures.rate));
    report.bar(&what, "open after kill -9", Bar::Below(0.5), " s", all(|figures| figures.open));
    report.bar(&what, "bytes on disk / encoded", Bar::AtMost(3.0), " ×", all(|figures| figures.size));
    report.bar(&what, "lookup of a tag", Bar::AtMost(20.0), " µs", all(|figures| figures.lookup));
    Ok(())
}

struct Figures {
    rate: f64,
    open: f64,
    size: f64,
    lookup: f64,
}

fn measure(dir: &Path, count: usize) -> io::Result<Figures> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([CHILD.into(), dir.as_os_str().to_owned(), count.to_string().into()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    child.kill()?;
    child.wait()?;
    let seconds: f64 = line.trim().parse().map_err(|_| io::Error::other("the writing process failed"))?;
    let begin = now();
    let engine = Engine::open(dir)?;
    let open = (now() - begin).as_secs_f64();
    let (records, encoded) = engine.encoded()?;
    // What is allocated: the file grows by doubling, and has holes.
    let on_disk = std::fs::metadata(dir.join("meta.redb"))?.blocks() * 512;
    let lookup = engine.lookup(count)?;
    engine.close();
    Ok(Figures { rate: records as f64 / seconds, open, size: on_disk as f64 / encoded as f64, lookup })
}

/// Writes records when this process was started for that.
pub(crate) fn child(mut args: impl Iterator<Item = String>) -> Option<ExitCode> {
    if args.next()? != CHILD {
        return None;
    }
    let (dir, count) = (PathBuf::from(args.next()?), args.next()?.parse().ok()?);
    let outcome = Engine::open(&dir).and_then(|engine| engine.write(count));
    Some(match outcome {
        Ok(taken) => {
            let mut out = io::stdout();
            if writeln!(out, "{}", taken.as_secs_f64()).and_then(|()| out.flush()).is_err() {
                return Some(ExitCode::FAILURE);
            }
            // Until it is killed.
            std::thread::sleep(Duration::from_secs(600));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    })
}

struct Engine {
    meta: RedbMeta,
    scope: Scope,
    runtime: tokio::runtime::Runtime,
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

fn act() -> Act {
    Act { actor: "bench".into(), at: Timestamp(1_795_000_000_000), request: "bench".into(), via: Default::default() }
}

fn repository(intent: usize, count: usize) -> io::Result<RepositoryName> {
    let repositories = (count / (TAGS + 1) / VERSIONS).max(1);
    let app = intent % repositories;
    format!("library/team-{:03}/app-{app:05}", app % 100).parse().map_err(failed)
}

fn tags() -> io::Result<Vec<Tag>> {
    (0..TAGS).map(|n| format!("v1.{n}.0").parse().map_err(failed)).collect()
}

impl Engine {
    fn open(dir: &Path) -> io::Result<Self> {
        let (fs, entropy): (Arc<dyn FileSystem>, Arc<dyn Entropy>) = (Arc::new(RealDisk), Arc::new(RealEntropy));
        std::fs::create_dir_all(dir)?;
        let path = dir.join("meta.redb");
        let author = identity::open(&*fs, dir, &entropy, Timestamp(1), path.exists()).map_err(failed)?;
        let (health, scope) = (Health::new(), Scope::new());
        let options = OpenRedb { fs, path, cache: CACHE, sync: true, health, author, scope: scope.clone() };
        let meta = RedbMeta::open(options).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { meta, scope, runtime })
    }

    fn close(self) {
        drop(self.meta);
        self.runtime.block_on(self.scope.stop(Duration::from_secs(10)));
    }

    fn intent(n: usize, count: usize, tags: &[Tag]) -> io::Result<PublishManifest> {
        let repository = repository(n, count)?;
        let bytes = Bytes::from(format!("a manifest of {repository}, {}", n % 3));
        Ok(PublishManifest {
            digest: Digest::sha256(&bytes),
            root: protocol::tree::root_of(&bytes),
            repository,
            bytes,
            media_type: protocol::media_type::OCI_MANIFEST.parse().map_err(failed)?,
            tags: tags.to_vec(),
            tags_are_new: false,
            blobs: Vec::new(),
            optional_blobs: Vec::new(),
            children: Vec::new(),
            sparse: false,
            subject: None,
            artifact_type: None,
            annotations: std::collections::BTreeMap::new(),
            quota: None,
            due: act().at,
            act: act(),
        })
    }

    /// Writes about `count` records, many intents waiting at once; how long it took.
    fn write(&self, count: usize) -> io::Result<Duration> {
        let (tags, next) = (tags()?, AtomicUsize::new(0));
        let begin = now();
        self.runtime.block_on(async {
            let name = protocol::ProjectName::library();
            let project = Project { name, public: true, sparse: false, created: act().at };
            self.meta.create_project(project, act()).await.map_err(failed)?;
            let worker = async || -> io::Result<()> {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n * (TAGS + 1) >= count {
                        return Ok(());
                    }
                    self.meta.publish_manifest(Self::intent(n, count, &tags)?).await.map_err(failed)?;
                    if n % 500 == 499 {
                        self.forget().await.map_err(failed)?;
                    }
                }
            };
            let mut workers: Vec<_> = (0..AT_ONCE).map(|_| Box::pin(worker())).collect();
            let mut left = vec![true; AT_ONCE];
            std::future::poll_fn(|context| -> std::task::Poll<io::Result<()>> {
                for (worker, left) in workers.iter_mut().zip(&mut left) {
                    if *left && let std::task::Poll::Ready(outcome) = worker.as_mut().poll(context) {
                        *left = false;
                        outcome?;
                    }
                }
                if left.contains(&true) { std::task::Poll::Pending } else { std::task::Poll::Ready(Ok(())) }
            })
            .await
        })?;
        Ok(now() - begin)
    }

    /// As the audit log does: what was told is forgotten.
    async fn forget(&self) -> Result<(), MetaError> {
        match self.meta.outbox(1000).await?.last() {
            Some(event) => self.meta.acknowledge(event.seq).await,
            None => Ok(()),
        }
    }

    /// How many records there are, and their bytes as they are sent.
    fn encoded(&self) -> io::Result<(u64, u64)> {
        let (mut records, mut bytes, mut after) = (0, 0, None);
        loop {
            let page = self.runtime.block_on(self.meta.records(after, 1000)).map_err(failed)?;
            for held in &page.items {
                records += 1;
                bytes += (held.record.as_bytes().len() + held.value.as_deref().map_or(0, <[u8]>::len)) as u64;
            }
            after = page.items.last().map(RecordAt::of);
            if !page.more {
                return Ok((records, bytes));
            }
        }
    }

    /// Microseconds of a lookup of a tag's manifest, in the middle.
    fn lookup(&self, count: usize) -> io::Result<f64> {
        let tags = tags()?;
        let mut times = Vec::with_capacity(LOOKUPS);
        for n in 0..LOOKUPS {
            let name = repository(n * 7919 % (count / (TAGS + 1)).max(1), count)?;
            let reference = Reference::Tag(tags[n % TAGS].clone());
            let begin = now();
            let found = self.runtime.block_on(self.meta.manifest(&name, &reference)).map_err(failed)?;
            times.push((now() - begin).as_secs_f64() * 1e6);
            if found.is_none() {
                return Err(failed(format!("{name} has lost {reference:?}")));
            }
        }
        Ok(Spread::of(times.into_iter()).map_or(f64::NAN, |spread| spread.median))
    }
}
