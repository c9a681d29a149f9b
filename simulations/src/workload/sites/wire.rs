//! What sites send each other: an opening that names whom one speaks to, then numbered parts of one exchange.

use std::collections::BTreeMap;

use protocol::canonical;
use protocol::record::{Held, Incarnation, Malformed, Parcel, Position, Record, ScopeId};
use serde::{Deserialize, Serialize};

/// A record with its value, as it travels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sheet {
    pub(super) record: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

/// What a site says of itself when it meets another: its present life, its projects, and all its grants with those they rest
/// on: which of them counts for the other, it can't know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Card {
    pub(super) life: Incarnation,
    pub(super) scopes: Vec<ScopeId>,
    pub(super) chain: Vec<Sheet>,
}

/// A piece of an exchange.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Part {
    /// The greatest place held of the receiver's life.
    Yours(Option<Position>),
    /// For the session.
    Message(Vec<u8>),
    /// Records.
    Records(Vec<Sheet>),
}

/// A message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Wire {
    /// Opens an exchange.
    Hello { exchange: u64, card: Card },
    /// Takes it up.
    Welcome { exchange: u64, card: Card, yours: Option<Position> },
    /// Won't: the connection is closed.
    Refused { exchange: u64 },
    /// Goes on, in the order of `n`, each side counting its own.
    Parts { exchange: u64, n: u32, parts: Vec<Part> },
}

impl Wire {
    pub(super) fn encode(&self) -> Vec<u8> {
        canonical::encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        canonical::decode(bytes).ok()
    }
}

impl Sheet {
    pub(super) fn of(held: &Held) -> Self {
        Self { record: held.record.as_bytes().to_vec(), value: held.value.as_deref().map(<[u8]>::to_vec) }
    }
}

/// Records whose signature was checked, by the hash of their bytes: all sites of a world check alike, so once is enough.
#[derive(Debug, Default)]
pub(super) struct Checked(BTreeMap<[u8; 32], Record>);

impl Checked {
    /// What a receiver makes of a sheet.
    pub(super) fn open(&mut self, sheet: &Sheet) -> Result<Record, Malformed> {
        let hash = *blake3::hash(&sheet.record).as_bytes();
        let record = match self.0.get(&hash) {
            Some(record) => record.clone(),
            None => Parcel::parse(sheet.record.clone())?.open()?,
        };
        record.check_value(sheet.value.as_deref())?;
        self.0.insert(hash, record.clone());
        Ok(record)
    }
}
