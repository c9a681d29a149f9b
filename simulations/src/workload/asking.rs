//! Nodes that ask each other and insist on an answer.
//!
//! The smallest machine that notices every fault of a network: a question is sent again until its answer arrives, so
//! loss only delays, doubles are harmless, and a link that never heals shows. Its state lives as long as the world.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event_log::Event;
use crate::machine::{Effect, Machine};
use crate::network::NodeId;
use crate::rng::Rng;

const QUESTION: u8 = b'?';
const ANSWER: u8 = b'!';

/// One node's questions and answers.
#[derive(Debug)]
pub struct Asker {
    me: NodeId,
    peers: Vec<NodeId>,
    every: Duration,
    retry: Duration,
    rng: Rng,
    last: u64,
    open: BTreeMap<u64, NodeId>,
}

impl Asker {
    /// Asks one of `peers` anew in every interval, and each open question again after `retry`.
    #[must_use]
    pub const fn new(me: NodeId, peers: Vec<NodeId>, every: Duration, retry: Duration, rng: Rng) -> Self {
        Self { me, peers, every, retry, rng, last: 0, open: BTreeMap::new() }
    }

    fn ask(&mut self, question: u64, to: NodeId) -> Vec<Effect> {
        vec![
            Effect::Send { to, bytes: message(QUESTION, question) },
            Effect::Wake { after: self.retry, token: question },
        ]
    }
}

impl Machine for Asker {
    fn on_message(&mut self, _now: Duration, from: NodeId, bytes: &[u8]) -> Vec<Effect> {
        match parse(bytes) {
            Some((QUESTION, question)) => vec![Effect::Send { to: from, bytes: message(ANSWER, question) }],
            Some((ANSWER, question)) if self.open.remove(&question).is_some() => {
                vec![Effect::Log(Event::Answered { node: self.me, question })]
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn on_timer(&mut self, _now: Duration, token: u64) -> Vec<Effect> {
        if token > 0 {
            let open = self.open.get(&token).copied();
            return open.map(|to| self.ask(token, to)).unwrap_or_default();
        }
        let mut effects = vec![Effect::Wake { after: self.every, token: 0 }];
        let at = self.rng.index(self.peers.len());
        if let Some(&to) = self.peers.get(at) {
            self.last += 1;
            self.open.insert(self.last, to);
            effects.push(Effect::Log(Event::Asked { node: self.me, question: self.last }));
            effects.extend(self.ask(self.last, to));
        }
        effects
    }
}

fn message(kind: u8, question: u64) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(question.to_le_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Option<(u8, u64)> {
    let (&kind, question) = bytes.split_first()?;
    Some((kind, u64::from_le_bytes(question.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(0);
    const B: NodeId = NodeId(1);

    fn asker(me: NodeId, peer: NodeId) -> Asker {
        Asker::new(me, vec![peer], Duration::from_secs(1), Duration::from_millis(100), Rng::from_seed(1))
    }

    fn sent(effects: &[Effect]) -> Vec<u8> {
        let bytes = |effect: &Effect| match effect {
            Effect::Send { bytes, .. } => Some(bytes.clone()),
            Effect::Wake { .. } | Effect::Log(_) => None,
        };
        effects.iter().find_map(bytes).unwrap()
    }

    #[test]
    fn a_question_is_repeated_until_answered_and_counted_once() {
        let (mut a, mut b) = (asker(A, B), asker(B, A));
        let question = sent(&a.on_timer(Duration::ZERO, 0));
        assert_eq!(sent(&a.on_timer(Duration::ZERO, 1)), question);
        let answer = sent(&b.on_message(Duration::ZERO, A, &question));
        assert_eq!(a.on_message(Duration::ZERO, B, &answer), [Effect::Log(Event::Answered { node: A, question: 1 })]);
        assert_eq!(a.on_message(Duration::ZERO, B, &answer), []);
        assert_eq!(a.on_timer(Duration::ZERO, 1), []);
    }

    #[test]
    fn nonsense_is_ignored() {
        let mut a = asker(A, B);
        for bytes in [&b""[..], b"?", b"x12345678", b"!12345678"] {
            assert_eq!(a.on_message(Duration::ZERO, B, bytes), []);
        }
    }
}
