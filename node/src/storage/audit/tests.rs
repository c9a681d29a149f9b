//! Stories of the log: what reaches it, what a crash leaves, what tampering shows, what a purge takes.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use protocol::Timestamp;
use protocol::seam::FileSystem;
use simulations::SimDisk;

use super::handle::anchor;
use super::log::{Segment, segments};
use super::verify::verify_now;
use super::*;
use crate::storage::health::Health;
use crate::storage::meta::memory::MemoryMeta;
use crate::storage::meta::{Act, MetaStore, Operation, Project};
use crate::world::faulty::{Call, Faulty};
use crate::world::scratch::Scratch;

/// Legal states looked at for each moment.
const STATES: usize = 8;

fn open(disk: &Faulty, dir: &Scratch) -> AuditLog {
    AuditLog::open(Arc::new(disk.clone()), dir.path("audit"), Health::new()).unwrap()
}

fn act(actor: &str, at: u64) -> Act {
    Act { actor: actor.into(), at: Timestamp(at), request: "r".into(), via: Default::default() }
}

async fn make(meta: &MemoryMeta, name: &str) {
    let project = Project { name: name.parse().unwrap(), public: false, sparse: false, created: Timestamp(1) };
    assert!(meta.create_project(project, act("alice", 1)).await.unwrap());
}

fn pull(n: u64) -> Draft {
    let told = Told::done(Operation::Pull, Resource::Artifact, format!("p/a:{n}")).within("p".parse().unwrap(), None);
    Draft { act: act("bob", n), told }
}

fn login(n: u64) -> Draft {
    let told = Told::done(Operation::Login, Resource::User, "eve").refused("UNAUTHORIZED");
    Draft { act: act("eve", n), told }
}

fn everything(fs: &dyn FileSystem, dir: &Path) -> Vec<Vec<Entry>> {
    let mut files = Vec::new();
    for segment in segments(fs, dir).unwrap() {
        let file = fs.open(&dir.join(Segment::name(segment.first)), protocol::seam::Access::Read).unwrap();
        let mut bytes = vec![0; segment.len as usize];
        assert_eq!(file.read_full_at(&mut bytes, 0).unwrap(), bytes.len());
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        files.push(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect());
    }
    files
}

/// Files, and the positions of the store's events in them.
fn written(dir: &Scratch) -> Vec<Vec<u64>> {
    let files = everything(&crate::world::RealDisk, &dir.path("audit"));
    files.iter().map(|file| file.iter().filter_map(|entry| entry.event).collect()).collect()
}

async fn look(fs: &Arc<dyn FileSystem>, dir: &Path, meta: &dyn MetaStore) -> Verified {
    verify_now(fs, dir, anchor(meta).await.unwrap()).unwrap()
}

#[tokio::test]
async fn every_event_reaches_the_log_once_and_after_a_rebuild_too() {
    let (disk, dir, meta) = (Faulty::default(), Scratch::new(), MemoryMeta::default());
    make(&meta, "a").await;
    make(&meta, "b").await;
    assert_eq!(open(&disk, &dir).drain(&meta).await.unwrap(), 2, "the very first one as well");
    let mut log = open(&disk, &dir);
    assert_eq!(log.drain(&meta).await.unwrap(), 0);
    let rebuilt = MemoryMeta::default();
    rebuilt.raise_events(log.last() + 1).await.unwrap();
    make(&rebuilt, "c").await;
    assert_eq!(log.drain(&rebuilt).await.unwrap(), 1);
    assert_eq!(written(&dir), [[1, 2, 3]]);
}

#[tokio::test]
async fn a_failed_write_leaves_no_half_line_and_the_log_goes_on_in_its_file() {
    let (disk, dir, meta) = (Faulty::default(), Scratch::new(), MemoryMeta::default());
    let mut log = open(&disk, &dir);
    make(&meta, "a").await;
    log.drain(&meta).await.unwrap();
    make(&meta, "b").await;
    log.sink().note(login(7));
    disk.tear(true);
    disk.fail(Call::Write, "audit", 0, io::ErrorKind::StorageFull);
    assert!(log.drain(&meta).await.is_err());
    assert_eq!(written(&dir), [[1]]);
    disk.heal();
    assert_eq!(log.drain(&meta).await.unwrap(), 2, "the note waited as well");
    assert_eq!(written(&dir), [[1, 2]]);
    let fs: Arc<dyn FileSystem> = Arc::new(disk);
    let found = look(&fs, &dir.path("audit"), &meta).await;
    assert_eq!((found.entries, found.broken), (3, None));
}

