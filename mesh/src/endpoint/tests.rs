//! Endpoints that mean well, over loopback. [`Site`] is the kit.

use bytes::Bytes;

use super::*;
use crate::hello::Received;
use crate::link::End;
use crate::stage::{Fixed, Hand, MeshOf, Town, secret, soon, until};

/// A site with a door to the network.
pub(super) struct Site {
    pub(super) endpoint: Endpoint,
    pub(super) clock: Hand,
    pub(super) key: NodeKey,
}

impl Site {
    pub(super) fn new(node: u8) -> Self {
        Self::with(node, |_| {}, Guards::default())
    }

    pub(super) fn with(node: u8, change: impl FnOnce(&mut Config), guards: Guards) -> Self {
        let clock = Hand::new();
        let mut config = Config::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        change(&mut config);
        let door = Arc::new(Town::new(&MeshOf::root(1), node, &clock));
        let endpoint = Endpoint::open_with(config, &secret(node), door, clock.seam(), &Fixed(node), guards).unwrap();
        Self { endpoint, clock, key: secret(node).key() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    pub(super) fn quic(&self) -> Address {
        Address::Quic(self.address())
    }

    pub(super) async fn dial(&self, other: &Self, lane: Lane) -> Result<Met, NotMet> {
        soon(self.endpoint.dial(other.key, &[other.quic()], lane)).await
    }

    pub(super) async fn accept(&self) -> Met {
        match soon(self.endpoint.accept()).await {
            Some(Arrival::Peer(met)) => met,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn strangers(&self) -> usize {
        self.endpoint.inner.places.lock().strangers
    }

    pub(super) fn dialled_by_others(&self) -> usize {
        self.endpoint.inner.places.lock().links
    }
}

#[tokio::test]
async fn two_sites_meet_on_each_lane_and_speak() {
    let (one, two) = (Site::new(2), Site::new(3));
    for lane in [Lane::Control, Lane::Blob] {
        let (ours, theirs) = tokio::join!(one.dial(&two, lane), two.accept());
        let ours = ours.unwrap();
        assert_eq!((ours.link.peer(), theirs.link.peer()), (two.key, one.key));
        assert_eq!((ours.link.lane(), theirs.link.lane(), ours.received), (lane, lane, Some(Received::Full)));
        assert!(ours.grant.is_some() && theirs.grant.is_some());
        for (asks, answers) in [(&ours.link, &theirs.link), (&theirs.link, &ours.link)] {
            let (mut send, mut recv) = soon(asks.open(b"question")).await.unwrap();
            let mut exchange = soon(answers.accept()).await.unwrap();
            let big = Bytes::from(vec![7; lane.max_frame()]);
            let (sent, got) = tokio::join!(soon(send.send(big.clone())), soon(exchange.recv.next()));
            sent.unwrap();
            assert_eq!(got.unwrap().unwrap(), big);
            send.finish().await.unwrap();
            assert_eq!(soon(exchange.recv.next()).await, Ok(None));
            soon(exchange.send.send(Bytes::from_static(b"answer"))).await.unwrap();
            exchange.send.finish().await.unwrap();
            assert_eq!(soon(recv.next()).await.unwrap().unwrap(), "answer");
            assert_eq!(soon(recv.next()).await, Ok(None));
        }
        assert_eq!((one.endpoint.links(), two.endpoint.links()), (1, 1));
        drop(ours);
        assert_eq!(soon(theirs.link.closed()).await, End::Theirs(Code::DONE));
        until(|| two.endpoint.links() + one.endpoint.links() + two.dialled_by_others() == 0).await;
    }
}

#[tokio::test]
async fn whoever_is_not_the_peer_that_was_meant_hears_nothing() {
    let (one, two) = (Site::new(2), Site::new(3));
    let wrong = secret(4).key();
    let met = soon(one.endpoint.dial(wrong, &[two.quic()], Lane::Control)).await;
    assert_eq!(met.map(drop), Err(NotMet::NotProven));
    until(|| two.strangers() == 0).await;
    // Of several addresses the one where it answers counts.
    let other = Site::new(4);
    let addresses = [two.quic(), other.quic()];
    let dialling = one.endpoint.dial(other.key, &addresses, Lane::Control);
    let turn = async {
        until(|| one.endpoint.inner.dials.available_permits() < MAX_DIALS).await;
        one.clock.advance(STAGGER);
        std::future::pending::<()>().await;
    };
    let met = tokio::select! {
        met = soon(dialling) => met.unwrap(),
        () = turn => unreachable!(),
    };
    assert_eq!(met.link.remote(), Some(other.address()));
    assert_eq!(soon(one.endpoint.dial(two.key, &[], Lane::Control)).await.map(drop), Err(NotMet::NotReached));
}

#[tokio::test]
async fn a_site_does_not_speak_with_itself() {
    let one = Site::new(2);
    let met = soon(one.endpoint.dial(one.key, &[one.quic()], Lane::Control)).await;
    assert_eq!(met.map(drop), Err(NotMet::RefusedByPeer(Code::MISBOUND)));
}

#[tokio::test]
async fn a_newcomer_has_one_exchange_and_little_time_where_newcomers_may_come() {
    let (one, closed) = (Site::new(2), Site::new(3));
    let open = Site::with(4, |config| config.newcomers = true, Guards::default());
    let refused = soon(one.endpoint.dial_to_join(Expect::Anyone, &[closed.quic()])).await;
    assert_eq!(refused.map(drop), Err(NotMet::NotProven), "it has no such lane");
    let link = soon(one.endpoint.dial_to_join(Expect::Anyone, &[open.quic()])).await.unwrap();
    assert_eq!(link.peer(), open.key);
    let Some(Arrival::Newcomer(newcomer)) = soon(open.endpoint.accept()).await else { panic!("a newcomer") };
    assert_eq!(newcomer.peer(), one.key);
    let (send, _recv) = soon(link.open(b"invitation")).await.unwrap();
    assert_eq!(soon(newcomer.accept()).await.unwrap().head, "invitation");
    drop(send);
    open.clock.advance(JOIN_TIME);
    assert_eq!(soon(link.closed()).await, End::Theirs(Code::TOO_SLOW));
    until(|| open.strangers() == 0).await;
}

#[tokio::test]
async fn shutting_ends_links_and_tasks_and_gives_the_port_back() {
    let (one, two) = (Site::new(2), Site::new(3));
    let (ours, theirs) = tokio::join!(one.dial(&two, Lane::Control), two.accept());
    let (ours, address) = (ours.unwrap(), two.address());
    soon(two.endpoint.shut()).await;
    assert_eq!(theirs.link.end(), Some(End::Ours(Code::DONE)));
    assert_eq!(soon(ours.link.closed()).await, End::Theirs(Code::DONE));
    assert_eq!(two.endpoint.inner.setting.tasks.count() + two.endpoint.inner.tasks.count(), 0);
    assert!(soon(two.endpoint.accept()).await.is_none());
    assert_eq!(soon(two.endpoint.dial(one.key, &[one.quic()], Lane::Blob)).await.map(drop), Err(NotMet::Busy));
    drop((theirs, two));
    until(|| UdpSocket::bind(address).is_ok()).await;
}

#[tokio::test]
async fn a_peer_whose_rights_ended_is_dropped() {
    let (one, two) = (Site::new(2), Site::new(3));
    let (ours, _theirs) = tokio::join!(one.dial(&two, Lane::Control), two.accept());
    two.endpoint.drop_peer(&one.key);
    assert_eq!(soon(ours.unwrap().link.closed()).await, End::Theirs(Code::DROPPED));
}
