//! The bytes of one file: what survives a crash, and what might.
//!
//! Content is kept in 4 KiB blocks. `settled` is what the platter holds for certain; `unsynced` holds, for each block
//! written since the last sync, every version it had, because the kernel may have written back any of them at any time.
//! Lengths are kept the same way. A *cut* (a shrinking `set_len`) opens a new stage: a length of that stage can only
//! survive with the cut applied to the blocks, and a block version of that stage only with such a length, since no file
//! system brings back old bytes beyond a cut it remembers.
//!
//! Owned by the tree. A crash keeps the settled part and one choice of the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes per block: the unit of writeback.
pub(super) const BLOCK: u64 = 4096;
const BLOCK_BYTES: usize = 4096;

/// How many unsynced versions of one block are remembered as possible after a crash. Older ones are forgotten, which
/// only makes the model less cruel; a cut is never forgotten, for that would make it wrong.
const MAX_VERSIONS: usize = 8;

const ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

pub(super) type Block = Arc<[u8; BLOCK_BYTES]>;

/// One value a block had since the last sync.
#[derive(Clone, Debug)]
struct Version {
    stage: u32,
    /// Made by a cut: nothing before it can be seen together with a length of its stage or later.
    cut: bool,
    /// `None` is a hole.
    data: Option<Block>,
}

#[derive(Clone, Debug, Default)]
struct Unsynced {
    versions: Vec<Version>,
    /// A sync failed: the page counts as clean, no later sync writes it.
    abandoned: bool,
}

/// A length that might survive, and the stage it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    stage: u32,
    len: u64,
    /// Made by a write, so by writeback block by block; a length that was set is set at once.
    stepwise: bool,
}

/// The content of a file, cached and on the platter.
#[derive(Clone, Debug)]
pub(super) struct Content {
    settled: Arc<BTreeMap<u64, Block>>,
    settled_len: Length,
    /// Shared with the snapshots of a recording disk.
    unsynced: BTreeMap<u64, Arc<Unsynced>>,
    len: u64,
    lens: Vec<Length>,
    lens_abandoned: bool,
    stage: u32,
    /// Blocks from the start that `allocate` reserved.
    reserved: u64,
    /// Blocks this file takes from the volume.
    charged: u64,
}

impl Content {
    pub(super) fn new() -> Self {
        Self::settled(Arc::default(), 0)
    }

    fn settled(settled: Arc<BTreeMap<u64, Block>>, len: u64) -> Self {
        let charged = settled.len() as u64;
        Self {
            settled,
            settled_len: Length { stage: 0, len, stepwise: false },
            unsynced: BTreeMap::new(),
            len,
            lens: Vec::new(),
            lens_abandoned: false,
            stage: 0,
            reserved: 0,
            charged,
        }
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) const fn charged(&self) -> u64 {
        self.charged
    }

    /// Whether a crash could take anything away.
    pub(super) fn is_settled(&self) -> bool {
        self.unsynced.is_empty() && self.lens.is_empty()
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let wanted = (buf.len() as u64).min(self.len.saturating_sub(offset));
        let mut done = 0;
        while done < wanted {
            let (block, within) = split(offset + done);
            let take = (BLOCK_BYTES - within).min((wanted - done) as usize);
            let out = &mut buf[done as usize..done as usize + take];
            match self.block(block) {
                Some(data) => out.copy_from_slice(&data[within..within + take]),
                None => out.fill(0),
            }
            done += take as u64;
        }
        done as usize
    }

