//! What another site says.

use protocol::reconcile::{Effect, Item, Items, Message, Pace, Root, Scopes, Session, What};
use protocol::reconcile::{MAX_LIST, MAX_MESSAGE, MAX_REPEATS, MAX_WAITING};
use protocol::record::{HybridTime, RecordId, ScopeId};

/// Messages of reconciliation. All of it as one message: what is taken has one encoding and keeps the limits. And as a
/// conversation, each message after its length in two bytes, with a side that answers and one that began: every message
/// they send is one, and no record goes out twice in a run.
pub fn reconcile(data: &[u8]) {
    if let Ok(message) = Message::decode(data) {
        assert_eq!(message.encode(), data, "a message has one encoding");
        assert!(data.len() <= MAX_MESSAGE);
        judge(&message);
    }
    let held = Held((1..=200).map(|n| (HybridTime(u64::from(n) << 30), RecordId([n; 32]))).collect());
    let sessions = [
        Session::respond(vec![ScopeId([7; 32])], [1; 32], Pace::default()),
        Session::initiate(vec![ScopeId([7; 32])], [2; 32], Pace::default()),
    ];
    for mut session in sessions {
        let mut records = 0;
        let effects = session.start(&held);
        follow(effects, &mut session, &held, &mut records);
        let mut rest = data;
        while let Some((len, after)) = rest.split_first_chunk::<2>() {
            let (message, after) = after.split_at(after.len().min(u16::from_be_bytes(*len).into()));
            rest = after;
            let effects = session.receive(message, &held);
            follow(effects, &mut session, &held, &mut records);
        }
        assert!(records <= 200 * (1 + MAX_REPEATS as usize), "{records} records");
    }
}

/// Does what a session wants done.
fn follow(mut effects: Vec<Effect>, session: &mut Session, held: &Held, records: &mut usize) {
    while let Some(effect) = effects.pop() {
        match effect {
            Effect::Message(bytes) => assert!(Message::decode(&bytes).is_ok(), "{bytes:?}"),
            Effect::Send { items, .. } => {
                assert!(items.is_sorted_by(|a, b| a > b), "newest first, none twice");
                assert!(items.iter().all(|item| held.0.contains(item)));
                *records += items.len();
                effects.extend(session.sent(held));
            }
            Effect::Ended { .. } | Effect::Finished => {}
            Effect::Failed(_) => assert!(session.receive(&Message::Equal.encode(), held).is_empty(), "it is over"),
        }
    }
}

fn judge(message: &Message) {
    match message {
        Message::Open(_) | Message::Equal | Message::NotYours | Message::Sent => {}
        Message::Unequal { waiting, .. } | Message::Waiting(waiting) => {
            assert!(waiting.len() <= MAX_WAITING && waiting.is_sorted_by(|a, b| a < b));
        }
        Message::Turn(turn) => {
            assert!(!(turn.goes_on && turn.open));
            assert!(turn.entries.is_sorted_by(|a, b| a.span.high() <= b.span.low()), "ranges are apart");
            for entry in &turn.entries {
                assert!(entry.span.low() < entry.span.high());
                match &entry.what {
                    What::Sum(_) => {}
                    What::List(list) => assert!(list.len() <= MAX_LIST),
                    What::Answer { want, .. } => assert!(want.len() <= MAX_LIST / 8 && want.last() != Some(&0)),
                }
            }
        }
    }
}

/// A site that holds these items.
struct Held(Vec<Item>);

impl Scopes for Held {
    fn root(&self, _: &ScopeId) -> Root {
        Root([5; 32])
    }

    fn items(&self, _: &ScopeId) -> &dyn Items {
        &self.0
    }

    fn waiting(&self, _: &ScopeId) -> Vec<Item> {
        Vec::new()
    }
}
