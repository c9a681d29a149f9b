//! Sites in other hands. A [`Captor`] runs them: they keep the overlay's word, so as to be neighbours, and do harm else.

use std::collections::BTreeMap;

use protocol::broadcast::{MAX_IDS, Message, Short};
use protocol::identity::NodeKey;
use protocol::reconcile::overview::{self, Roots};
use protocol::reconcile::{Nonce, Root};
use protocol::record::ScopeId;

use super::archive::Archive;
use super::charter::Charter;
use super::meeting::Part;
use super::site::{Out, Site};
use super::world::Wire;

/// What captured sites do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// They take everything and hand nothing on.
    Withhold,
    /// They announce records that do not exist, and push the same old ones over and over.
    Flood,
    /// They ask for records and scopes they have no right to, by ids they learned elsewhere.
    Pry,
    /// They send bytes that mean nothing.
    Babble,
    /// They say they have every image, also when asked. What they claim is given to them by [`super::world::Fleet::hold`].
    Claim,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Captor {
    /// What each captured site does.
    pub harm: BTreeMap<NodeKey, Harm>,
    /// Ids of private things they try to pry out.
    pub coveted: (Vec<ScopeId>, Vec<Short>),
    /// Messages the captured got, other than the overlay's.
    pub heard: u64,
    sent: u64,
}

impl Captor {
    /// A captured site takes a message and keeps it.
    pub fn hear(&mut self, _site: NodeKey, _from: NodeKey, _wire: &Wire) {
        self.heard += 1;
    }

    /// Whether a captured site takes part in who has what, so as to lie about it.
    #[must_use]
    pub fn claims(&self, site: &NodeKey) -> bool {
        self.harm.get(site) == Some(&Harm::Claim)
    }

    fn number(&mut self) -> [u8; 32] {
        self.sent += 1;
        *blake3::hash(&self.sent.to_le_bytes()).as_bytes()
    }

    /// What a captured site does each second.
    pub fn tick(&mut self, site: &mut Site, charter: &Charter, archive: &Archive) {
        // What its machines wanted is not done, but for the overlay.
        site.out.retain(|out| {
            matches!(out, Out::Dial(_) | Out::Close(_) | Out::Send(_, Wire::Overlay(_) | Wire::Presence(_)))
        });
        let Some(&harm) = self.harm.get(&charter.key(site.number)) else { return };
        let peers: Vec<NodeKey> = site.connected.keys().copied().collect();
        for peer in peers {
            match harm {
                Harm::Withhold | Harm::Claim => {}
                Harm::Flood => {
                    let lies: Vec<Short> = (0..MAX_IDS)
                        .map(|_| {
                            let number = self.number();
                            let mut short = [0; 16];
                            short.copy_from_slice(&number[..16]);
                            Short(short)
                        })
                        .collect();
                    let news = Message::Announce { pushed: true, records: lies }.encode();
                    site.out.push(Out::Send(peer, Wire::Cast(news)));
                    let sheets: Vec<_> = (0..archive.len().min(64))
                        .filter_map(|n| u32::try_from(n).ok())
                        .map(|n| archive.get(n).sheet())
                        .collect();
                    if !sheets.is_empty() {
                        let push = Message::Push { urgent: false, sheets }.encode();
                        for _ in 0..16 {
                            site.out.push(Out::Send(peer, Wire::Cast(push.clone())));
                        }
                    }
                }
                Harm::Pry => {
                    let (scopes, records) = &self.coveted;
                    for records in records.chunks(MAX_IDS) {
                        site.out.push(Out::Send(peer, Wire::Cast(Message::Want(records.to_vec()).encode())));
                    }
                    if let Some(short) = records.first() {
                        site.out.push(Out::Send(peer, Wire::Cast(Message::Graft(*short).encode())));
                    }
                    let roots: Roots = scopes.iter().map(|scope| (*scope, Root([0; 32]))).collect();
                    let ask = overview::ask(&roots, Nonce([1; 16]));
                    site.out.push(Out::Send(peer, Wire::Meet { began: true, part: Part::Ask(ask) }));
                    for (lane, scope) in (0..).zip(scopes.iter().take(8)) {
                        let open = protocol::reconcile::Open {
                            scope: *scope,
                            root: Root([0; 32]),
                            nonce: Nonce([1; 16]),
                            count: 0,
                            waiting: false,
                        };
                        let bytes = protocol::reconcile::Message::Open(open).encode();
                        let part = Part::Session { lane, bytes };
                        site.out.push(Out::Send(peer, Wire::Meet { began: true, part }));
                    }
                }
                Harm::Babble => {
                    let noise = self.number().to_vec();
                    site.out.push(Out::Send(peer, Wire::Cast(noise)));
                }
            }
        }
    }
}