    /// Writes as much as `room` more blocks allow; returns the bytes written.
    pub(super) fn write(&mut self, buf: &[u8], offset: u64, room: u64) -> usize {
        let room = self.charged + room;
        let mut done = 0;
        while done < buf.len() {
            let (block, within) = split(offset + done as u64);
            let take = (BLOCK_BYTES - within).min(buf.len() - done);
            let old = self.block(block);
            let fresh = old.is_none() && block >= self.reserved;
            if fresh && self.charged >= room {
                break;
            }
            let mut data = old.map_or([0; BLOCK_BYTES], |old| **old);
            data[within..within + take].copy_from_slice(&buf[done..done + take]);
            self.charged += u64::from(fresh);
            self.push(block, Version { stage: self.stage, cut: false, data: Some(Arc::new(data)) });
            done += take;
        }
        let end = offset + done as u64;
        if done > 0 && end > self.len {
            self.push_len(end, true);
        }
        done
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.cut(len);
        }
        if len != self.len {
            self.push_len(len, false);
        }
    }

    /// Reserves the blocks of the first `len` bytes; false, and nothing done, when that takes more than `room`.
    pub(super) fn allocate(&mut self, len: u64, room: u64) -> bool {
        let blocks = len.div_ceil(BLOCK);
        if blocks <= self.reserved {
            return true;
        }
        let present = self.live_blocks(self.reserved).take_while(|&block| block < blocks).count() as u64;
        let fresh = blocks - self.reserved - present;
        if fresh > room {
            return false;
        }
        self.reserved = blocks;
        self.charged += fresh;
        true
    }

    pub(super) fn sync(&mut self) {
        if !self.lens_abandoned {
            self.settled_len = Length { stage: self.stage, len: self.len, stepwise: false };
            self.lens.clear();
        }
        if self.unsynced.values().any(|unsynced| !unsynced.abandoned) {
            let settled = Arc::make_mut(&mut self.settled);
            self.unsynced.retain(|&block, unsynced| {
                if unsynced.abandoned {
                    return true;
                }
                if let Some(newest) = unsynced.versions.last() {
                    put(settled, block, newest.data.clone());
                }
                false
            });
        }
    }

    /// The kernel gives up on what was dirty and forgets that it was (Rebello et al., ATC'20).
    pub(super) fn fail_sync(&mut self) {
        self.lens_abandoned = !self.lens.is_empty();
        for unsynced in self.unsynced.values_mut() {
            Arc::make_mut(unsynced).abandoned = true;
        }
    }

    /// Evicts clean pages: what a failed sync abandoned is now read back as the platter has it.
    pub(super) fn drop_caches(&mut self) {
        self.unsynced.retain(|_, unsynced| !unsynced.abandoned);
        self.charged = self.reserved + self.live_blocks(self.reserved).count() as u64;
    }

    /// Flips one bit, in the cache and on the platter alike; false beyond the end or in a hole.
    pub(super) fn flip(&mut self, offset: u64, bit: u8) -> bool {
        let (block, within) = split(offset);
        if offset >= self.len || self.block(block).is_none() {
            return false;
        }
        if self.settled.contains_key(&block)
            && let Some(data) = Arc::make_mut(&mut self.settled).get_mut(&block)
        {
            Arc::make_mut(data)[within] ^= 1 << (bit % 8);
        }
        let unsynced = self.unsynced.get_mut(&block).map(Arc::make_mut);
        for version in unsynced.into_iter().flat_map(|unsynced| &mut unsynced.versions) {
            if let Some(data) = &mut version.data {
                Arc::make_mut(data)[within] ^= 1 << (bit % 8);
            }
        }
        true
    }

    /// Lengths that may survive, oldest first. Writeback goes block by block, so a file that grows by writing may also
    /// be found at any block boundary on the way.
    pub(super) fn lengths(&self) -> Vec<Length> {
        let mut options = vec![self.settled_len];
        let mut last = self.settled_len;
        for &next in &self.lens {
            if next.stepwise {
                let boundaries = (last.len / BLOCK + 1)..next.len.div_ceil(BLOCK);
                options.extend(boundaries.map(|block| Length { len: block * BLOCK, ..next }));
            }
            options.push(next);
            last = next;
        }
        options
    }

    /// Unsynced blocks that reach into a file of this length, and in how many versions each may be found with it.
    pub(super) fn choices(&self, length: Length) -> impl Iterator<Item = (u64, usize)> {
        let end = length.len.div_ceil(BLOCK);
        self.unsynced.range(..end).map(move |(&block, unsynced)| (block, unsynced.options(length.stage).len()))
    }

    /// The file after a crash: this length, and for each block of [`Self::choices`] the version chosen, oldest is 0.
    pub(super) fn after_crash(&self, length: Length, chosen: &BTreeMap<u64, usize>) -> Self {
        let mut blocks = Arc::clone(&self.settled);
        for (block, &choice) in chosen {
            let Some(unsynced) = self.unsynced.get(block) else { continue };
            if let Some(Some(version)) = unsynced.options(length.stage).get(choice) {
                put(Arc::make_mut(&mut blocks), *block, version.data.clone());
            }
        }
        let (whole, within) = split(length.len);
        let end = length.len.div_ceil(BLOCK);
        if blocks.last_key_value().is_some_and(|(&last, _)| last >= end) {
            Arc::make_mut(&mut blocks).split_off(&end);
        }
        // Bytes beyond the end of a file read as zeros once it grows again.
        if blocks.get(&whole).is_some_and(|data| data[within..].iter().any(|&byte| byte != 0))
            && let Some(data) = Arc::make_mut(&mut blocks).get_mut(&whole)
        {
            Arc::make_mut(data)[within..].fill(0);
        }
        Self::settled(blocks, length.len)
    }

    /// Feeds length and bytes, in an order of their own, to a hash; holes and zeros are the same.
    pub(super) fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.len.to_le_bytes());
        for block in self.live_blocks(0).filter(|&block| block < self.len.div_ceil(BLOCK)) {
            // Bytes of a block beyond the end of the file are zeros, so the whole block may be hashed.
            if let Some(data) = self.block(block)
                && data[..] != ZEROS[..]
            {
                hasher.update(&block.to_le_bytes());
                hasher.update(&data[..]);
            }
        }
    }

    fn block(&self, block: u64) -> Option<&Block> {
        match self.unsynced.get(&block).and_then(|unsynced| unsynced.versions.last()) {
            Some(newest) => newest.data.as_ref(),
            None => self.settled.get(&block),
        }
    }

    fn push(&mut self, block: u64, version: Version) {
        let unsynced = Arc::make_mut(self.unsynced.entry(block).or_default());
        unsynced.abandoned = false;
        unsynced.versions.push(version);
        if unsynced.versions.len() > MAX_VERSIONS
            && let Some(oldest) = unsynced.versions.iter().position(|version| !version.cut)
        {
            unsynced.versions.remove(oldest);
        }
    }

    fn push_len(&mut self, len: u64, stepwise: bool) {
        self.len = len;
        self.lens.push(Length { stage: self.stage, len, stepwise });
        self.lens_abandoned = false;
    }

    fn cut(&mut self, len: u64) {
        self.stage += 1;
        let stage = self.stage;
        let (tail, within) = split(len);
        if within > 0
            && let Some(data) = self.block(tail)
        {
            let mut data = **data;
            data[within..].fill(0);
            self.push(tail, Version { stage, cut: true, data: Some(Arc::new(data)) });
        }
        let end = len.div_ceil(BLOCK);
        let beyond: Vec<u64> = self.live_blocks(end).collect();
        // Blocks that were reserved but never written go too, as ftruncate lets them go.
        self.charged -= self.reserved.saturating_sub(end);
        self.charged -= beyond.iter().filter(|&&block| block >= self.reserved).count() as u64;
        self.reserved = self.reserved.min(end);
        for block in beyond {
            self.push(block, Version { stage, cut: true, data: None });
        }
    }

    fn live_blocks(&self, from: u64) -> impl Iterator<Item = u64> {
        let only_unsynced = self.unsynced.range(from..).map(|(&block, _)| block);
        let settled = self.settled.range(from..).map(|(&block, _)| block);
        let all: BTreeSet<u64> = settled.chain(only_unsynced).collect();
        all.into_iter().filter(|&block| self.block(block).is_some())
    }
}

