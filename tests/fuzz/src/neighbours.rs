//! What a neighbour says to the machines of the overlay, the broadcast, the presence and the holdings.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use protocol::broadcast::{self, Broadcast, Held, Notice, Short};
use protocol::holdings::{self, Holdings};
use protocol::identity::{NodeKey, NodeSecret};
use protocol::overlay::{self, Overlay, Slots};
use protocol::presence::{self, Life, Presence};
use protocol::reconcile::Nonce;
use protocol::reconcile::overview::{self, Roots};
use protocol::record::ScopeId;
use protocol::roster::{Audience, Place, Roster};

const SECRET: ScopeId = ScopeId([0xa5; 32]);

/// Sixteen sites; the first four may hold the secret scope, and the neighbour that speaks is none of them.
struct Sites(Vec<NodeKey>);

impl Roster for Sites {
    fn me(&self) -> NodeKey {
        self.0[0]
    }

    fn place(&self, site: &NodeKey) -> Option<Place> {
        let number = self.0.iter().position(|known| known == site)?;
        let region = Arc::from(if number < 8 { "here" } else { "there" });
        Some(Place { region, uplink: None, is_authority: number == 3, is_metered: false })
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn nth(&self, number: usize) -> Option<NodeKey> {
        self.0.get(number).copied()
    }

    fn audiences(&self) -> &[Audience] {
        &[]
    }

    fn may_hold(&self, site: &NodeKey, scope: &ScopeId) -> bool {
        *scope != SECRET || self.0[..4].contains(site)
    }
}

/// Holds one record of the secret scope, under a name that is easily guessed.
struct One;

impl Held for One {
    fn find(&self, short: &Short) -> Option<Notice> {
        let id = protocol::record::RecordId([0; 32]);
        (*short == Short::of(&id)).then_some(Notice { id, scope: SECRET, bytes: 300, urgent: false })
    }
}

/// The broadcast asks for what a neighbour names, whatever that looks like; what it says that it holds is looked at.
fn announced(bytes: &[u8]) {
    let secret = Short::of(&protocol::record::RecordId([0; 32]));
    match broadcast::Message::decode(bytes) {
        Ok(broadcast::Message::Announce { records, .. }) => {
            assert!(!records.contains(&secret), "the secret was announced")
        }
        Ok(broadcast::Message::Push { sheets, .. }) => panic!("{} records came as a mere message", sheets.len()),
        Ok(broadcast::Message::Want(_) | broadcast::Message::Prune(_) | broadcast::Message::Graft(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

/// A conversation, each message after its length in two bytes, with each machine in turn, while time goes by: nothing
/// panics, what is asked for stays bounded, and the secret scope is not spoken of.
pub fn neighbour(data: &[u8]) {
    let secret = |number: u8| NodeSecret::from_seed([number; 32]);
    let sites = Sites((0..16).map(|number| secret(number).key()).collect());
    let peer = sites.0[9];
    let mut overlay = Overlay::new(Slots::usual(), [1; 32]);
    let mut cast = Broadcast::new(broadcast::Plan::usual(), [2; 32]);
    let mut presence = Presence::new(secret(0), presence::Plan::default(), [3; 32]);
    let mut holdings = Holdings::new(secret(0), Life::default(), [4; 32]);
    let mut now = Duration::from_secs(1);
    overlay.tick(now, &sites);
    overlay.connected(peer, false, now, &sites);
    cast.up(peer, now, &sites);
    presence.up(peer, now, &sites);
    holdings.up(peer, now, &sites);
    holdings.hold(SECRET, protocol::Digest::sha256(b"secret"), Some(holdings::Holding::Complete));
    let mut said = Vec::new();
    let mut rest = data;
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let (message, after) = after.split_at(after.len().min(u16::from_be_bytes(*len).into()));
        rest = after;
        now += Duration::from_millis(700);
        for effect in overlay.receive(peer, message, now, &sites).into_iter().chain(overlay.tick(now, &sites)) {
            if let overlay::Effect::Send(_, bytes) = effect {
                assert!(bytes.len() <= overlay::MAX_MESSAGE);
            }
        }
        for effect in cast.receive(peer, message, &One, now, &sites).into_iter().chain(cast.tick(&One, now, &sites)) {
            match effect {
                broadcast::Effect::Push { records, .. } => panic!("{records:?} were asked for without a right"),
                broadcast::Effect::Send { bytes, .. } => announced(&bytes),
                broadcast::Effect::Deliver { parcels, .. } => assert!(!parcels.is_empty()),
                broadcast::Effect::Pause { .. } | broadcast::Effect::Meet(_) | broadcast::Effect::Failed(..) => {}
            }
        }
        for effect in presence.receive(peer, message, now, &sites).into_iter().chain(presence.tick(now, &sites)) {
            if let presence::Effect::Send(_, bytes) = effect {
                said.push(bytes);
            }
        }
        for effect in holdings.receive(peer, message, now, &sites).into_iter().chain(holdings.tick(now, &sites)) {
            if let holdings::Effect::Send(_, bytes) = effect {
                said.push(bytes);
            }
        }
        let roots = Roots::new();
        let _ = overview::answer(message, &roots);
        let _ = overview::conclude(message, &roots, Nonce([1; 16]));
    }
    let known: BTreeSet<NodeKey> = sites.0.iter().copied().collect();
    assert!(presence.sites().all(|site| known.contains(site)), "who is not in the roster is not remembered");
    let (sets, bytes) = holdings.remembered();
    assert!(sets <= holdings::MAX_REMEMBERED && bytes <= holdings::MAX_BYTES);
    // The neighbour may have named the scope itself; this site does not even echo it.
    let echoes = said.iter().any(|bytes| bytes.windows(32).any(|window| window == SECRET.0));
    assert!(!echoes, "the secret scope was named");
}
