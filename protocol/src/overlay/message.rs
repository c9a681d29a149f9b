//! What two sites say to each other about being neighbours. No state here.

use serde::{Deserialize, Serialize};

use super::{MAX_MESSAGE, MAX_OTHERS, MAX_SHUFFLE};
use crate::canonical;
use crate::identity::NodeKey;

/// Why a site asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Why {
    /// It has a slot to fill.
    Slot,
    /// The same, and it has no neighbour at all, or none of another region and asks one of another.
    Alone,
    /// For an audience both are members of. Which one is not said: who asks is known, and what it may see.
    Audience,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// Let us be neighbours.
    Ask(Why),
    /// We are.
    Yes,
    /// No room; try these.
    No(Vec<NodeKey>),
    /// Some peers I know of; tell me yours.
    Shuffle(Vec<NodeKey>),
    /// The answer.
    Shuffled(Vec<NodeKey>),
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        canonical::encode(self)
    }

    /// Reads a message; `None` when these bytes are none, or it holds more than it may.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let message: Self = (bytes.len() <= MAX_MESSAGE).then(|| canonical::decode(bytes).ok())??;
        let fits = match &message {
            Self::Ask(_) | Self::Yes => true,
            Self::No(others) => others.len() <= MAX_OTHERS,
            Self::Shuffle(keys) | Self::Shuffled(keys) => keys.len() <= MAX_SHUFFLE,
        };
        fits.then_some(message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(most: usize) -> impl Strategy<Value = Vec<NodeKey>> {
        prop::collection::vec(any::<[u8; 32]>().prop_map(NodeKey), 0..=most)
    }

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            prop_oneof![Just(Why::Slot), Just(Why::Alone), Just(Why::Audience)].prop_map(Message::Ask),
            Just(Message::Yes),
            keys(MAX_OTHERS).prop_map(Message::No),
            keys(MAX_SHUFFLE).prop_map(Message::Shuffle),
            keys(MAX_SHUFFLE).prop_map(Message::Shuffled),
        ]
    }

    proptest! {
        #[test]
        fn messages_come_back_and_fit(message in message()) {
            let bytes = message.encode();
            prop_assert!(bytes.len() <= MAX_MESSAGE);
            prop_assert_eq!(Message::decode(&bytes), Some(message));
        }

        #[test]
        fn any_bytes_are_a_message_or_not(tag in 0..6_u8, rest in prop::collection::vec(any::<u8>(), 0..80)) {
            let bytes = [vec![tag], rest].concat();
            if let Some(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }

    #[test]
    fn what_exceeds_a_limit_is_refused() {
        let keys = |count| vec![NodeKey([1; 32]); count];
        assert!(Message::decode(&Message::Shuffle(keys(MAX_SHUFFLE + 1)).encode()).is_none());
        assert!(Message::decode(&Message::No(keys(MAX_OTHERS + 1)).encode()).is_none());
        assert!(Message::decode(&[3; MAX_MESSAGE + 1]).is_none());
    }
}
