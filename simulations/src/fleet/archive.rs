//! All records of a fleet, each once: sites hold numbers into it.
//!
//! [`Archive`] owns the records as they were signed, [`Shelf`] what one site holds of them. Thousands of sites with
//! thousands of records each fit in memory that way; what travels between them are still the records' bytes.

use std::collections::BTreeMap;

use protocol::broadcast::{Held, Notice, Sheet, Short};
use protocol::identity::{NodeKey, NodeSecret};
use protocol::reconcile::overview::Roots;
use protocol::reconcile::{DayHashes, Item, Items, Root, Span};
use protocol::record::{Draft, HybridTime, Incarnation, Kind, Position, Record, RecordId, RecordKey, ScopeId};
use protocol::trust::{Revocation, Target, Verdict};

/// A record that was written.
#[derive(Debug)]
pub struct Entry {
    record: Record,
    value: Option<Vec<u8>>,
    /// What handing it on needs to know.
    pub notice: Notice,
    /// Whom it revokes.
    pub revokes: Option<NodeKey>,
}

impl Entry {
    /// When it was written, and which it is.
    #[must_use]
    pub fn item(&self) -> Item {
        (self.record.time(), self.record.id())
    }

    /// As it travels.
    #[must_use]
    pub fn sheet(&self) -> Sheet {
        Sheet { record: self.record.as_bytes().to_vec(), value: self.value.clone() }
    }

    /// Its bytes on the wire.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.notice.bytes as u64
    }
}

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Say {
    /// Where.
    pub scope: ScopeId,
    /// What of.
    pub kind: Kind,
    /// Bytes of its value, for kinds whose value nobody reads here.
    pub size: usize,
    /// Whom it revokes, for a revocation.
    pub revokes: Option<NodeKey>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Archive {
    /// Whether what is urgent is told apart.
    urgent: bool,
    entries: Vec<Entry>,
    by_short: BTreeMap<Short, u32>,
}

impl Archive {
    /// Without records.
    #[must_use]
    pub fn new(urgent: bool) -> Self {
        Self { urgent, ..Self::default() }
    }

    /// Signs a record and keeps it; its number.
    ///
    /// # Panics
    /// When it is larger than a record may be: a scenario's mistake.
    pub fn write(&mut self, author: &NodeSecret, time: HybridTime, say: Say) -> u32 {
        let number = self.entries.len();
        let value = match say.revokes {
            Some(node) => protocol::canonical::encode(&Revocation {
                target: Target::Node(node),
                verdict: Verdict::Retired { farewell: None },
            }),
            None => vec![0x5a; say.size],
        };
        let draft = Draft {
            scope: say.scope,
            time,
            kind: say.kind,
            key: RecordKey::hash(blake3::hash(&number.to_le_bytes()).as_bytes()),
            value: Some(&value),
            position: Position { incarnation: Incarnation(1), seq: number as u64 + 1 },
            grant: RecordId([7; 32]),
            actor: "robot$ci",
            prev: vec![RecordId([9; 32])],
        };
        #[expect(clippy::expect_used, reason = "sizes are chosen by scenarios, within the limits")]
        let record = draft.sign(author).expect("a scenario writes within the limits");
        self.add(record, Some(value), say.revokes)
    }

    fn add(&mut self, record: Record, value: Option<Vec<u8>>, revokes: Option<NodeKey>) -> u32 {
        let number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let size = record.as_bytes().len() + value.as_ref().map_or(0, Vec::len) + 6;
        let notice = Notice {
            id: record.id(),
            scope: record.scope(),
            bytes: u32::try_from(size).unwrap_or(u32::MAX),
            urgent: self.urgent && record.body().is_some_and(|body| body.kind.is_urgent()),
        };
        self.by_short.insert(Short::of(&record.id()), number);
        self.entries.push(Entry { record, value, notice, revokes });
        number
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, number: u32) -> &Entry {
        &self.entries[number as usize]
    }

    /// The number of a record.
    #[must_use]
    pub fn number(&self, short: &Short) -> Option<u32> {
        self.by_short.get(short).copied()
    }

    /// How many were written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The records of one scope at a site.
#[derive(Clone, Debug, Default)]
struct Rack {
    /// By time and id.
    order: Vec<u32>,
    days: DayHashes,
    root: Option<Root>,
}

/// What one site holds.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    bits: Vec<u64>,
    racks: BTreeMap<ScopeId, Rack>,
    count: usize,
}

struct Ordered<'a> {
    order: &'a [u32],
    archive: &'a Archive,
}

impl Items for Ordered<'_> {
    fn count(&self) -> u64 {
        self.order.len() as u64
    }

    fn within(&self, span: &Span) -> Box<dyn DoubleEndedIterator<Item = Item> + '_> {
        use protocol::reconcile::Edge;
        let item = |number: &u32| self.archive.get(*number).item();
        let below = |edge: Edge| self.order.partition_point(|number| Edge::from(item(number)) < edge);
        Box::new(self.order[below(span.low())..below(span.high())].iter().map(item))
    }
}

impl Shelf {
    /// Takes a record in; whether it was new.
    pub fn insert(&mut self, number: u32, archive: &Archive) -> bool {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if self.bits[word] & bit != 0 {
            return false;
        }
        self.bits[word] |= bit;
        self.count += 1;
        let entry = archive.get(number);
        let rack = self.racks.entry(entry.notice.scope).or_default();
        let item = entry.item();
        let at = rack.order.partition_point(|other| archive.get(*other).item() < item);
        rack.order.insert(at, number);
        rack.days.added(&item);
        rack.root = None;
        true
    }

    /// Whether it is here.
    #[must_use]
    pub fn has(&self, number: u32) -> bool {
        self.bits.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// How many records are here.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The scopes there are records of and which `may` allows, with their roots.
    pub fn roots(&mut self, archive: &Archive, may: impl Fn(&ScopeId) -> bool) -> Roots {
        let mut roots = Roots::new();
        for (scope, rack) in self.racks.iter_mut().filter(|(scope, _)| may(scope)) {
            let Rack { order, days, root } = rack;
            let root = *root.get_or_insert_with(|| days.root(&Ordered { order, archive }));
            roots.insert(*scope, root);
        }
        roots
    }

    /// The items of a scope, as they are now.
    #[must_use]
    pub fn items(&self, scope: &ScopeId, archive: &Archive) -> Vec<Item> {
        let order = self.racks.get(scope).map(|rack| rack.order.as_slice()).unwrap_or_default();
        order.iter().map(|number| archive.get(*number).item()).collect()
    }
}

/// The records of a site as the broadcast asks for them.
#[derive(Debug)]
pub struct On<'a> {
    /// Whose.
    pub shelf: &'a Shelf,
    /// All there are.
    pub archive: &'a Archive,
}

impl Held for On<'_> {
    fn find(&self, short: &Short) -> Option<Notice> {
        let number = self.archive.number(short)?;
        self.shelf.has(number).then(|| self.archive.get(number).notice)
    }
}
