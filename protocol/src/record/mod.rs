//! Records: what a site says, signed, for every other to judge.
//!
//! A record is a signed header; its value travels beside it and is named by hash, so that it can be dropped later
//! without the header losing anything. Two layers:
//!
//! - The **envelope** is the same in every format for ever: format, scope, time, author, value, and a body of bytes. With
//!   it a site can check, store, reconcile and hand on what it can't interpret.
//! - The **body** of format 1 says kind, key, position among the author's records, grant, actor, and the versions of the
//!   key it follows.
//!
//! [`Record`] exists only when bytes, limits, hash and signature hold: [`Parcel::open`] or [`open_all`] make one from
//! what a peer sent, [`Draft::sign`] from what this node says, [`Record::stored`] from what this node checked before.
//! Whether it *counts* is another question, answered at read from all records (`view`). No state here.

pub mod governed;
mod id;
mod kind;
mod set;
mod time;
pub mod value;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::identity::{NodeKey, NodeSecret, Signature, verify, verify_batch};

pub use id::{Incarnation, MeshId, NotARecordId, Position, RecordId, ScopeId, ValueHash};
pub use kind::{Action, Kind, MAX_KEY, RecordKey};
pub use set::{Held, RecordSet, Records};
pub use time::{HybridClock, HybridTime, MOST_AHEAD, RaiseBound, Timeliness};

/// The format this version writes and interprets.
pub const FORMAT: u16 = 1;

/// Most bytes of a value.
pub const MAX_VALUE: usize = 64 * 1024;

/// Most bytes of a body: a full key, an actor and 64 predecessors.
pub const MAX_BODY: usize = 4 * 1024;

/// Most versions a record names as its predecessors; more are merged in steps.
pub const MAX_PREV: usize = 64;

/// Most bytes of an actor's name.
pub const MAX_ACTOR: usize = 255;

/// Bytes of a signature, the last of a record.
const SIGNATURE: usize = 64;

/// What every format says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Envelope {
    format: u16,
    scope: ScopeId,
    time: HybridTime,
    author: NodeKey,
    value: Option<ValueRef>,
    body: Vec<u8>,
}

/// A value, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueRef {
    /// Its hash.
    pub hash: ValueHash,
    /// Its length in bytes.
    pub len: u32,
}

/// What format 1 says beyond the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// What kind of thing it speaks about.
    pub kind: Kind,
    /// Which one.
    pub key: RecordKey,
    /// Its place among the author's records.
    pub position: Position,
    /// The grant under which the author wrote it; [`RecordId::NONE`] for the root.
    pub grant: RecordId,
    /// The person or robot behind it, for the audit.
    pub actor: String,
    /// All heads of the key the author saw, ascending, at most [`MAX_PREV`].
    pub prev: Vec<RecordId>,
}

/// A record that was checked: canonical, within limits, signed by its author. Cheap to clone.
#[derive(Clone)]
pub struct Record(Arc<Checked>);

struct Checked {
    id: RecordId,
    envelope: Envelope,
    body: Option<Body>,
    bytes: Vec<u8>,
}

/// Why bytes are no record. It is always the sender's fault: what it checked can't fail here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not the one encoding of anything.
    #[error("the record is not canonically encoded")]
    Encoding,
    /// A part is larger than allowed.
    #[error("the {0} of the record is too large")]
    TooLarge(&'static str),
    /// `prev` is not ascending, or names the record's own grant of nothing.
    #[error("the predecessors of the record are not in ascending order")]
    Order,
    /// Counted from 1.
    #[error("the record has no place among its author's records")]
    Position,
    /// The signature is not the author's.
    #[error("the signature of the record does not hold")]
    Signature,
    /// The value is not the one the header names.
    #[error("the value is not the one the record names")]
    Value,
}

/// Bytes said to be a record, their encoding and limits checked, their signature not yet.
#[derive(Clone, Debug)]
pub struct Parcel {
    record: Record,
    signature: Signature,
}

