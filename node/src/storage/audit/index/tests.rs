//! The index against a walk over all entries: whatever is asked, both have to say the same. Owns no state.

use proptest::prelude::*;
use proptest::sample::select;
use protocol::seam::FileSystem;
use simulations::SimDisk;

use super::super::entry::{Draft, Outcome, Told};
use super::super::log::AuditLog;
use super::super::purge::PurgeRules;
use super::super::words::EventType;
use super::*;
use crate::storage::health::Health;
use crate::storage::meta::Act;
use crate::storage::meta::memory::MemoryMeta;

const DIR: &str = "/data/audit";
/// Enough for three blocks, the last of them not full.
const ENTRIES: u64 = 2 * BLOCK + 300;

/// Entry `n`: pulls in four projects and log-ins of five users. Every seventh is refused, and all of the second block
/// but one.
fn draft(n: u64) -> Draft {
    let told = if n.is_multiple_of(3) {
        Told::done(Operation::Login, Resource::User, format!("user-{}", n % 5))
    } else {
        let project = format!("p{}", n % 4);
        let scope = Some(scope(&project));
        Told::done(Operation::Pull, Resource::Artifact, format!("{project}/app:{n}"))
            .within(project.parse().unwrap(), scope)
    };
    let refused = n.is_multiple_of(7) || (n / BLOCK == 1 && n % BLOCK != 500);
    let told = if refused { told.refused("DENIED") } else { told };
    let actor = format!("user-{}", n % 5).into();
    Draft { act: Act { actor, at: Timestamp(n * 10), request: "r".into(), via: Default::default() }, told }
}

fn scope(project: &str) -> ScopeId {
    ScopeId(*blake3::hash(project.as_bytes()).as_bytes())
}

fn log_of(fs: &Arc<dyn FileSystem>, entries: impl Iterator<Item = u64>) -> AuditLog {
    fs.create_dir_all("/data".as_ref()).unwrap();
    let mut log = AuditLog::open(Arc::clone(fs), DIR.into(), Health::new()).unwrap();
    for (n, part) in entries.collect::<Vec<_>>().chunks(900).enumerate() {
        if n > 0 {
            log.rotate();
        }
        log.append(part.iter().map(|n| Entry::new(0, None, draft(*n))).collect()).unwrap();
    }
    log
}

fn index_of(fs: &Arc<dyn FileSystem>, log: &AuditLog) -> AuditIndex {
    let mut index = AuditIndex::new(Arc::clone(fs), DIR.into(), true);
    index.catch_up(log.head().seq).unwrap();
    index
}

/// All entries, oldest first, read from the files.
fn everything(fs: &dyn FileSystem) -> Vec<Entry> {
    let mut entries = Vec::new();
    for file in segments(fs, DIR.as_ref()).unwrap() {
        let open = fs.open(&PathBuf::from(DIR).join(Segment::name(file.first)), Access::Read).unwrap();
        let mut lines = Lines::new(open, 0, file.len);
        while let Next::Line(line) = lines.next().unwrap() {
            if let Ok(Line::Entry(entry)) = read(&line) {
                entries.push(*entry);
            }
        }
    }
    entries
}

fn fits(filter: &Filter, entry: &Entry) -> bool {
    let (act, told) = (&entry.act, &entry.told);
    filter.operations.as_ref().is_none_or(|these| these.contains(&told.operation))
        && filter.kinds.as_ref().is_none_or(|these| these.contains(&told.kind))
        && filter.resource.as_ref().is_none_or(|text| text.fits(&told.resource))
        && filter.username.as_ref().is_none_or(|text| text.fits(&act.actor))
        && filter.since.is_none_or(|since| act.at >= since)
        && filter.until.is_none_or(|until| act.at <= until)
        && filter.succeeded.is_none_or(|succeeded| succeeded == (told.outcome == Outcome::Done))
        && filter.projects.as_ref().is_none_or(|scopes| told.scope.as_ref().is_some_and(|scope| scopes.contains(scope)))
}

