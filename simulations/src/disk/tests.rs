//! Every rule of the fault model, each by the states it allows and the states it excludes.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use super::*;

const EVERY: usize = 100_000;

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn write(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.open(p(path), Access::Create).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

/// A file whose bytes and name are durable.
fn durable(disk: &SimDisk, path: &str, bytes: &[u8]) {
    write(disk, path, bytes).sync().unwrap();
    disk.sync_dir(p(path).parent().unwrap()).unwrap();
}

fn dir(disk: &SimDisk, path: &str) {
    disk.create_dir_all(p(path)).unwrap();
    disk.sync_dir(p("/")).unwrap();
}

/// Every state a cut at this moment may leave, as "name=bytes" words.
fn futures(disk: &SimDisk) -> BTreeSet<String> {
    let mut states = disk.crash_states(EVERY);
    let all = states.by_ref().map(|state| words(&state.disk)).collect();
    assert!(states.is_exhaustive());
    all
}

fn words(disk: &SimDisk) -> String {
    let word = |(path, bytes): (PathBuf, Vec<u8>)| {
        format!("{}={}", path.display(), String::from_utf8_lossy(&bytes).replace('\0', "0"))
    };
    disk.contents().into_iter().map(word).collect::<Vec<_>>().join(" ")
}

fn set(states: &[&str]) -> BTreeSet<String> {
    states.iter().map(|&state| state.to_owned()).collect()
}

// Ordinary use.

#[test]
fn files_and_directories_behave_like_a_file_system() {
    let disk = SimDisk::new();
    assert_eq!(disk.open(p("/a/x"), Access::Create).unwrap_err().kind(), ErrorKind::NotFound);
    disk.create_dir_all(p("/a/b")).unwrap();
    disk.create_dir_all(p("/a/b")).unwrap();
    write(&disk, "/a/x", b"hello");
    assert_eq!(disk.open(p("/a/x"), Access::CreateNew).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(disk.open(p("/a/y"), Access::Write).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.open(p("/a/b"), Access::Read).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(disk.open(p("/a/x/z"), Access::Read).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(disk.create_dir_all(p("/a/x")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(disk.open(p("/a/../x"), Access::Read).unwrap_err().kind(), ErrorKind::InvalidInput);
    let listed = disk.list(p("/a")).unwrap();
    assert_eq!(
        listed,
        [
            DirEntry { name: "b".into(), kind: EntryKind::Directory, len: 0 },
            DirEntry { name: "x".into(), kind: EntryKind::File, len: 5 },
        ]
    );
    assert_eq!(disk.file_len(p("/a/x")).unwrap(), Some(5));
    assert_eq!(disk.file_len(p("/a/y")).unwrap(), None);
    let reader = disk.open(p("a/x"), Access::Read).unwrap();
    let mut buf = [0; 10];
    assert_eq!(reader.read_at(&mut buf, 1).unwrap(), 4);
    assert_eq!(&buf[..4], b"ello");
    assert_eq!(reader.write_all_at(b"no", 0).unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_rename_replaces_unless_told_not_to() {
    let disk = SimDisk::new();
    write(&disk, "/a", b"a");
    write(&disk, "/b", b"b");
    assert_eq!(disk.rename_no_replace(p("/a"), p("/b")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    disk.rename(p("/a"), p("/b")).unwrap();
    assert_eq!(words(&disk), "/b=a");
    disk.rename_no_replace(p("/b"), p("/c")).unwrap();
    assert_eq!(disk.rename(p("/b"), p("/c")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(words(&disk), "/c=a");
}

#[test]
fn a_removed_file_lives_until_its_last_handle_is_gone() {
    let disk = SimDisk::with_capacity(8192);
    let file = write(&disk, "/a", &[1; 8192]);
    disk.remove_file(p("/a")).unwrap();
    assert_eq!(file.len().unwrap(), 8192);
    assert_eq!(disk.space(p("/")).unwrap().available, 0);
    drop(file);
    assert_eq!(disk.space(p("/")).unwrap(), Space { total: 8192, available: 8192 });
}

#[test]
fn a_replaced_file_gives_its_room_back() {
    let disk = SimDisk::with_capacity(8192);
    drop(write(&disk, "/a", &[1; 4096]));
    drop(write(&disk, "/b", &[2; 4096]));
    disk.rename(p("/a"), p("/b")).unwrap();
    assert_eq!(disk.space(p("/")).unwrap().available, 4096);
}

#[test]
fn a_full_disk_writes_what_fits_and_says_so() {
    let disk = SimDisk::with_capacity(3 * 4096);
    let kept = disk.open(p("/kept"), Access::Create).unwrap();
    kept.allocate(4096).unwrap();
    let file = disk.open(p("/a"), Access::Create).unwrap();
    assert_eq!(file.write_all_at(&[1; 10_000], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 8192);
    assert_eq!(file.allocate(20_000).unwrap_err().kind(), ErrorKind::StorageFull);
    kept.write_all_at(&[2; 4096], 0).unwrap();
    file.set_len(0).unwrap();
    assert_eq!(disk.space(p("/")).unwrap().available, 8192);
    disk.set_capacity(0);
    assert_eq!(disk.space(p("/")).unwrap().available, 0);
}

#[test]
fn a_lock_is_exclusive_until_dropped_or_crashed() {
    let disk = SimDisk::new();
    let held = disk.lock(p("/lock")).unwrap();
    assert_eq!(disk.lock(p("/lock")).unwrap_err().kind(), ErrorKind::WouldBlock);
    disk.sync_dir(p("/")).unwrap();
    disk.crash(&mut Rng::from_seed(0)).lock(p("/lock")).unwrap();
    disk.kill().lock(p("/lock")).unwrap();
    drop(held);
    disk.lock(p("/lock")).unwrap();
}

#[test]
fn a_cold_file_would_block() {
    let disk = SimDisk::new();
    let file = write(&disk, "/a", b"warm");
    let mut buf = [0; 4];
    assert_eq!(file.read_cached_at(&mut buf, 0).unwrap(), 4);
    disk.set_cold(p("/a"), true).unwrap();
    assert_eq!(file.read_cached_at(&mut buf, 0).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 4);
    disk.set_cold(p("/a"), false).unwrap();
    assert_eq!(file.read_cached_at(&mut buf, 0).unwrap(), 4);
}

// What a crash may take.

#[test]
fn syncing_a_file_does_not_sync_its_name() {
    let disk = SimDisk::new();
    write(&disk, "/a", b"1").sync().unwrap();
    assert_eq!(futures(&disk), set(&["", "/a=1"]));
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(futures(&disk), set(&["/a=1"]));
    assert!(disk.is_settled());
}

#[test]
fn syncing_a_directory_does_not_sync_the_bytes() {
    let disk = SimDisk::new();
    write(&disk, "/a", b"1");
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(futures(&disk), set(&["/a=", "/a=0", "/a=1"]));
}

#[test]
fn syncing_a_directory_does_not_sync_its_own_name() {
    let disk = SimDisk::new();
    disk.create_dir_all(p("/d")).unwrap();
    durable(&disk, "/d/a", b"1");
    assert_eq!(futures(&disk), set(&["", "/d/a=1"]));
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(futures(&disk), set(&["/d/a=1"]));
}

#[test]
fn changes_of_different_names_survive_independently() {
    let disk = SimDisk::new();
    write(&disk, "/a", b"1").sync().unwrap();
    write(&disk, "/b", b"2").sync().unwrap();
    assert_eq!(futures(&disk), set(&["", "/a=1", "/b=2", "/a=1 /b=2"]));
}

#[test]
fn changes_of_one_file_survive_in_order() {
    let disk = SimDisk::new();
    write(&disk, "/a", b"1").sync().unwrap();
    disk.rename(p("/a"), p("/b")).unwrap();
    disk.rename(p("/b"), p("/c")).unwrap();
    assert_eq!(futures(&disk), set(&["", "/a=1", "/b=1", "/c=1"]));
}

#[test]
fn a_rename_within_a_directory_is_atomic() {
    let disk = SimDisk::new();
    durable(&disk, "/old", b"1");
    durable(&disk, "/tmp", b"2");
    disk.rename(p("/tmp"), p("/old")).unwrap();
    assert_eq!(futures(&disk), set(&["/old=1 /tmp=2", "/old=2"]));
}

#[test]
fn a_rename_across_directories_may_leave_both_names_but_never_none() {
    let disk = SimDisk::new();
    dir(&disk, "/from");
    dir(&disk, "/to");
    durable(&disk, "/from/a", b"1");
    disk.rename(p("/from/a"), p("/to/b")).unwrap();
    assert_eq!(futures(&disk), set(&["/from/a=1", "/from/a=1 /to/b=1", "/to/b=1"]));
    let to_synced = disk.kill();
    to_synced.sync_dir(p("/to")).unwrap();
    assert_eq!(futures(&to_synced), set(&["/from/a=1 /to/b=1", "/to/b=1"]));
    disk.sync_dir(p("/from")).unwrap();
    assert_eq!(futures(&disk), set(&["/to/b=1"]));
}

#[test]
fn a_rename_into_an_unsynced_directory_loses_no_file() {
    let disk = SimDisk::new();
    durable(&disk, "/a", b"1");
    disk.create_dir_all(p("/new/deep")).unwrap();
    disk.rename(p("/a"), p("/new/deep/a")).unwrap();
    disk.sync_dir(p("/new/deep")).unwrap();
    assert!(futures(&disk).iter().all(|state| !state.is_empty()), "{:?}", futures(&disk));
}

#[test]
fn renaming_one_file_to_its_other_name_does_nothing() {
    let disk = SimDisk::new();
    dir(&disk, "/from");
    dir(&disk, "/to");
    durable(&disk, "/from/a", b"1");
    disk.rename(p("/from/a"), p("/to/a")).unwrap();
    let both = disk.crash_states(EVERY).map(|state| state.disk).find(|disk| disk.files().len() == 2).unwrap();
    both.rename(p("/from/a"), p("/to/a")).unwrap();
    assert_eq!(words(&both), "/from/a=1 /to/a=1");
    both.remove_file(p("/from/a")).unwrap();
    assert_eq!(words(&both), "/to/a=1");
    assert_eq!(both.space(p("/")).unwrap().available, CAPACITY - 4096);
}

#[test]
fn a_removed_file_may_come_back_until_the_directory_is_synced() {
    let disk = SimDisk::new();
    durable(&disk, "/a", b"1");
    disk.remove_file(p("/a")).unwrap();
    assert_eq!(futures(&disk), set(&["", "/a=1"]));
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(futures(&disk), set(&[""]));
}

#[test]
fn a_name_taken_again_leads_to_the_old_file_to_nothing_or_to_the_new_one() {
    let disk = SimDisk::new();
    durable(&disk, "/a", b"1");
    disk.remove_file(p("/a")).unwrap();
    write(&disk, "/a", b"2").sync().unwrap();
    assert_eq!(futures(&disk), set(&["/a=1", "", "/a=2"]));
}

#[test]
fn a_synced_change_takes_along_what_it_rests_on() {
    let disk = SimDisk::new();
    dir(&disk, "/tmp");
    dir(&disk, "/blobs");
    write(&disk, "/tmp/a", b"1").sync().unwrap();
    disk.rename(p("/tmp/a"), p("/blobs/a")).unwrap();
    disk.sync_dir(p("/blobs")).unwrap();
    assert_eq!(futures(&disk), set(&["/blobs/a=1 /tmp/a=1", "/blobs/a=1"]));
}

#[test]
fn a_failed_directory_sync_is_never_made_good() {
    let disk = SimDisk::new();
    write(&disk, "/a", b"1").sync().unwrap();
    disk.fail_nth(1, Fault::Io);
    disk.sync_dir(p("/")).unwrap_err();
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(futures(&disk), set(&["", "/a=1"]));
    write(&disk, "/b", b"2").sync().unwrap();
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(futures(&disk), set(&["/b=2", "/a=1 /b=2"]));
}

#[test]
fn a_failed_file_sync_is_never_made_good() {
    let disk = SimDisk::new();
    durable(&disk, "/a", b"1");
    let file = write(&disk, "/a", b"2");
    disk.inject(Injection { kind: Some(OpKind::Sync), nth: 1, fault: Fault::Io });
    assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(5));
    file.sync().unwrap();
    assert_eq!(futures(&disk), set(&["/a=1", "/a=2"]));
    disk.drop_caches();
    assert_eq!(words(&disk), "/a=1");
}

#[test]
fn a_killed_process_loses_nothing_but_syncs_nothing() {
    let disk = SimDisk::new();
    let open = write(&disk, "/a", b"1");
    let next = disk.kill();
    assert_eq!(words(&next), "/a=1");
    assert_eq!(next.op_count(), 0);
    assert!(futures(&next).contains(""));
    open.write_all_at(b"late", 0).unwrap();
    assert_eq!(words(&next), "/a=1", "a handle of the old process does not reach the new one");
}

#[test]
fn a_killed_process_gives_back_what_only_it_had_open() {
    let disk = SimDisk::with_capacity(4096);
    let _open = write(&disk, "/a", b"1");
    disk.remove_file(p("/a")).unwrap();
    assert_eq!(disk.kill().space(p("/")).unwrap().available, 4096);
}

#[test]
fn a_drawn_crash_is_one_of_the_legal_ones_and_all_of_them_are_drawn() {
    let disk = SimDisk::new();
    dir(&disk, "/d");
    write(&disk, "/a", b"1");
    write(&disk, "/d/b", b"2").sync().unwrap();
    disk.rename(p("/d/b"), p("/c")).unwrap();
    let legal = futures(&disk);
    let mut rng = Rng::from_seed(9);
    let drawn: BTreeSet<String> = (0..2000).map(|_| words(&disk.crash(&mut rng))).collect();
    assert_eq!(drawn, legal);
}

#[test]
fn one_seed_draws_one_crash() {
    let disk = SimDisk::new();
    for name in ["/a", "/b", "/c", "/d"] {
        write(&disk, name, &[1; 20_000]);
    }
    let draw = |seed| disk.crash(&mut Rng::from_seed(seed)).fingerprint();
    assert_eq!(draw(1), draw(1));
    assert!((2..10).any(|seed| draw(seed) != draw(1)));
}

#[test]
fn a_crash_of_a_crash_is_settled() {
    let disk = SimDisk::new();
    write(&disk, "/a", &[1; 9000]);
    let once = disk.crash(&mut Rng::from_seed(3));
    assert!(once.is_settled());
    assert_eq!(once.crash(&mut Rng::from_seed(4)).fingerprint(), once.fingerprint());
}

// The log, and stopping at every point of it.

#[test]
fn the_log_names_what_changed_and_only_that() {
    let disk = SimDisk::new();
    let file = write(&disk, "/a", b"1");
    disk.open(p("/a"), Access::Create).unwrap();
    disk.rename(p("/missing"), p("/b")).unwrap_err();
    disk.fail_nth(1, Fault::Io);
    file.sync().unwrap_err();
    disk.rename(p("/a"), p("/b")).unwrap();
    let log: Vec<String> = disk.ops().iter().map(ToString::to_string).collect();
    assert_eq!(log, ["Create /a", "Write /a [0+1]", "Sync /a FAILED", "Rename /a -> /b"]);
}

#[test]
fn a_stopped_disk_answers_nothing() {
    let disk = SimDisk::new();
    disk.stop_after(2);
    let file = write(&disk, "/a", b"1");
    assert!(!disk.is_stopped());
    file.sync().unwrap_err();
    assert!(disk.is_stopped());
    file.len().unwrap_err();
    disk.list(p("/")).unwrap_err();
    assert_eq!(disk.op_count(), 2);
    assert_eq!(words(&disk.kill()), "/a=1");
}

#[test]
fn the_nth_operation_fails_and_no_other() {
    for nth in [1, 2] {
        let disk = SimDisk::new();
        disk.fail_nth(nth, Fault::NoSpace);
        let first = disk.open(p("/a"), Access::Create).map(|_| ());
        let second = disk.open(p("/b"), Access::Create).map(|_| ());
        let third = disk.open(p("/c"), Access::Create).map(|_| ());
        let results = [first, second, third];
        for (at, result) in results.iter().enumerate() {
            let struck = at as u64 + 1 == nth;
            assert_eq!(result.as_ref().err().map(io::Error::kind), struck.then_some(ErrorKind::StorageFull));
        }
    }
}

#[test]
fn a_short_write_leaves_half() {
    let disk = SimDisk::new();
    let file = disk.open(p("/a"), Access::Create).unwrap();
    disk.fail_nth(1, Fault::ShortWrite);
    file.write_all_at(b"12345678", 0).unwrap_err();
    assert_eq!(words(&disk), "/a=1234");
}

#[test]
fn a_healed_disk_fails_no_more() {
    let disk = SimDisk::new();
    disk.fail_nth(1, Fault::Io);
    disk.heal();
    write(&disk, "/a", b"1");
}

#[test]
fn a_flipped_bit_is_read_by_everyone_for_ever() {
    let disk = SimDisk::new();
    durable(&disk, "/a", b"a");
    disk.flip_bit(p("/a"), 0, 1).unwrap();
    assert_eq!(words(&disk), "/a=c");
    assert_eq!(futures(&disk), set(&["/a=c"]));
    assert_eq!(disk.flip_bit(p("/a"), 1, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn recorded_states_cover_every_moment() {
    let disk = SimDisk::new();
    disk.record();
    durable(&disk, "/a", b"1");
    let mut states = disk.crash_states(EVERY);
    let all: BTreeSet<(usize, String)> = states.by_ref().map(|state| (state.after, words(&state.disk))).collect();
    assert!(states.is_exhaustive());
    let at = |n: usize| -> Vec<&str> { all.iter().filter(|(after, _)| *after == n).map(|(_, s)| s.as_str()).collect() };
    assert_eq!(at(0), [""]);
    assert_eq!(at(1), ["", "/a="]);
    assert_eq!(at(2), ["", "/a=", "/a=0", "/a=1"]);
    assert_eq!(at(3), ["", "/a=1"]);
    assert_eq!(at(4), ["/a=1"]);
}

#[test]
fn too_many_states_are_bounded_and_still_hold_the_extremes() {
    let disk = SimDisk::new();
    durable(&disk, "/a", &[0; 0]);
    write(&disk, "/a", &[1; 40 * 4096]);
    let list = || {
        let mut states = disk.crash_states(50);
        let all: Vec<SimDisk> = states.by_ref().map(|state| state.disk).collect();
        assert!(!states.is_exhaustive());
        all
    };
    let all = list();
    assert!((30..=50).contains(&all.len()), "{}", all.len());
    assert!(all.iter().any(|disk| disk.contents()[p("/a")].is_empty()));
    assert!(all.iter().any(|disk| disk.contents()[p("/a")] == [1; 40 * 4096]));
    let fingerprints = |all: &[SimDisk]| all.iter().map(SimDisk::fingerprint).collect::<Vec<_>>();
    assert_eq!(fingerprints(&all), fingerprints(&list()));
}

#[test]
fn many_writers_share_one_disk() {
    let disk = SimDisk::new();
    std::thread::scope(|scope| {
        for writer in 0..4_u8 {
            let disk = disk.clone();
            scope.spawn(move || {
                for n in 0..50 {
                    durable(&disk, &format!("/{writer}-{n}"), &[writer; 5000]);
                }
            });
        }
    });
    assert!(disk.is_settled());
    assert_eq!(disk.files().len(), 200);
    assert_eq!(disk.space(p("/")).unwrap().available, CAPACITY - 200 * 8192);
}

#[test]
fn a_few_mebibytes_in_blocks_stay_cheap() {
    let disk = SimDisk::new();
    let file = disk.open(p("/db"), Access::Create).unwrap();
    for round in 0..4_u8 {
        for block in 0..1024_u64 {
            file.write_all_at(&[round; 4096], block * 4096).unwrap();
        }
        file.sync().unwrap();
    }
    disk.sync_dir(p("/")).unwrap();
    let mut rng = Rng::from_seed(1);
    for _ in 0..200 {
        file.write_all_at(&[9; 4096], 0).unwrap();
        assert_eq!(disk.crash(&mut rng).file_len(p("/db")).unwrap(), Some(1024 * 4096));
    }
}
