//! What two sites say to each other about a scope.
//!
//! [`Message::decode`] takes any bytes; what it accepts is what [`Message::encode`] would have written, byte by byte.
//! Whether a message makes sense where it comes is for the run and the session. No state here.

use super::days::Root;
use super::items::{Edge, Item, Span};
use super::wire::{Reader, put_edge, put_item, put_number};
use super::{MAX_LIST, MAX_MESSAGE, MAX_WAITING};
use crate::record::ScopeId;

/// What one side brings to the key of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; 16]);

/// The items of a range, summed under the key of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum(pub [u8; 8]);

/// An item, named under the key of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Short(pub [u8; 6]);

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Begins a run.
    Open(Open),
    /// My root is the same: the run is over.
    Equal,
    /// You may not see this scope, or there is none.
    NotYours,
    /// My root is another. When the other side has nothing waiting, a turn follows.
    Unequal {
        /// For the key.
        nonce: Nonce,
        /// What this side holds outside its set, ascending: the run is not about it.
        waiting: Vec<Item>,
    },
    /// The same, of the side that opened, which said that it would; its turn follows.
    Waiting(Vec<Item>),
    /// A part of a turn.
    Turn(Turn),
    /// All records that were announced or asked for are sent.
    Sent,
}

/// Begins a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Over this scope.
    pub scope: ScopeId,
    /// The hash of the sender's set.
    pub root: Root,
    /// For the key.
    pub nonce: Nonce,
    /// How many items the sender has.
    pub count: u64,
    /// Whether it will name waiting ids.
    pub waiting: bool,
}

/// A part of a turn: what one side says before it listens again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whether the turn goes on with another message.
    pub goes_on: bool,
    /// At the end of a turn: whether the sender has unequal ranges left for its next one.
    pub open: bool,
    /// Ranges, ascending and apart from each other.
    pub entries: Vec<Entry>,
}

/// What is said of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The range.
    pub span: Span,
    /// What is said.
    pub what: What,
}

/// What is said of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// My items sum up to this. Silence means that yours do too.
    Sum(Sum),
    /// These are all I have. An answer follows.
    List(Vec<Short>),
    /// The answer to a list.
    Answer {
        /// Which of the list I lack: a bit each, the lowest bit first, without empty bytes at the end.
        want: Vec<u8>,
        /// How many that you lack I shall send.
        coming: u64,
    },
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of reconciliation")]
pub struct NotAMessage;

const OPEN: u8 = 1;
const EQUAL: u8 = 2;
const NOT_YOURS: u8 = 3;
const UNEQUAL: u8 = 4;
const WAITING: u8 = 5;
const TURN: u8 = 6;
const SENT: u8 = 7;

const SUM: u8 = 0;
const LIST: u8 = 1;
const ANSWER: u8 = 2;
/// Set with one of these: the range begins elsewhere than where the one before it ended.
const APART: u8 = 4;

impl Message {
    /// The one encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Open(open) => {
                bytes.push(OPEN);
                for part in [open.scope.0.as_slice(), &open.root.0, &open.nonce.0, &[u8::from(open.waiting)]] {
                    bytes.extend_from_slice(part);
                }
                put_number(&mut bytes, open.count);
            }
            Self::Equal => bytes.push(EQUAL),
            Self::NotYours => bytes.push(NOT_YOURS),
            Self::Unequal { nonce, waiting } => {
                bytes.push(UNEQUAL);
                bytes.extend_from_slice(&nonce.0);
                waiting.iter().for_each(|item| put_item(&mut bytes, item));
            }
            Self::Waiting(waiting) => {
                bytes.push(WAITING);
                waiting.iter().for_each(|item| put_item(&mut bytes, item));
            }
            Self::Turn(turn) => {
                bytes.push(TURN);
                bytes.push(u8::from(turn.goes_on) << 1 | u8::from(turn.open));
                let mut base = Edge::START;
                for entry in &turn.entries {
                    entry.put(&mut bytes, base);
                    base = entry.span.high();
                }
            }
            Self::Sent => bytes.push(SENT),
        }
        bytes
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`NotAMessage`] when these are not the bytes of one.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAMessage> {
        if bytes.len() > MAX_MESSAGE {
            return Err(NotAMessage);
        }
        let mut reader = Reader(bytes);
        Self::read(&mut reader).filter(|_| reader.0.is_empty()).ok_or(NotAMessage)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(match reader.byte()? {
            OPEN => Self::Open(Open {
                scope: ScopeId(reader.array()?),
                root: Root(reader.array()?),
                nonce: Nonce(reader.array()?),
                waiting: match reader.byte()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                },
                count: reader.number()?,
            }),
            EQUAL => Self::Equal,
            NOT_YOURS => Self::NotYours,
            UNEQUAL => Self::Unequal { nonce: Nonce(reader.array()?), waiting: read_waiting(reader)? },
            WAITING => Self::Waiting(read_waiting(reader)?),
            TURN => {
                let flags = reader.byte()?;
                // What goes on has not left anything for later yet.
                if flags > 2 {
                    return None;
                }
                let (mut entries, mut base) = (Vec::new(), Edge::START);
                while !reader.0.is_empty() {
                    let entry = Entry::read(reader, base)?;
                    base = entry.span.high();
                    entries.push(entry);
                }
                Self::Turn(Turn { goes_on: flags == 2, open: flags == 1, entries })
            }
            SENT => Self::Sent,
            _ => return None,
        })
    }
}