impl Unsynced {
    /// Versions that may be found with a length of `stage`, oldest first; `None` is the settled one.
    fn options(&self, stage: u32) -> Vec<Option<&Version>> {
        let known = self.versions.iter().take_while(|version| version.stage <= stage);
        let mut options = vec![None];
        for version in known {
            if version.cut {
                options.clear();
            }
            options.push(Some(version));
        }
        options
    }
}

const fn split(offset: u64) -> (u64, usize) {
    (offset / BLOCK, (offset % BLOCK) as usize)
}

fn put(blocks: &mut BTreeMap<u64, Block>, block: u64, data: Option<Block>) {
    match data {
        Some(data) => blocks.insert(block, data),
        None => blocks.remove(&block),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: u64 = 1 << 20;

    fn bytes(content: &Content) -> Vec<u8> {
        let mut out = vec![0xee; content.len() as usize];
        assert_eq!(content.read(&mut out, 0), out.len());
        out
    }

    /// Every state a crash may leave, as bytes.
    fn all_after_crash(content: &Content) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for length in content.lengths() {
            let mut partial = vec![BTreeMap::new()];
            for (block, options) in content.choices(length) {
                partial = partial
                    .into_iter()
                    .flat_map(|chosen| {
                        (0..options).map(move |choice| {
                            let mut chosen = chosen.clone();
                            chosen.insert(block, choice);
                            chosen
                        })
                    })
                    .collect();
            }
            all.extend(partial.iter().map(|chosen| bytes(&content.after_crash(length, chosen))));
        }
        all.sort();
        all.dedup();
        all
    }

    #[test]
    fn what_is_written_is_read_across_blocks() {
        let mut content = Content::new();
        let data: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        assert_eq!(content.write(&data, 100, ROOM), data.len());
        let got = bytes(&content);
        assert_eq!((&got[..100], &got[100..]), (&[0; 100][..], &data[..]));
        let mut past = [0; 4];
        assert_eq!(content.read(&mut past, 10_100), 0);
    }

    #[test]
    fn synced_content_has_one_future() {
        let mut content = Content::new();
        content.write(b"kept", 0, ROOM);
        content.sync();
        assert!(content.is_settled());
        assert_eq!(all_after_crash(&content), [b"kept".to_vec()]);
    }

    #[test]
    fn an_unsynced_append_may_be_lost_torn_or_sized_without_data() {
        let mut content = Content::new();
        content.write(&[7; 4100], 0, ROOM);
        let states = all_after_crash(&content);
        let has = |len: usize, first: u8, last: u8| {
            states.iter().any(|s| s.len() == len && s.first() == Some(&first) && s.last() == Some(&last))
        };
        assert!(states.contains(&Vec::new()), "nothing survived");
        assert!(has(4100, 7, 7), "all survived");
        assert!(has(4100, 0, 0), "size without data is zeros");
        assert!(has(4100, 0, 7) && has(4100, 7, 0), "any subset of blocks");
        assert!(has(4096, 7, 7), "data without size is cut");
        assert_eq!(states.len(), 1 + 2 + 4);
    }

    #[test]
    fn an_overwritten_block_may_be_found_in_any_version_it_had() {
        let mut content = Content::new();
        content.write(b"a", 0, ROOM);
        content.sync();
        content.write(b"b", 0, ROOM);
        content.write(b"c", 0, ROOM);
        assert_eq!(all_after_crash(&content), [b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]);
    }

    #[test]
    fn a_cut_is_there_or_not_but_never_half() {
        let mut content = Content::new();
        content.write(&[1; 8192], 0, ROOM);
        content.sync();
        content.set_len(10);
        content.set_len(20);
        let states = all_after_crash(&content);
        let mut grown = vec![1; 10];
        grown.resize(20, 0);
        assert_eq!(states, [vec![1; 10], grown, vec![1; 8192]]);
    }

    #[test]
    fn a_length_that_is_set_is_set_at_once() {
        let mut content = Content::new();
        content.set_len(3 * BLOCK);
        assert_eq!(all_after_crash(&content), [vec![], vec![0; 3 * BLOCK_BYTES]]);
    }

    #[test]
    fn bytes_beyond_a_cut_do_not_come_back() {
        let mut content = Content::new();
        content.write(&[1; 100], 0, ROOM);
        content.sync();
        content.set_len(0);
        content.write(&[2; 50], 50, ROOM);
        for state in all_after_crash(&content) {
            assert!(state == vec![1; 100] || !state.contains(&1), "{state:?}");
        }
    }

    #[test]
    fn a_failed_sync_abandons_its_pages() {
        let mut content = Content::new();
        content.write(b"old", 0, ROOM);
        content.sync();
        content.write(b"new", 0, ROOM);
        content.fail_sync();
        content.sync();
        assert_eq!(bytes(&content), b"new", "the cache still shows it");
        assert_eq!(all_after_crash(&content), [b"new".to_vec(), b"old".to_vec()]);
        content.drop_caches();
        assert_eq!(bytes(&content), b"old", "until the page is evicted");
    }

    #[test]
    fn a_page_written_again_after_a_failed_sync_is_dirty_again() {
        let mut content = Content::new();
        content.write(b"one", 0, ROOM);
        content.fail_sync();
        content.write(b"two", 0, ROOM);
        content.set_len(3);
        content.sync();
        // The length was never written again: it may still be lost.
        assert_eq!(all_after_crash(&content), [b"".to_vec(), b"two".to_vec()]);
    }

    #[test]
    fn blocks_are_charged_once_and_given_back() {
        let mut content = Content::new();
        assert!(content.allocate(8192, 2));
        assert!(!content.allocate(12_288, 0));
        assert_eq!(content.write(&[1; 8192], 0, 0), 8192, "reserved blocks need no room");
        assert_eq!(content.write(&[1; 8192], 8192, 1), 4096, "a full volume stops a write at a block");
        assert_eq!(content.charged(), 3);
        content.set_len(1);
        assert_eq!(content.charged(), 1);
    }

    #[test]
    fn eviction_keeps_the_account_straight() {
        let mut content = Content::new();
        content.write(&[1; 8192], 0, ROOM);
        content.sync();
        content.set_len(0);
        content.fail_sync();
        content.drop_caches();
        assert_eq!(content.charged(), 2, "the cut never reached the platter");
        content.set_len(1);
        content.set_len(0);
        assert_eq!(content.charged(), 0);
    }

    #[test]
    fn many_versions_forget_the_oldest_but_never_a_cut() {
        let mut content = Content::new();
        content.write(&[1; 10], 0, ROOM);
        content.sync();
        content.set_len(0);
        for n in 2..30 {
            content.write(&[n; 10], 0, ROOM);
        }
        for state in all_after_crash(&content) {
            assert!(state == [1; 10] || !state.contains(&1), "{state:?}");
        }
    }
}