#[tokio::test]
async fn a_full_queue_drops_and_says_how_many_and_what_is_switched_off_is_not_written() {
    let (disk, dir, meta) = (Faulty::default(), Scratch::new(), MemoryMeta::default());
    let mut log = open(&disk, &dir);
    let sink = log.sink().clone();
    sink.switch_off([EventType::parse("pull_artifact").unwrap(), EventType::parse("create_project").unwrap()].into());
    make(&meta, "off").await;
    sink.note(pull(1));
    assert!(sink.is_empty());
    for n in 0..9000 {
        sink.note(login(n));
    }
    assert_eq!(log.drain(&meta).await.unwrap(), 8193);
    assert_eq!(meta.counts().await.unwrap().outbox, 0, "an event that is not written does not wait for ever");
    let files = everything(&crate::world::RealDisk, &dir.path("audit"));
    let last = files[0].last().unwrap();
    assert_eq!(last.told.after, Some(serde_json::json!({ "dropped": 808 })));
    assert_eq!(last.told.event_type().name(), "drop_audit");
    sink.switch_off(BTreeSet::new());
    make(&meta, "on").await;
    assert_eq!(log.drain(&meta).await.unwrap(), 1);
}

/// A log of three files, with events and notes, on a simulated disk.
async fn three_files(disk: &SimDisk, meta: &MemoryMeta) -> AuditLog {
    let fs = disk.file_system();
    fs.create_dir_all(Path::new("/data")).unwrap();
    let mut log = AuditLog::open(fs, "/data/audit".into(), Health::new()).unwrap();
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        log.rotate();
        make(meta, name).await;
        for m in 0..4 {
            log.sink().note(if m % 2 == 0 { pull(n as u64 * 10 + m) } else { login(n as u64 * 10 + m) });
        }
        log.drain(meta).await.unwrap();
    }
    log
}

fn put(fs: &dyn FileSystem, first: u64, bytes: &[u8]) {
    let file = fs.open(&Path::new("/data/audit").join(Segment::name(first)), protocol::seam::Access::Write).unwrap();
    file.set_len(0).unwrap();
    file.sync().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync().unwrap();
}

fn bytes_of(disk: &SimDisk, first: u64) -> Vec<u8> {
    disk.contents()[&Path::new("/data/audit").join(Segment::name(first))].clone()
}

const FIRSTS: [u64; 3] = [1, 6, 11];

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_byte_of_any_line_that_is_changed_is_found(file in 0..3_usize, at in any::<prop::sample::Index>(), to in 1..=255_u8) {
        runtime().block_on(async {
            let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
            three_files(&disk, &meta).await;
            let fs = disk.file_system();
            assert_eq!(look(&fs, Path::new("/data/audit"), &meta).await.broken, None);
            let mut bytes = bytes_of(&disk, FIRSTS[file]);
            let at = at.index(bytes.len());
            let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
            bytes[at] ^= to;
            put(&*fs, FIRSTS[file], &bytes);
            let broken = look(&fs, Path::new("/data/audit"), &meta).await.broken.expect("it is found");
            assert_eq!((broken.file, broken.line), (Segment::name(FIRSTS[file]), line), "{}", broken.why);
        });
    }
}