fn read_waiting(reader: &mut Reader<'_>) -> Option<Vec<Item>> {
    let mut waiting = Vec::new();
    while !reader.0.is_empty() {
        let item = reader.item()?;
        if waiting.len() == MAX_WAITING || waiting.last().is_some_and(|last| *last >= item) {
            return None;
        }
        waiting.push(item);
    }
    Some(waiting)
}

impl Entry {
    fn put(&self, to: &mut Vec<u8>, base: Edge) {
        let apart = if self.span.low() == base { 0 } else { APART };
        to.push(apart | self.what.tag());
        if apart != 0 {
            put_edge(to, base, self.span.low());
        }
        put_edge(to, self.span.low(), self.span.high());
        match &self.what {
            What::Sum(sum) => to.extend_from_slice(&sum.0),
            What::List(list) => {
                put_number(to, list.len() as u64);
                list.iter().for_each(|short| to.extend_from_slice(&short.0));
            }
            What::Answer { want, coming } => {
                put_number(to, want.len() as u64);
                to.extend_from_slice(want);
                put_number(to, *coming);
            }
        }
    }

    fn read(reader: &mut Reader<'_>, base: Edge) -> Option<Self> {
        let tag = reader.byte()?;
        let low = if tag & APART == 0 { base } else { reader.edge(base).filter(|low| *low > base)? };
        let span = Span::new(low, reader.edge(low)?)?;
        let what = match tag & !APART {
            SUM => What::Sum(Sum(reader.array()?)),
            LIST => {
                let count = usize::try_from(reader.number()?).ok().filter(|count| *count <= MAX_LIST)?;
                What::List((0..count).map(|_| reader.array().map(Short)).collect::<Option<_>>()?)
            }
            ANSWER => {
                let count = usize::try_from(reader.number()?).ok().filter(|count| *count <= MAX_LIST / 8)?;
                let want: Vec<u8> = (0..count).map(|_| reader.byte()).collect::<Option<_>>()?;
                if want.last() == Some(&0) {
                    return None;
                }
                What::Answer { want, coming: reader.number()? }
            }
            _ => return None,
        };
        Some(Self { span, what })
    }

    /// No fewer bytes than it takes, wherever it stands.
    pub(super) fn most_bytes(&self) -> usize {
        let edge = |edge: Edge| match edge {
            Edge::At(_, id) if id.0 == [0; 32] => 11,
            Edge::At(..) => 43,
            Edge::End => 1,
        };
        let what = match &self.what {
            What::Sum(sum) => sum.0.len(),
            What::List(list) => 2 + list.len() * 6,
            What::Answer { want, .. } => 11 + want.len(),
        };
        1 + edge(self.span.low()) + edge(self.span.high()) + what
    }
}

impl What {
    const fn tag(&self) -> u8 {
        match self {
            Self::Sum(_) => SUM,
            Self::List(_) => LIST,
            Self::Answer { .. } => ANSWER,
        }
    }