/// A record about to be written.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Where.
    pub scope: ScopeId,
    /// When.
    pub time: HybridTime,
    /// What of.
    pub kind: Kind,
    /// Which.
    pub key: RecordKey,
    /// What is said; `None` deletes.
    pub value: Option<&'a [u8]>,
    /// The author's next place.
    pub position: Position,
    /// Under which grant.
    pub grant: RecordId,
    /// Who is behind it.
    pub actor: &'a str,
    /// The heads it follows, in any order.
    pub prev: Vec<RecordId>,
}

impl Draft<'_> {
    /// Signs it.
    ///
    /// # Errors
    /// [`Malformed`] when it exceeds a limit: nothing is signed that others would refuse.
    pub fn sign(mut self, secret: &NodeSecret) -> Result<Record, Malformed> {
        self.prev.sort_unstable();
        self.prev.dedup();
        if self.value.is_some_and(|value| value.len() > MAX_VALUE) {
            return Err(Malformed::TooLarge("value"));
        }
        let body = Body {
            kind: self.kind,
            key: self.key,
            position: self.position,
            grant: self.grant,
            actor: self.actor.to_owned(),
            prev: self.prev,
        };
        let value = self
            .value
            .map(|value| ValueRef { hash: ValueHash::of(value), len: u32::try_from(value.len()).unwrap_or(u32::MAX) });
        let body = canonical::encode(&body);
        let (scope, time) = (self.scope, self.time);
        let envelope = Envelope { format: FORMAT, scope, time, author: secret.key(), value, body };
        seal(&envelope, secret)
    }
}

/// Encodes, signs and checks as a receiver would.
fn seal(envelope: &Envelope, secret: &NodeSecret) -> Result<Record, Malformed> {
    let mut bytes = canonical::encode(envelope);
    let signature = secret.sign(&RecordId::of(&bytes).0);
    bytes.extend_from_slice(&signature.0);
    Ok(Parcel::parse(bytes)?.record)
}

impl Parcel {
    /// Reads what a peer sent.
    ///
    /// # Errors
    /// [`Malformed`], never `Signature`.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Malformed> {
        let (header, signature) = bytes.split_last_chunk::<SIGNATURE>().ok_or(Malformed::Encoding)?;
        let signature = Signature(*signature);
        if header.len() > MAX_BODY + 256 {
            return Err(Malformed::TooLarge("header"));
        }
        let id = RecordId::of(header);
        let envelope: Envelope = canonical::decode(header).map_err(|_| Malformed::Encoding)?;
        if envelope.body.len() > MAX_BODY {
            return Err(Malformed::TooLarge("body"));
        }
        if envelope.value.is_some_and(|value| value.len as usize > MAX_VALUE) {
            return Err(Malformed::TooLarge("value"));
        }
        let body = if envelope.format == FORMAT { Some(Body::parse(&envelope.body)?) } else { None };
        Ok(Self { record: Record(Arc::new(Checked { id, envelope, body, bytes })), signature })
    }

    /// The id it will have, for finding out whether it is here already before the signature is checked.
    #[must_use]
    pub fn id(&self) -> RecordId {
        self.record.id()
    }

    /// The scope it says it belongs to, for finding out whether it is wanted before the signature is checked.
    #[must_use]
    pub fn scope(&self) -> ScopeId {
        self.record.scope()
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`Malformed::Signature`].
    pub fn open(self) -> Result<Record, Malformed> {
        if verify(&self.record.author(), &self.record.id().0, &self.signature) {
            Ok(self.record)
        } else {
            Err(Malformed::Signature)
        }
    }
}

/// Checks many at once; each answer is that of [`Parcel::open`].
#[must_use]
pub fn open_all(parcels: Vec<Parcel>) -> Vec<Result<Record, Malformed>> {
    let ids: Vec<RecordId> = parcels.iter().map(Parcel::id).collect();
    let signed: Vec<_> = parcels
        .iter()
        .zip(&ids)
        .map(|(parcel, id)| (parcel.record.author(), id.0.as_slice(), parcel.signature))
        .collect();
    let good = verify_batch(&signed);
    let judge = |(parcel, good): (Parcel, bool)| if good { Ok(parcel.record) } else { Err(Malformed::Signature) };
    parcels.into_iter().zip(good).map(judge).collect()
}