#[tokio::test]
async fn a_line_a_file_or_a_tail_that_is_gone_is_found() {
    let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
    three_files(&disk, &meta).await;
    let (fs, dir) = (disk.file_system(), Path::new("/data/audit"));
    for (n, first) in FIRSTS.into_iter().enumerate() {
        let whole = bytes_of(&disk, first);
        let lines: Vec<_> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        for gone in 0..lines.len() {
            let left: Vec<_> = lines.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, line)| *line).collect();
            put(&*fs, first, &left.concat());
            let broken = look(&fs, dir, &meta).await.broken.unwrap();
            assert_eq!(broken.seq, first + gone as u64, "{}", broken.why);
            put(&*fs, first, &lines[..gone].concat());
            let broken = look(&fs, dir, &meta).await.broken.unwrap();
            assert_eq!(broken.seq, first + gone as u64, "{}", broken.why);
        }
        let path = dir.join(Segment::name(first));
        fs.remove_file(&path).unwrap();
        let broken = look(&fs, dir, &meta).await.broken.unwrap();
        assert_eq!(broken.seq, first, "file {n}: {}", broken.why);
        fs.open(&path, protocol::seam::Access::Create).unwrap();
        put(&*fs, first, &whole);
        assert_eq!(look(&fs, dir, &meta).await.broken, None);
    }
}

#[tokio::test]
async fn a_node_that_starts_on_a_cut_log_says_so_in_it_and_keeps_what_it_cut() {
    for tampered in [false, true] {
        let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
        three_files(&disk, &meta).await;
        let (fs, dir) = (disk.file_system(), Path::new("/data/audit"));
        let mut bytes = bytes_of(&disk, 11);
        let second = 1 + bytes.iter().position(|byte| *byte == b'\n').unwrap();
        if tampered {
            bytes[second + 10] ^= 1;
        } else {
            bytes.truncate(second);
        }
        put(&*fs, 11, &bytes);
        let mut log = AuditLog::open(Arc::clone(&fs), dir.into(), Health::new()).unwrap();
        log.drain(&meta).await.unwrap();
        make(&meta, "later").await;
        assert_eq!(log.drain(&meta).await.unwrap(), 1);
        let broken = look(&fs, dir, &meta).await.broken.unwrap();
        assert_eq!(broken.seq, 12, "still after it went on: {}", broken.why);
        let kept = disk.contents().into_keys().find(|path| path.to_string_lossy().contains(".torn-"));
        assert_eq!(kept.is_some(), tampered);
        let last = everything(&*fs, dir).concat().pop().unwrap();
        assert_eq!((last.seq, last.event), (17, Some(4)), "positions are not used twice");
    }
}

fn rules(types: &str, before: u64) -> PurgeRules {
    let types = types.split(' ').map(|name| EventType::parse(name).unwrap()).collect();
    PurgeRules { before: Timestamp(before), types, dry_run: false }
}

#[tokio::test]
async fn a_purge_leaves_a_log_that_proves_itself_and_tampering_with_that_is_found() {
    let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
    let mut log = three_files(&disk, &meta).await;
    let (fs, dir) = (disk.file_system(), Path::new("/data/audit"));
    let dry = PurgeRules { dry_run: true, ..rules("pull_artifact", 15) };
    let counted = log.purge(&dry, act("root", 99), &meta).await.unwrap();
    assert_eq!((counted.purged, look(&fs, dir, &meta).await.purged), (4, 0), "a dry run only counts");
    assert!(log.purge(&PurgeRules::default(), act("root", 99), &meta).await.unwrap() == PurgeReport::default());
    let report = log.purge(&rules("pull_artifact", 15), act("root", 99), &meta).await.unwrap();
    assert_eq!((report.purged, report.files_rewritten, report.files_removed), (4, 2, 0));
    let found = look(&fs, dir, &meta).await;
    assert_eq!((found.entries, found.purged, found.broken.clone()), (12, 4, None), "{found:?}");
    // The rest of the first two files, and then more of what was purged once already.
    let report =
        log.purge(&rules("pull_artifact login_user create_project", 15), act("root", 99), &meta).await.unwrap();
    assert_eq!((report.purged, report.files_removed), (7, 2), "{report:?}");
    log.purge(&rules("login_user", 99), act("root", 100), &meta).await.unwrap();
    let found = look(&fs, dir, &meta).await;
    assert_eq!(found.broken, None);
    let cut = found.begins_after.unwrap();
    assert_eq!((cut.seq, &*cut.by), (10, "root"));
    // Nor does the log forget them.
    let whole = bytes_of(&disk, 11);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        put(&*fs, 11, &bytes);
        assert!(look(&fs, dir, &meta).await.broken.is_some(), "byte {at}");
    }
    put(&*fs, 11, &whole);
    for segment in segments(&*fs, dir).unwrap() {
        let bytes = bytes_of(&disk, segment.first);
        fs.remove_file(&dir.join(Segment::name(segment.first))).unwrap();
        assert!(look(&fs, dir, &meta).await.broken.is_some(), "file {}", segment.first);
        fs.open(&dir.join(Segment::name(segment.first)), protocol::seam::Access::Create).unwrap();
        put(&*fs, segment.first, &bytes);
    }
    let mut again = AuditLog::open(Arc::clone(&fs), dir.into(), Health::new()).unwrap();
    make(&meta, "later").await;
    again.drain(&meta).await.unwrap();
    assert_eq!(look(&fs, dir, &meta).await.broken, None);
}