    /// Whether the other side must say something in return, be it silence.
    pub(super) const fn is_question(&self) -> bool {
        match self {
            Self::Sum(_) | Self::List(_) => true,
            Self::Answer { .. } => false,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{HybridTime, RecordId};

    fn item() -> impl Strategy<Value = Item> {
        (any::<u64>(), any::<[u8; 32]>()).prop_map(|(time, id)| (HybridTime(time), RecordId(id)))
    }

    fn waiting() -> impl Strategy<Value = Vec<Item>> {
        prop::collection::btree_set(item(), 0..5).prop_map(|set| set.into_iter().collect())
    }

    fn what() -> impl Strategy<Value = What> {
        prop_oneof![
            any::<[u8; 8]>().prop_map(|sum| What::Sum(Sum(sum))),
            prop::collection::vec(any::<[u8; 6]>().prop_map(Short), 0..9).prop_map(What::List),
            (prop::collection::vec(1..=255_u8, 0..9), any::<u64>())
                .prop_map(|(want, coming)| What::Answer { want, coming }),
        ]
    }

    fn turn() -> impl Strategy<Value = Turn> {
        let entries = prop::collection::btree_map((any::<u16>(), 0..40_u32), (what(), any::<bool>()), 0..9);
        (0..3_u8, entries).prop_map(|(flags, entries)| {
            let edges: Vec<_> =
                entries.into_iter().map(|((time, shift), rest)| (u64::from(time) << shift, rest)).collect();
            let (mut low, mut list) = (Edge::START, Vec::new());
            for (time, (what, apart)) in edges {
                let high = Edge::At(HybridTime(time), RecordId([u8::from(time % 2 == 0); 32]));
                if let Some(span) = Span::new(low, high) {
                    if !apart {
                        list.push(Entry { span, what });
                    }
                    low = high;
                }
            }
            Turn { goes_on: flags == 2, open: flags == 1, entries: list }
        })
    }

    pub(in super::super) fn message() -> impl Strategy<Value = Message> {
        let open = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 16]>(), any::<u64>(), any::<bool>()).prop_map(
            |(scope, root, nonce, count, waiting)| {
                Message::Open(Open { scope: ScopeId(scope), root: Root(root), nonce: Nonce(nonce), count, waiting })
            },
        );
        prop_oneof![
            open,
            prop_oneof![Just(Message::Equal), Just(Message::NotYours), Just(Message::Sent)],
            (any::<[u8; 16]>(), waiting())
                .prop_map(|(nonce, waiting)| Message::Unequal { nonce: Nonce(nonce), waiting }),
            waiting().prop_map(Message::Waiting),
            turn().prop_map(Message::Turn),
        ]
    }

    proptest! {
        #[test]
        fn messages_come_back(message in message()) {
            let bytes = message.encode();
            prop_assert_eq!(Message::decode(&bytes), Ok(message.clone()));
            if let Message::Turn(turn) = message {
                let most: usize = turn.entries.iter().map(Entry::most_bytes).sum();
                prop_assert!(bytes.len() <= 2 + most);
            }
        }

        #[test]
        fn a_message_has_one_encoding(message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = message.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }

        #[test]
        fn any_bytes_are_a_message_or_not(tag in 0..8_u8, rest in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut bytes = vec![tag];
            bytes.extend(rest);
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }

    #[test]
    fn what_exceeds_a_limit_is_refused() {
        let mut long = Message::Waiting(Vec::new()).encode();
        let item = |n: usize| (HybridTime(n as u64), RecordId([0; 32]));
        (0..MAX_WAITING).for_each(|n| put_item(&mut long, &item(n)));
        assert!(Message::decode(&long).is_ok());
        put_item(&mut long, &item(MAX_WAITING));
        assert!(Message::decode(&long).is_err());
        let list = |count| {
            let what = What::List(vec![Short([0; 6]); count]);
            Message::Turn(Turn { goes_on: false, open: false, entries: vec![Entry { span: Span::ALL, what }] }).encode()
        };
        assert!(Message::decode(&list(MAX_LIST)).is_ok());
        assert!(Message::decode(&list(MAX_LIST + 1)).is_err());
        assert!(Message::decode(&vec![TURN; MAX_MESSAGE + 1]).is_err());
    }
}