impl Body {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let body: Self = canonical::decode(bytes).map_err(|_| Malformed::Encoding)?;
        if body.key.as_bytes().len() > MAX_KEY {
            return Err(Malformed::TooLarge("key"));
        }
        if body.actor.len() > MAX_ACTOR {
            return Err(Malformed::TooLarge("actor"));
        }
        if body.prev.len() > MAX_PREV {
            return Err(Malformed::TooLarge("list of predecessors"));
        }
        if !body.prev.is_sorted_by(|a, b| a < b) {
            return Err(Malformed::Order);
        }
        if body.position.seq == 0 {
            return Err(Malformed::Position);
        }
        Ok(body)
    }
}

impl Record {
    /// Reads back what this node checked before it stored it; the signature is not checked again. Bytes that can't be
    /// read are `None`: the store is damaged.
    #[must_use]
    pub fn stored(bytes: Vec<u8>) -> Option<Self> {
        Parcel::parse(bytes).ok().map(|parcel| parcel.record)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> RecordId {
        self.0.id
    }

    /// Where it belongs.
    #[must_use]
    pub fn scope(&self) -> ScopeId {
        self.0.envelope.scope
    }

    /// When its author wrote it, as it says.
    #[must_use]
    pub fn time(&self) -> HybridTime {
        self.0.envelope.time
    }

    /// Who signed it.
    #[must_use]
    pub fn author(&self) -> NodeKey {
        self.0.envelope.author
    }

    /// The value it names; `None` deletes.
    #[must_use]
    pub fn value(&self) -> Option<ValueRef> {
        self.0.envelope.value
    }

    /// The rest; `None` when the format is not known: it is kept and handed on, never interpreted.
    #[must_use]
    pub fn body(&self) -> Option<&Body> {
        self.0.body.as_ref()
    }

    /// As it is stored and sent: header and signature.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Whether these bytes are the value it names.
    ///
    /// # Errors
    /// [`Malformed::Value`].
    pub fn check_value(&self, value: Option<&[u8]>) -> Result<(), Malformed> {
        let fits = match (self.value(), value) {
            (Some(named), Some(value)) => value.len() == named.len as usize && ValueHash::of(value) == named.hash,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if fits { Ok(()) } else { Err(Malformed::Value) }
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Record {}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (time, author) = (self.time(), self.author());
        match self.body() {
            Some(body) => {
                write!(f, "Record {:?} ({:?} {:?} by {author:?} at {time:?})", self.id(), body.kind, body.key)
            }
            None => write!(f, "Record {:?} (format {} by {author:?} at {time:?})", self.id(), self.0.envelope.format),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Timestamp;

    fn draft(value: Option<&[u8]>) -> Draft<'_> {
        Draft {
            scope: ScopeId([1; 32]),
            time: HybridTime::at(Timestamp(1_795_000_000_000)),
            kind: Kind::TAG,
            key: RecordKey::tag(&"library/app".parse().unwrap(), &"latest".parse().unwrap()),
            value,
            position: Position { incarnation: Incarnation(u64::MAX / 3), seq: 12 },
            grant: RecordId([2; 32]),
            actor: "robot$ci",
            prev: vec![RecordId([4; 32]), RecordId([3; 32]), RecordId([4; 32])],
        }
    }

    fn secret() -> NodeSecret {
        NodeSecret::from_seed([9; 32])
    }

    #[test]
    fn a_record_is_what_was_signed() {
        let record = draft(Some(b"value")).sign(&secret()).unwrap();
        let sent = Parcel::parse(record.as_bytes().to_vec()).unwrap();
        assert_eq!(sent.id(), record.id());
        let received = sent.open().unwrap();
        assert_eq!((received.author(), received.body().unwrap().prev.len()), (secret().key(), 2));
        assert_eq!(received.check_value(Some(b"value")), Ok(()));
        assert_eq!(received.check_value(Some(b"valve")), Err(Malformed::Value));
        assert_eq!(received.check_value(None), Err(Malformed::Value));
        assert_eq!(draft(None).sign(&secret()).unwrap().check_value(Some(b"")), Err(Malformed::Value));
        assert!(Record::stored(record.as_bytes().to_vec()).is_some());
    }

    #[test]
    fn a_tag_write_is_about_350_bytes() {
        let mut draft = draft(Some(&[0; 40]));
        draft.prev.truncate(1);
        let record = draft.sign(&secret()).unwrap();
        let size = record.as_bytes().len() + 40;
        assert!((250..=350).contains(&size), "{size}");
    }

    #[test]
    fn what_exceeds_a_limit_is_not_signed() {
        let sign = |change: &dyn Fn(&mut Draft<'_>)| {
            let mut draft = draft(None);
            change(&mut draft);
            draft.sign(&secret()).map(drop)
        };
        assert_eq!(draft(Some(&[0; MAX_VALUE])).sign(&secret()).map(drop), Ok(()));
        assert_eq!(draft(Some(&[0; MAX_VALUE + 1])).sign(&secret()).map(drop), Err(Malformed::TooLarge("value")));
        let many: Vec<RecordId> = (0..=MAX_PREV as u8).map(|n| RecordId([n; 32])).collect();
        assert_eq!(sign(&|draft| draft.prev = many[1..].to_vec()), Ok(()));
        assert_eq!(sign(&|draft| draft.prev.clone_from(&many)), Err(Malformed::TooLarge("list of predecessors")));
        assert_eq!(sign(&|draft| draft.position.seq = 0), Err(Malformed::Position));
        let long = "a".repeat(MAX_ACTOR + 1);
        let mut named = draft(None);
        named.actor = &long;
        assert_eq!(named.sign(&secret()).map(drop), Err(Malformed::TooLarge("actor")));
    }

    #[test]
    fn predecessors_out_of_order_are_malformed() {
        let record = draft(None).sign(&secret()).unwrap();
        let mut envelope = record.0.envelope.clone();
        let mut body = record.body().unwrap().clone();
        body.prev.reverse();
        envelope.body = canonical::encode(&body);
        assert_eq!(seal(&envelope, &secret()), Err(Malformed::Order));
    }

    #[test]
    fn a_format_of_the_future_is_carried_untouched() {
        let mut envelope = draft(Some(b"value")).sign(&secret()).unwrap().0.envelope.clone();
        (envelope.format, envelope.body) = (9, b"who knows".to_vec());
        let record = seal(&envelope, &secret()).unwrap();
        let received = Parcel::parse(record.as_bytes().to_vec()).unwrap().open().unwrap();
        assert!(received.body().is_none());
        assert_eq!((received.scope(), received.author()), (record.scope(), secret().key()));
        assert_eq!(received.check_value(Some(b"value")), Ok(()));
    }

    proptest! {
        #[test]
        fn no_other_bytes_are_the_record(at in 0usize..400, flip in 1u8..) {
            let record = draft(Some(b"value")).sign(&secret()).unwrap();
            let mut bytes = record.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            let opened = Parcel::parse(bytes).and_then(Parcel::open);
            prop_assert!(opened.is_err() || at >= record.as_bytes().len() - SIGNATURE);
            prop_assert!(opened.is_err());
        }

        #[test]
        fn any_bytes_are_refused_or_read_back_the_same(bytes: Vec<u8>) {
            if let Ok(parcel) = Parcel::parse(bytes.clone()) {
                prop_assert_eq!(parcel.record.as_bytes(), bytes.as_slice());
            }
        }

        #[test]
        fn opening_together_is_opening_one_by_one(spoilt in proptest::collection::vec(any::<bool>(), 0..8)) {
            let parcels: Vec<Parcel> = spoilt.iter().enumerate().map(|(n, &spoil)| {
                let mut draft = draft(None);
                draft.position.seq = n as u64 + 1;
                let mut bytes = draft.sign(&secret()).unwrap().as_bytes().to_vec();
                if spoil { *bytes.last_mut().unwrap() ^= 1; }
                Parcel::parse(bytes).unwrap()
            }).collect();
            let singly: Vec<_> = parcels.iter().cloned().map(Parcel::open).collect();
            prop_assert_eq!(open_all(parcels), singly);
        }
    }
}
