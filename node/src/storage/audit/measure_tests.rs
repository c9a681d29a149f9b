//! How long questions to the index of a large log take. Ignored: it takes a minute, and says nothing on a
//! machine that is busy.

use std::sync::Arc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::record::ScopeId;
use protocol::seam::{Clock, FileSystem};

use super::entry::{Draft, Entry, Told};
use super::index::{AuditIndex, Filter, Order, Text};
use super::log::AuditLog;
use super::words::Resource;
use crate::storage::health::Health;
use crate::storage::meta::{Act, Operation};
use crate::world::scratch::Scratch;
use crate::world::{NoSync, RealClock, RealDisk};

const ENTRIES: u64 = 1_000_000;
const PROJECTS: u64 = 200;
const USERS: u64 = 500;
/// What 99 of 100 questions may take.
const MOST: Duration = Duration::from_millis(50);
/// Asked of each kind.
const ASKED: u64 = 400;

fn scope_of(project: &str) -> ScopeId {
    ScopeId(*blake3::hash(project.as_bytes()).as_bytes())
}

fn entry(n: u64) -> Entry {
    let kinds = [
        (Operation::Pull, Resource::Artifact),
        (Operation::Create, Resource::Artifact),
        (Operation::Login, Resource::User),
    ];
    let (operation, kind) = kinds[(n % 7 % 3) as usize];
    let project = format!("project-{}", n * 7919 % PROJECTS);
    let mut told = Told::done(operation, kind, format!("{project}/app:{}", n % 1000));
    if kind == Resource::Artifact {
        told = told.within(project.parse().unwrap(), Some(scope_of(&project)));
    } else if n.is_multiple_of(5) {
        told = told.refused("UNAUTHORIZED");
    }
    let actor = format!("user-{}", n * 104_729 % USERS).into();
    Entry::new(
        0,
        None,
        Draft { act: Act { actor, at: Timestamp(n * 1000), request: "r".into(), via: Default::default() }, told },
    )
}

#[test]
#[ignore = "a measurement: a minute, on a quiet machine"]
fn questions_to_a_million_entries() {
    let (dir, clock) = (Scratch::new(), RealClock::new());
    let fs: Arc<dyn FileSystem> = Arc::new(NoSync::<dyn FileSystem>::new(Arc::new(RealDisk)));
    let begun = clock.monotonic();
    let mut log = AuditLog::open(Arc::clone(&fs), dir.path("audit"), Health::new()).unwrap();
    for from in (0..ENTRIES).step_by(1000) {
        log.append((from..from + 1000).map(entry).collect()).unwrap();
    }
    println!("{ENTRIES} entries written in {:?}", clock.monotonic() - begun);
    let begun = clock.monotonic();
    let mut index = AuditIndex::new(fs, dir.path("audit"), false);
    index.catch_up(log.head().seq).unwrap();
    println!("index made in {:?}", clock.monotonic() - begun);
    // All are asked before any fails the test: one look at the figures shows them all.
    let slow = std::cell::RefCell::new(Vec::new());
    let ask = |what: &str, filter: &dyn Fn(u64) -> Filter, offset: &dyn Fn(u64) -> u64| {
        let mut took: Vec<Duration> = Vec::new();
        let mut found = 0;
        for n in 0..ASKED {
            let (filter, offset, begun) = (filter(n), offset(n), clock.monotonic());
            let page = index.reader().unwrap().page(&filter, Order::NewestFirst, offset, 20).unwrap();
            took.push(clock.monotonic() - begun);
            found += page.entries.len();
        }
        took.sort_unstable();
        let at = |share: usize| took[(took.len() - 1) * share / 100];
        println!("{what}: p50 {:?}, p99 {:?}, most {:?}; {found} entries", at(50), at(99), at(100));
        assert!(found > 0, "{what} found something");
        if at(99) > MOST {
            slow.borrow_mut().push(what.to_owned());
        }
    };
    let first = |_: u64| 0;
    let all = |_: u64| Filter::default();
    let project = |n: u64| vec![scope_of(&format!("project-{}", n % PROJECTS))];
    let user = |n: u64| Some(Text::Exactly(format!("user-{}", n % USERS)));
    ask("first page", &all, &first);
    ask("any page", &all, &|n| n * 104_729 % (ENTRIES - 20));
    ask("a project", &|n| Filter { projects: Some(project(n)), ..Filter::default() }, &|n| n % 50 * 20);
    ask("a user", &|n| Filter { username: user(n), ..Filter::default() }, &|n| n % 50 * 20);
    let by = |n: u64| Filter { username: user(n), projects: Some(project(n)), ..Filter::default() };
    ask("a user in a project", &by, &first);
    let pulls = |_: u64| Filter { operations: Some(vec![Operation::Pull]), ..Filter::default() };
    ask("pulls, any page", &pulls, &|n| n * 7919 % 200_000);
    let hour = |n: u64| {
        let from = n * 104_729 % (ENTRIES - 7200) * 1000;
        Filter { since: Some(Timestamp(from)), until: Some(Timestamp(from + 3_600_000)), ..Filter::default() }
    };
    ask("an hour", &hour, &first);
    ask("a user in an hour", &|n| Filter { username: user(n), ..hour(n) }, &first);
    let part = |n: u64| Filter { username: Some(Text::Contains(format!("er-{}", n % USERS))), ..Filter::default() };
    ask("part of a user's name", &part, &first);
    let by_outcome = |succeeded: bool| move |_: u64| Filter { succeeded: Some(succeeded), ..Filter::default() };
    ask("those that succeeded", &by_outcome(true), &first);
    ask("those that succeeded, any page", &by_outcome(true), &|n| n * 104_729 % (ENTRIES / 2));
    ask("those that were refused, any page", &by_outcome(false), &|n| n * 7919 % (ENTRIES / 100));
    ask(
        "a user's that succeeded",
        &|n| Filter { succeeded: Some(true), username: user(n), ..Filter::default() },
        &first,
    );
    assert!(slow.borrow().is_empty(), "more than {MOST:?}: {:?}", slow.borrow());
}
