//! The content root: the BLAKE3 hash of a blob, and the tree over it that lets a piece be verified alone.
//!
//! The tree is cut at groups of 64 KiB ([`GROUP`]): 0.1 % of the blob's size, verifiable as soon as one group is here.
//! [`TreeHasher`] builds it in one pass over bytes of unknown length, with memory that grows by one hash for each
//! doubling, and emits parent nodes in post-order, so the file beside the blob is written front to back while the blob
//! arrives. Layout: for each inner node its left and right chaining value (2 × 32 bytes), children before parents:
//! the post-order outboard of the `bao-tree` crate at block size 2^6 chunks, which a test compares.

use std::fmt;

use blake3::hazmat::{self, ChainingValue, HasherExt, Mode};
use serde::{Deserialize, Serialize};

/// Bytes a leaf of the tree covers.
pub const GROUP: usize = 64 * 1024;

/// Bytes of one inner node: the chaining values of its two children.
pub const NODE: usize = 64;

/// The BLAKE3 hash of a whole blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContentRoot(pub [u8; 32]);

impl fmt::Display for ContentRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for ContentRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The root of bytes that are in memory already.
#[must_use]
pub fn root_of(bytes: &[u8]) -> ContentRoot {
    ContentRoot(*blake3::hash(bytes).as_bytes())
}

/// Number of bytes the tree of a blob of `size` bytes takes: none up to one group.
#[must_use]
pub const fn outboard_len(size: u64) -> u64 {
    let groups = size.div_ceil(GROUP as u64);
    if groups < 2 { 0 } else { (groups - 1) * NODE as u64 }
}

/// What is needed to go on with a tree after a restart, at a boundary between groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeState {
    /// Whole groups taken in.
    pub groups: u64,
    /// Roots of the complete subtrees over them, largest first, not yet merged.
    pub stack: Vec<[u8; 32]>,
}

impl TreeState {
    /// Bytes of the blob this state stands for.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.groups * GROUP as u64
    }

    /// Bytes of the outboard written so far.
    #[must_use]
    pub fn outboard_len(&self) -> u64 {
        (self.groups - self.stack.len() as u64) * NODE as u64
    }
}

/// Builds the tree over bytes that arrive in order.
#[derive(Clone)]
pub struct TreeHasher {
    state: TreeState,
    // The group being filled; kept whole until a byte follows it, because the last group of a one-group blob is the
    // root and hashes differently.
    group: Vec<u8>,
}

impl Default for TreeHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl TreeHasher {
    /// A tree over nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::restore(TreeState { groups: 0, stack: Vec::new() })
    }

    /// Goes on from `state`; the next byte taken in must be the one at [`TreeState::offset`].
    #[must_use]
    pub fn restore(state: TreeState) -> Self {
        Self { state, group: Vec::new() }
    }

    /// The state at the last boundary between groups. Bytes after it must be taken in again.
    #[must_use]
    pub fn save(&self) -> TreeState {
        self.state.clone()
    }

    /// Takes in the next bytes; appends finished nodes to `outboard`.
    pub fn update(&mut self, mut bytes: &[u8], outboard: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.group.is_empty() && bytes.len() > GROUP {
                // The common case for large writes: hash in place, no copy.
                self.push_group(&bytes[..GROUP], outboard);
                bytes = &bytes[GROUP..];
                continue;
            }
            if self.group.len() == GROUP {
                let full = std::mem::take(&mut self.group);
                self.push_group(&full, outboard);
                self.group = full;
                self.group.clear();
                continue;
            }
            let take = bytes.len().min(GROUP - self.group.len());
            self.group.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
        }
    }

    fn push_group(&mut self, group: &[u8], outboard: &mut Vec<u8>) {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(self.state.offset());
        hasher.update(group);
        let mut value: ChainingValue = hasher.finalize_non_root();
        self.state.groups += 1;
        // As many merges as the new count of groups has trailing zero bits; never the root, since more bytes follow.
        for _ in 0..self.state.groups.trailing_zeros() {
            let Some(left) = self.state.stack.pop() else { break };
            outboard.extend_from_slice(&left);
            outboard.extend_from_slice(&value);
            value = hazmat::merge_subtrees_non_root(&left, &value, Mode::Hash);
        }
        self.state.stack.push(value);
    }

    /// Ends the blob: appends the remaining nodes and returns the root.
    #[must_use]
    pub fn finish(mut self, outboard: &mut Vec<u8>) -> ContentRoot {
        if self.state.groups == 0 {
            return ContentRoot(*blake3::hash(&self.group).as_bytes());
        }
        // A restored tree may end exactly at a boundary: then the last group is already on the stack.
        let mut value = if self.group.is_empty() {
            self.state.stack.pop().unwrap_or_default()
        } else {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(self.state.offset());
            hasher.update(&self.group);
            hasher.finalize_non_root()
        };
        while let Some(left) = self.state.stack.pop() {
            outboard.extend_from_slice(&left);
            outboard.extend_from_slice(&value);
            if self.state.stack.is_empty() {
                return ContentRoot(*hazmat::merge_subtrees_root(&left, &value, Mode::Hash).as_bytes());
            }
            value = hazmat::merge_subtrees_non_root(&left, &value, Mode::Hash);
        }
        ContentRoot(value)
    }
}

impl fmt::Debug for TreeHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHasher({} groups and {} bytes)", self.state.groups, self.group.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
    }

    fn tree_of(bytes: &[u8], step: usize) -> (ContentRoot, Vec<u8>) {
        let mut tree = TreeHasher::new();
        let mut outboard = Vec::new();
        for piece in bytes.chunks(step.max(1)) {
            tree.update(piece, &mut outboard);
        }
        let root = tree.finish(&mut outboard);
        (root, outboard)
    }

    #[test]
    fn the_root_is_blake3_and_the_outboard_is_as_long_as_said() {
        for len in [0, 1, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP, 3 * GROUP, 5 * GROUP + 7, 8 * GROUP] {
            let bytes = content(len);
            let (root, outboard) = tree_of(&bytes, 10_000);
            assert_eq!(root.0, *blake3::hash(&bytes).as_bytes(), "{len}");
            assert_eq!(outboard.len() as u64, outboard_len(len as u64), "{len}");
        }
    }

    #[test]
    fn it_is_the_post_order_outboard_of_bao() {
        use bao_tree::{BlockSize, io::outboard::PostOrderMemOutboard};
        for len in [GROUP + 1, 3 * GROUP, 6 * GROUP + 5, 16 * GROUP] {
            let bytes = content(len);
            let theirs = PostOrderMemOutboard::create(&bytes, BlockSize::from_chunk_log(6));
            let (root, outboard) = tree_of(&bytes, 1 << 20);
            assert_eq!(root.0, *theirs.root.as_bytes());
            assert_eq!(outboard, theirs.data, "{len}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_restart_at_any_byte_changes_nothing(len in 0usize..6 * GROUP, cut in 0usize..6 * GROUP, step in 1usize..200_000) {
            let bytes = content(len);
            let cut = cut.min(len);
            let mut outboard = Vec::new();
            let mut first = TreeHasher::new();
            for piece in bytes[..cut].chunks(step) { first.update(piece, &mut outboard); }
            let state = first.save();
            outboard.truncate(state.outboard_len() as usize);
            let mut second = TreeHasher::restore(state.clone());
            second.update(&bytes[state.offset() as usize..], &mut outboard);
            let root = second.finish(&mut outboard);
            prop_assert_eq!((root, outboard), tree_of(&bytes, step));
        }
    }
}