#[test]
fn marks_of_a_purge_that_never_was_are_found() {
    runtime().block_on(async {
        let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
        three_files(&disk, &meta).await;
        let (fs, dir) = (disk.file_system(), Path::new("/data/audit"));
        let whole = bytes_of(&disk, 6);
        let lines: Vec<_> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        let entry = |line: &[u8]| serde_json::from_slice::<Entry>(line).unwrap();
        let follows = entry::Follows { chain: entry(lines[0]).chain, event: 2 };
        let stone = entry::Stone { purged: 7, to: 7, follows, event: 2, chain: entry(lines[1]).chain };
        put(&*fs, 6, &[lines[0], &stone.line().unwrap(), &lines[2..].concat()].concat());
        let broken = look(&fs, dir, &meta).await.broken.unwrap();
        assert!(broken.why.contains("not by a purge"), "{}", broken.why);
    });
}

#[tokio::test]
async fn no_power_cut_breaks_the_chain_whatever_the_log_was_doing() {
    let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
    disk.file_system().create_dir_all(Path::new("/data")).unwrap();
    disk.file_system().sync_dir(Path::new("/")).unwrap();
    disk.record();
    let mut log = three_files(&disk, &meta).await;
    let before = (disk.op_count(), log.head());
    log.purge(&rules("pull_artifact login_user create_project", 15), act("root", 99), &meta).await.unwrap();
    log.sink().note(pull(50));
    log.drain(&meta).await.unwrap();
    let after = (disk.op_count(), log.head());
    let mut states = 0;
    for state in disk.crash_states(STATES) {
        states += 1;
        let (fs, dir) = (state.disk.file_system(), Path::new("/data/audit"));
        let log = AuditLog::open(Arc::clone(&fs), dir.into(), Health::new()).unwrap();
        for (op, head) in [before, after] {
            assert!(state.after < op || log.head().seq >= head.seq, "after {}: what was promised is lost", state.after);
        }
        let anchor =
            if state.after >= after.0 { Some(after.1) } else { Some(before.1).filter(|_| state.after >= before.0) };
        let found = verify_now(&fs, dir, anchor).unwrap();
        assert!(found.broken.is_none() && found.unfinished == 0, "after {}: {found:?}", state.after);
        let left: Vec<_> =
            state.disk.contents().into_keys().filter(|path| path.to_string_lossy().contains(".part")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    assert!(states > 50, "{states}");
}

#[tokio::test]
async fn entries_are_found_also_after_a_purge_and_by_an_index_made_again() {
    let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
    let mut log = three_files(&disk, &meta).await;
    let (fs, dir) = (disk.file_system(), Path::new("/data/audit"));
    let mut index = AuditIndex::new(Arc::clone(&fs), dir.into(), true);
    index.catch_up(log.head().seq).unwrap();
    let seqs = |index: &AuditIndex, filter: &Filter, order, offset, limit| {
        let found = index.reader().unwrap().page(filter, order, offset, limit).unwrap();
        (found.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), found.total, found.complete)
    };
    let all = Filter::default();
    assert_eq!(seqs(&index, &all, Order::NewestFirst, 1, 2), (vec![14, 13], 15, true));
    let pulls = Filter { operations: Some(vec![Operation::Pull]), ..Filter::default() };
    assert_eq!(seqs(&index, &pulls, Order::OldestFirst, 1, 2), (vec![4, 7], 6, true));
    let refused = Filter { succeeded: Some(false), since: Some(Timestamp(11)), ..Filter::default() };
    assert_eq!(seqs(&index, &refused, Order::OldestFirst, 0, 9), (vec![8, 10, 13, 15], 4, true));
    log.purge(&rules("pull_artifact", 15), act("root", 99), &meta).await.unwrap();
    index.catch_up(log.head().seq).unwrap();
    assert_eq!(seqs(&index, &pulls, Order::NewestFirst, 0, 9), (vec![14, 12], 2, true));
    fs.remove_file(&dir.join("index.redb")).unwrap();
    let mut again = AuditIndex::new(fs, dir.into(), true);
    again.catch_up(log.head().seq).unwrap();
    assert_eq!(seqs(&again, &all, Order::OldestFirst, 0, 99), seqs(&index, &all, Order::OldestFirst, 0, 99));
}

#[test]
fn what_recovery_cuts_is_kept_and_what_is_not_ours_is_put_aside() {
    runtime().block_on(async {
        let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
        three_files(&disk, &meta).await;
        let (fs, dir) = (disk.file_system(), Path::new("/data/audit"));
        let whole = bytes_of(&disk, 11);
        let aside = || -> Vec<_> {
            let files = disk.contents().into_iter().filter(|(path, _)| path.to_string_lossy().contains(".torn-"));
            files.map(|(path, bytes)| (path.file_name().unwrap().to_string_lossy().into_owned(), bytes)).collect()
        };
        // Twice at the same place, lines of another program: neither overwrites the other.
        for foreign in [&b"{\"seq\":16,\"old\":true}\n"[..], b"something else\n"] {
            put(&*fs, 11, &[&whole[..], foreign].concat());
            let log = AuditLog::open(Arc::clone(&fs), dir.into(), Health::new()).unwrap();
            assert_eq!((log.head().seq, bytes_of(&disk, 11)), (15, whole.clone()));
            assert_eq!(aside().last().unwrap().1, foreign);
        }
        assert_eq!(aside().len(), 2, "{:?}", aside());
        // A newer file of another format: the log goes on in the one before it.
        let old = b"{\"seq\":16,\"what\":\"of before\"}\n{\"seq\":17}\n".to_vec();
        fs.open(&dir.join(Segment::name(16)), protocol::seam::Access::Create).unwrap();
        put(&*fs, 16, &old);
        let log = AuditLog::open(Arc::clone(&fs), dir.into(), Health::new()).unwrap();
        assert_eq!(log.head().seq, 15);
        let (name, kept) = aside().into_iter().find(|(name, _)| name.contains("16.")).unwrap();
        assert_eq!((name.ends_with(".torn-0"), kept), (true, old));
        // The rest of one line that was being written is no loss, and an empty file neither.
        put(&*fs, 11, &[&whole[..], b"{\"seq\":16,\"act\":{\"ac"].concat());
        fs.open(&dir.join(Segment::name(16)), protocol::seam::Access::Create).unwrap();
        AuditLog::open(Arc::clone(&fs), dir.into(), Health::new()).unwrap();
        assert_eq!((bytes_of(&disk, 11), aside().len()), (whole, 3));
        assert_eq!(look(&fs, dir, &meta).await.broken, None);
    });
}

#[tokio::test]
async fn a_purge_that_is_stopped_removes_nothing() {
    let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
    let mut log = three_files(&disk, &meta).await;
    let (fs, dir) = (disk.file_system(), Path::new("/data/audit"));
    let asked = std::sync::atomic::AtomicU32::new(0);
    for after in 0..4 {
        asked.store(0, std::sync::atomic::Ordering::Relaxed);
        let stop = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= after;
        let outcome = log.purge_unless(&rules("pull_artifact", 99), act("root", 99), &meta, &stop).await;
        assert!(matches!(outcome, Err(AuditError::Stopped)), "{after}: {outcome:?}");
        let found = look(&fs, dir, &meta).await;
        assert_eq!((found.entries, found.purged, found.broken), (15, 0, None));
    }
    assert_eq!(log.purge(&rules("pull_artifact", 99), act("root", 99), &meta).await.unwrap().purged, 6);
}
