//! Which of many scopes differ, before any of them is reconciled.
//!
//! Two sites that agree on everything find out with one hash over the roots of all scopes both may hold, however many
//! there are. Else they find the scopes: at once when there are few, by buckets when there are many. Only those go through
//! a [`Session`](super::Session). Both sides list what they hold *and the other may*: so neither learns the name of a
//! scope it has no right to, and one that only one of them holds shows. Pure functions; no state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MAX_MESSAGE, MAX_SCOPES, Nonce, NotAMessage, Root};
use crate::canonical;
use crate::record::ScopeId;

/// Up to so many scopes are listed without asking for buckets first.
const FEW: usize = 64;

const BUCKETS: usize = 64;

/// Most scopes listed in one answer; when more differ, the rest is found the next time.
const MAX_LISTED: usize = 1024;

/// The scopes this site holds and the other may, with their roots.
pub type Roots = BTreeMap<ScopeId, Root>;

/// Eight bytes of a keyed hash: enough within one exchange, under a key the other side can't choose beforehand.
type Tag = [u8; 8];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Part {
    /// All scopes as one hash.
    All { nonce: [u8; 16], hash: [u8; 32] },
    /// The same here.
    Equal,
    /// Not the same: the hash of each bucket.
    Buckets(Vec<Tag>),
    /// List the scopes of these buckets.
    List { nonce: [u8; 16], buckets: u64 },
    /// The scopes asked for, ascending, each with a tag of its root.
    Scopes { buckets: u64, scopes: Vec<(ScopeId, Tag)> },
}

/// What the asking side does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this and wait for the answer.
    Ask(Vec<u8>),
    /// These scopes differ, in the order of their ids; none: all is equal.
    Differ(Vec<ScopeId>),
}

fn tag(nonce: [u8; 16], root: &Root) -> Tag {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&nonce);
    let mut tag = Tag::default();
    tag.copy_from_slice(&blake3::keyed_hash(&key, &root.0).as_bytes()[..8]);
    tag
}

/// Ids of scopes are hashes: any bits of them are as good.
fn bucket(scope: &ScopeId) -> usize {
    usize::from(scope.0[0]) % BUCKETS
}

fn hash<'a>(roots: impl Iterator<Item = (&'a ScopeId, &'a Root)>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("portolan reconcile overview 1");
    for (scope, root) in roots {
        hasher.update(&scope.0);
        hasher.update(&root.0);
    }
    *hasher.finalize().as_bytes()
}

fn buckets(nonce: [u8; 16], roots: &Roots) -> Vec<Tag> {
    let of = |number| hash(roots.iter().filter(|(scope, _)| bucket(scope) == number));
    (0..BUCKETS).map(|number| tag(nonce, &Root(of(number)))).collect()
}

fn decode(bytes: &[u8]) -> Result<Part, NotAMessage> {
    if bytes.len() > MAX_MESSAGE {
        return Err(NotAMessage);
    }
    canonical::decode(bytes).map_err(|_| NotAMessage)
}

/// The first message. The nonce must be random.
#[must_use]
pub fn ask(roots: &Roots, nonce: Nonce) -> Vec<u8> {
    canonical::encode(&Part::All { nonce: nonce.0, hash: hash(roots.iter()) })
}

/// Answers a message of the asking side.
///
/// # Errors
/// [`NotAMessage`], also for one that only the answering side sends.
pub fn answer(message: &[u8], roots: &Roots) -> Result<Vec<u8>, NotAMessage> {
    let part = match decode(message)? {
        Part::All { hash: theirs, .. } if theirs == hash(roots.iter()) => Part::Equal,
        Part::All { nonce, .. } if roots.len() <= FEW => scopes(nonce, u64::MAX, roots),
        Part::All { nonce, .. } => Part::Buckets(buckets(nonce, roots)),
        Part::List { nonce, buckets } => scopes(nonce, buckets, roots),
        Part::Equal | Part::Buckets(_) | Part::Scopes { .. } => return Err(NotAMessage),
    };
    Ok(canonical::encode(&part))
}

fn scopes(nonce: [u8; 16], mut buckets: u64, roots: &Roots) -> Part {
    let asked = |buckets: u64, scope: &ScopeId| buckets >> bucket(scope) & 1 == 1;
    // Whole buckets as far as they fit: what is not listed in a bucket that is, is not held.
    while buckets.count_ones() > 1 && roots.keys().filter(|scope| asked(buckets, scope)).count() > MAX_LISTED {
        buckets &= buckets - 1;
    }
    let listed = roots.iter().filter(|(scope, _)| asked(buckets, scope));
    let scopes = listed.take(MAX_LISTED).map(|(scope, root)| (*scope, tag(nonce, root))).collect();
    Part::Scopes { buckets, scopes }
}