#[track_caller]
fn agree(index: &AuditIndex, entries: &[Entry], filter: &Filter, order: Order, offset: u64, limit: usize) {
    let mut fitting: Vec<&Entry> = entries.iter().filter(|entry| fits(filter, entry)).collect();
    if order == Order::NewestFirst {
        fitting.reverse();
    }
    let page: Vec<u64> = fitting.iter().skip(offset as usize).take(limit).map(|entry| entry.seq).collect();
    let found = index.reader().unwrap().page(filter, order, offset, limit).unwrap();
    let seqs: Vec<u64> = found.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!((seqs, found.total, found.complete), (page, fitting.len() as u64, true), "{filter:?} {order:?}");
}

fn filters() -> impl Strategy<Value = Filter> {
    let operations = select(vec![None, None, Some(vec![Operation::Pull]), Some(vec![Operation::Login])]);
    let user = select(vec![
        None,
        None,
        Some(Text::Exactly("user-1".into())),
        Some(Text::OneOf(vec!["user-0".into(), "user-4".into(), "nobody".into()])),
        Some(Text::Contains("ER-".into())),
    ]);
    let resource = select(vec![None, None, None, Some(Text::Contains("app:1".into()))]);
    let times = prop::option::of((0..ENTRIES * 11, 0..ENTRIES * 11));
    let projects = select(vec![None, None, Some(vec!["p1"]), Some(vec!["p0", "p2"]), Some(vec!["absent"])]);
    let succeeded = select(vec![None, Some(true), Some(true), Some(false)]);
    (operations, user, resource, times, projects, succeeded).prop_map(
        |(operations, username, resource, times, projects, succeeded)| Filter {
            operations,
            kinds: None,
            resource,
            username,
            since: times.map(|(a, b)| Timestamp(a.min(b))),
            until: times.map(|(a, b)| Timestamp(a.max(b))),
            succeeded,
            projects: projects.map(|names| names.into_iter().map(scope).collect()),
        },
    )
}

#[tokio::test]
async fn the_index_says_what_a_walk_over_all_entries_says() {
    let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
    let fs = disk.file_system();
    let mut log = log_of(&fs, 0..ENTRIES);
    let mut index = index_of(&fs, &log);
    let mut questions = proptest::test_runner::TestRunner::deterministic();
    for purged in [false, true] {
        if purged {
            let types = [EventType::parse("login_user").unwrap()].into();
            let rules = PurgeRules { before: Timestamp(ENTRIES * 7), types, dry_run: false };
            let act = Act { actor: "root".into(), at: Timestamp(1), request: "r".into(), via: Default::default() };
            assert!(log.purge(&rules, act, &meta).await.unwrap().purged > 0);
            index.catch_up(log.head().seq).unwrap();
        }
        let entries = everything(&*fs);
        let done = Filter { succeeded: Some(true), ..Filter::default() };
        let fitting = entries.iter().filter(|entry| fits(&done, entry)).count() as u64;
        assert!(fitting > BLOCK / 2 && fitting < entries.len() as u64, "some were done, some refused");
        for order in [Order::NewestFirst, Order::OldestFirst] {
            // Over the edges of blocks and of the whole list.
            for offset in [0, 1, 300, fitting / 2, BLOCK, fitting - 5, fitting, fitting + 5] {
                agree(&index, &entries, &done, order, offset, 20);
            }
        }
        questions
            .run(&(filters(), any::<bool>(), 0..ENTRIES, 0..50_usize), |(filter, newest, offset, limit)| {
                let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
                agree(&index, &entries, &filter, order, offset % 400, limit);
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn where_nothing_or_everything_was_refused_those_that_succeeded_are_all_or_none() {
    let (all, done) = (Filter::default(), Filter { succeeded: Some(true), ..Filter::default() });
    let refused = |n: &u64| draft(*n).told.outcome != Outcome::Done;
    for wanted in [false, true] {
        let fs = SimDisk::new().file_system();
        let log = log_of(&fs, (0..ENTRIES).filter(|n| refused(n) == wanted));
        let (index, entries) = (index_of(&fs, &log), everything(&*fs));
        assert!(entries.len() > 1000);
        agree(&index, &entries, &all, Order::NewestFirst, 0, 20);
        agree(&index, &entries, &done, Order::NewestFirst, 0, 20);
        let total = index.reader().unwrap().page(&done, Order::OldestFirst, 0, 20).unwrap().total;
        assert_eq!(total, if wanted { 0 } else { entries.len() as u64 });
    }
}
