//! What sites send each other: records and their values.

use protocol::record::value::Value;
use protocol::record::{
    Draft, FORMAT, Kind, MAX_ACTOR, MAX_KEY, MAX_PREV, MAX_VALUE, Parcel, Record, RecordId, RecordKey,
};

/// A record: read back as it came, within its limits, and never taken for signed when it is not.
pub fn record(data: &[u8]) {
    let Ok(parcel) = Parcel::parse(data.to_vec()) else {
        assert!(Record::stored(data.to_vec()).is_none(), "what a peer may not send is not read from the disk either");
        return;
    };
    let id = parcel.id();
    assert_eq!(id, RecordId::of(&data[..data.len() - 64]), "the name is the hash of the header");
    let stored = Record::stored(data.to_vec()).unwrap_or_else(|| panic!("{id} can't be read back"));
    assert_eq!(stored.as_bytes(), data);
    assert_eq!(stored.id(), id);
    assert!(stored.value().is_none_or(|value| value.len as usize <= MAX_VALUE));
    if let Some(body) = stored.body() {
        assert!(body.key.as_bytes().len() <= MAX_KEY && body.actor.len() <= MAX_ACTOR && body.prev.len() <= MAX_PREV);
        assert!(body.prev.windows(2).all(|pair| pair[0] < pair[1]) && body.position.seq > 0);
        if let Some((repository, tag)) = body.key.as_tag() {
            assert_eq!(RecordKey::tag(&repository, &tag), body.key);
        }
        if let Some((repository, digest)) = body.key.as_manifest() {
            assert_eq!(RecordKey::manifest(&repository, &digest), body.key);
        }
        // Signed by us, the same words make a record that opens: parsing and writing agree about the limits.
        let secret = protocol::identity::NodeSecret::from_seed([1; 32]);
        let draft = Draft {
            scope: stored.scope(),
            time: stored.time(),
            kind: body.kind,
            key: body.key.clone(),
            value: None,
            position: body.position,
            grant: body.grant,
            actor: &body.actor,
            prev: body.prev.clone(),
        };
        let own = draft.sign(&secret).unwrap_or_else(|error| panic!("{id} can't be written by us: {error}"));
        assert_eq!(own.body(), stored.body(), "format {FORMAT}");
        assert!(Parcel::parse(own.as_bytes().to_vec()).and_then(Parcel::open).is_ok());
    }
    if let Ok(record) = parcel.open() {
        let key = record.author();
        let signature = data.last_chunk().map(|bytes| protocol::identity::Signature(*bytes));
        assert!(signature.is_some_and(|signature| protocol::identity::verify(&key, &id.0, &signature)));
    }
}

/// A value: the first two bytes choose the kind. What is read is written back as it came.
pub fn value(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first_chunk::<2>() else { return };
    let Ok(value) = Value::read(Kind(u16::from_le_bytes(*kind)), bytes) else { return };
    assert_eq!(value.encode(), bytes, "{value:?}");
}