/// Takes an answer. `nonce` and `roots` are those of [`ask`].
///
/// # Errors
/// [`NotAMessage`], also for one that only the asking side sends, or that contradicts itself.
pub fn conclude(message: &[u8], roots: &Roots, nonce: Nonce) -> Result<Step, NotAMessage> {
    match decode(message)? {
        Part::Equal => Ok(Step::Differ(Vec::new())),
        Part::Buckets(theirs) if theirs.len() == BUCKETS => {
            let own = buckets(nonce.0, roots);
            let unequal = (0..BUCKETS).filter(|&number| own.get(number) != theirs.get(number));
            let buckets = unequal.fold(0, |buckets: u64, number| buckets | 1 << number);
            // Equal buckets under unequal hashes: they changed meanwhile, or tags collided. The next time.
            if buckets == 0 {
                return Ok(Step::Differ(Vec::new()));
            }
            Ok(Step::Ask(canonical::encode(&Part::List { nonce: nonce.0, buckets })))
        }
        Part::Scopes { buckets, scopes }
            if scopes.len() <= MAX_LISTED.min(MAX_SCOPES) && scopes.is_sorted_by(|a, b| a.0 < b.0) =>
        {
            let theirs: BTreeMap<ScopeId, Tag> = scopes.into_iter().collect();
            let own = roots.iter().filter(|(scope, _)| buckets >> bucket(scope) & 1 == 1);
            let unequal = own.filter(|(scope, root)| theirs.get(*scope) != Some(&tag(nonce.0, root)));
            let mut differ: Vec<ScopeId> = unequal.map(|(scope, _)| *scope).collect();
            differ.extend(theirs.keys().filter(|scope| !roots.contains_key(*scope)));
            differ.sort_unstable();
            Ok(Step::Differ(differ))
        }
        Part::All { .. } | Part::List { .. } | Part::Buckets(_) | Part::Scopes { .. } => Err(NotAMessage),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(number: u32) -> ScopeId {
        ScopeId(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn roots(of: impl Iterator<Item = (u32, u8)>) -> Roots {
        of.map(|(number, root)| (scope(number), Root([root; 32]))).collect()
    }

    /// The scopes found to differ, the bytes both ways and the round trips.
    fn meet(left: &Roots, right: &Roots) -> (Vec<ScopeId>, usize, usize) {
        let nonce = Nonce([7; 16]);
        let (mut message, mut bytes, mut trips) = (ask(left, nonce), 0, 0);
        loop {
            let reply = answer(&message, right).unwrap();
            bytes += message.len() + reply.len();
            trips += 1;
            match conclude(&reply, left, nonce).unwrap() {
                Step::Ask(next) => message = next,
                Step::Differ(scopes) => return (scopes, bytes, trips),
            }
        }
    }

    #[test]
    fn what_is_equal_costs_one_hash_however_many_scopes() {
        for count in [1, 50, 5000] {
            let all = roots((0..count).map(|number| (number, 1)));
            let (differ, bytes, trips) = meet(&all, &all);
            assert_eq!((differ.len(), trips), (0, 1));
            assert!(bytes <= 64, "{bytes}");
        }
    }

    #[test]
    fn one_of_ten_thousand_is_found_in_two_round_trips() {
        let left = roots((0..10_000).map(|number| (number, 1)));
        let right = roots((0..10_000).map(|number| (number, 1 + u8::from(number == 77))));
        let (differ, bytes, trips) = meet(&left, &right);
        assert_eq!((differ, trips), (vec![scope(77)], 2));
        assert!(bytes <= 9000, "{bytes}");
    }

    #[test]
    fn more_than_fit_are_found_in_turns() {
        let left = roots((0..5000).map(|number| (number, 1)));
        let mut right = roots((0..5000).map(|number| (number, 2)));
        let mut rounds = 0;
        while left != right {
            let (differ, ..) = meet(&left, &right);
            assert!(!differ.is_empty());
            for scope in differ {
                right.insert(scope, left[&scope]);
            }
            rounds += 1;
        }
        assert!(rounds <= 6, "{rounds}");
    }

    proptest! {
        #[test]
        fn exactly_what_differs_is_found(left in proptest::collection::btree_map(0u32..300, 0u8..3, 0..200),
                                         right in proptest::collection::btree_map(0u32..300, 0u8..3, 0..200)) {
            let (left, right) = (roots(left.into_iter()), roots(right.into_iter()));
            let all: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
            let unequal: Vec<ScopeId> = all.into_iter().filter(|s| left.get(s) != right.get(s)).copied().collect();
            prop_assert_eq!(meet(&left, &right).0, unequal);
        }

        #[test]
        fn no_bytes_upset_either_side(bytes: Vec<u8>) {
            let all = roots((0..100).map(|number| (number, 1)));
            let _ = answer(&bytes, &all);
            let _ = conclude(&bytes, &all, Nonce([1; 16]));
        }
    }
}
