//! Peers that say what they should not, and what becomes of it; each guard is shown to be what stops them.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::link::BadFrame;
use crate::link::memory::Wire;
use crate::stage::{Hand, MeshOf, Town, secret, settled, soon};

const SITE: u8 = 2;
const PEER: u8 = 3;

fn host(town: Town, versions: Versions, guards: Guards) -> Host {
    let me = town.me();
    Host { me, versions, limits: Limits::default(), door: Arc::new(town), guards }
}

/// A deadline that does not come.
fn late() -> Sleep {
    Box::pin(std::future::pending())
}

fn site(guards: Guards) -> Host {
    host(Town::new(&MeshOf::root(1), SITE, &Hand::new()), Versions::OURS, guards)
}

fn links(near: u8, far: u8, guards: [Guards; 2]) -> (Link, Link) {
    Wire::new(Hand::new().seam()).strangers(
        secret(near).key(),
        secret(far).key(),
        Lane::Control,
        Limits::default(),
        guards,
    )
}

/// What an honest peer would say.
fn honest(mesh: &MeshOf) -> Introduction {
    let chain = mesh.chain(PEER).iter().map(Shown::of).collect();
    Introduction { versions: Versions::OURS, mesh: mesh.id(), from: secret(PEER).key(), to: secret(SITE).key(), chain }
}

/// What becomes of a peer that opens the link with this.
async fn opened_with(message: &Message, guards: Guards) -> Result<(), NotMet> {
    raw(vec![canonical::encode(message)], guards).await
}

async fn raw(frames: Vec<Vec<u8>>, guards: Guards) -> Result<(), NotMet> {
    let (near, far) = links(PEER, SITE, [Guards::default(), guards]);
    let saying = async {
        let (mut send, recv) = near.open(HEAD).await.unwrap();
        for frame in frames {
            if send.send(Bytes::from(frame)).await.is_err() {
                return recv;
            }
        }
        let _ = send.finish().await;
        recv
    };
    let site = site(guards);
    let late = late();
    let (mut recv, met) = tokio::join!(soon(saying), soon(site.receive(far, late)));
    let heard = soon(recv.next()).await;
    match &met {
        Ok(_) => assert!(heard.unwrap().is_some(), "a welcome"),
        Err(why) => assert_eq!(heard, Err(Broken::Ended(End::Theirs(why.code()))), "a refusal is all that is said"),
    }
    met.map(drop)
}

/// That the guard is what refuses it.
async fn refused(message: Message, guard: &'static [Guard], why: NotMet) {
    assert_eq!(opened_with(&message, Guards::default()).await, Err(why));
    assert_eq!(opened_with(&message, Guards::without(guard)).await, Ok(()), "{guard:?} left out");
}

#[tokio::test]
async fn sites_of_a_mesh_meet() {
    let (mesh, clock) = (MeshOf::root(1), Hand::new());
    for under in [None, Some(9)] {
        let (near, far) = links(PEER, SITE, [Guards::default(); 2]);
        let mut town = Town::new(&mesh, PEER, &clock);
        if let Some(authority) = under {
            town.mine = mesh.chain_under(authority, PEER);
        }
        let grant = town.mine.last().unwrap().record.id();
        let (ours, theirs) = (host(town, Versions::OURS, Guards::default()), site(Guards::default()));
        let (ours, theirs) = tokio::join!(soon(ours.greet(near, late())), soon(theirs.receive(far, late())));
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        assert_eq!((ours.received, ours.version, theirs.version), (Some(Received::Full), 1, 1));
        assert_eq!((theirs.grant, theirs.received), (Some(grant), None));
        assert_eq!(theirs.chain.len(), if under.is_some() { 2 } else { 1 });
        // Now each may begin exchanges.
        for (one, other) in [(&ours.link, &theirs.link), (&theirs.link, &ours.link)] {
            let _open = soon(one.open(b"question")).await.unwrap();
            assert_eq!(soon(other.accept()).await.unwrap().head, "question");
        }
    }
}

#[tokio::test]
async fn a_peer_without_a_grant_is_refused() {
    let mesh = MeshOf::root(1);
    let none = Introduction { chain: Vec::new(), ..honest(&mesh) };
    refused(Message::Hello(none), &[Guard::Grant], NotMet::Chain(BadChain::Length(0))).await;
    // Signed by nobody above it.
    let self_made = Introduction { chain: vec![Shown::of(&MeshOf::root(PEER).chain(PEER)[0])], ..honest(&mesh) };
    refused(Message::Hello(self_made), &[Guard::Grant], NotMet::Chain(BadChain::NoGrant)).await;
    // A chain torn out of a longer one.
    let torn = Introduction { chain: vec![Shown::of(&mesh.chain_under(9, PEER)[1])], ..honest(&mesh) };
    refused(Message::Hello(torn), &[Guard::Grant], NotMet::Chain(BadChain::Issuer)).await;
    // With a change nobody signed.
    let mut forged = honest(&mesh);
    let last = forged.chain[0].value.len() - 1;
    forged.chain[0].value[last] ^= 1;
    refused(Message::Hello(forged), &[Guard::Grant], NotMet::Chain(BadChain::NoGrant)).await;
    // More than there can be.
    let mut long = honest(&mesh);
    long.chain = vec![long.chain[0].clone(); MAX_CHAIN + 1];
    refused(Message::Hello(long), &[Guard::Grant], NotMet::Chain(BadChain::Length(MAX_CHAIN + 1))).await;
    // A chain that holds, of a node that was let go: the door's word.
    let mut revoked = Town::new(&mesh, SITE, &Hand::new());
    revoked.closed_to = Some(secret(PEER).key());
    let (near, far) = links(PEER, SITE, [Guards::default(); 2]);
    let host = host(revoked, Versions::OURS, Guards::default());
    let late = late();
    let (mut send, _recv) = soon(near.open(HEAD)).await.unwrap();
    send.send(Bytes::from(canonical::encode(&Message::Hello(honest(&mesh))))).await.unwrap();
    send.finish().await.unwrap();
    assert_eq!(soon(host.receive(far, late)).await.map(drop), Err(NotMet::NotAdmitted("revoked")));
}

#[tokio::test]
async fn a_peer_of_another_mesh_is_refused() {
    let foreign = honest(&MeshOf::root(7));
    let message = Message::Hello(foreign);
    assert_eq!(opened_with(&message, Guards::default()).await, Err(NotMet::Foreign));
    // Without the guard the chain holds in itself, and only the door is left.
    let without = opened_with(&message, Guards::without(&[Guard::Mesh])).await;
    assert_eq!(without, Err(NotMet::NotAdmitted("no grant that counts")));
    assert_eq!(opened_with(&message, Guards::without(&[Guard::Mesh, Guard::Grant])).await, Ok(()));
}

#[tokio::test]
async fn a_hello_of_another_node_or_to_another_node_is_refused() {
    let mesh = MeshOf::root(1);
    // Somebody in the middle hands on what another site said to it, or shows another site's grant as its own.
    let handed_on = Introduction { to: secret(8).key(), ..honest(&mesh) };
    refused(Message::Hello(handed_on), &[Guard::Identity], NotMet::Misbound).await;
    let chain = mesh.chain(8).iter().map(Shown::of).collect();
    let of_another = Introduction { from: secret(8).key(), chain, ..honest(&mesh) };
    assert_eq!(opened_with(&Message::Hello(of_another.clone()), Guards::default()).await, Err(NotMet::Misbound));
    // Without the guard the door is asked about the node that TLS has proven, and knows no grant of it.
    let without = opened_with(&Message::Hello(of_another.clone()), Guards::without(&[Guard::Identity])).await;
    assert_eq!(without, Err(NotMet::NotAdmitted("no grant that counts")));
    let without = Guards::without(&[Guard::Identity, Guard::Grant]);
    assert_eq!(opened_with(&Message::Hello(of_another.clone()), without).await, Ok(()));
    // With its own name, under another's grant.
    let borrowed = Introduction { from: secret(PEER).key(), ..of_another };
    let why = NotMet::Chain(BadChain::OthersGrant);
    refused(Message::Hello(borrowed), &[Guard::Grant], why).await;
}

#[tokio::test]
async fn versions_are_the_greatest_in_common_or_there_is_no_link() {
    let v = |oldest, newest| Versions { oldest, newest };
    assert_eq!(v(1, 3).common(v(2, 5)), Some(3));
    assert_eq!(v(1, 1).common(v(2, 5)), None);
    let mesh = MeshOf::root(1);
    let newer = Introduction { versions: v(2, 3), ..honest(&mesh) };
    refused(Message::Hello(newer), &[Guard::Version], NotMet::Version).await;
    let upside_down = Introduction { versions: v(5, 0), ..honest(&mesh) };
    refused(Message::Hello(upside_down), &[Guard::Version], NotMet::Version).await;
}

/// What a dialler that speaks 1 to 3 makes of this answer by an honest chain.
async fn answered(version: u16, versions: Versions, guards: Guards) -> Result<u16, NotMet> {
    let mesh = MeshOf::root(1);
    // Here the site dials, and the peer answers.
    let (near, far) = links(SITE, PEER, [guards, Guards::default()]);
    let dialler = host(Town::new(&mesh, SITE, &Hand::new()), Versions { oldest: 1, newest: 3 }, guards);
    let late = late();
    let answering = async {
        let mut exchange = far.accept().await.unwrap();
        while exchange.recv.next().await.unwrap().is_some() {}
        let by = Introduction { versions, ..honest(&mesh) };
        say(exchange.send, &Message::Welcome { by, version, received: Received::Full }).await.unwrap();
    };
    let (met, ()) = tokio::join!(soon(dialler.greet(near, late)), soon(answering));
    met.map(|met| met.version)
}

#[tokio::test]
async fn a_dialler_is_not_talked_into_an_older_version() {
    let all = Versions { oldest: 1, newest: 3 };
    assert_eq!(answered(3, all, Guards::default()).await, Ok(3));
    assert_eq!(answered(1, all, Guards::default()).await, Err(NotMet::Version));
    assert_eq!(answered(4, Versions { oldest: 1, newest: 4 }, Guards::default()).await, Err(NotMet::Version));
    assert_eq!(answered(1, all, Guards::without(&[Guard::Version])).await, Ok(1));
}

#[tokio::test]
async fn a_hello_that_is_too_long_is_refused_before_it_has_come() {
    let mesh = MeshOf::root(1);
    let chain = mesh.wide_chain(9, PEER).iter().map(Shown::of).collect();
    let message = Message::Hello(Introduction { chain, ..honest(&mesh) });
    let len = canonical::encode(&message).len();
    assert!(len > MAX_HELLO);
    let too_long = NotMet::Broken(Broken::Frame(BadFrame::TooLong(len)));
    refused(message.clone(), &[Guard::Length, Guard::Budget], too_long).await;
    let budget = NotMet::Broken(Broken::Frame(BadFrame::Endless));
    refused(message, &[Guard::Budget, Guard::Length], too_long).await;
    let mesh_again = mesh.wide_chain(9, PEER).iter().map(Shown::of).collect();
    let again = Message::Hello(Introduction { chain: mesh_again, ..honest(&mesh) });
    assert_eq!(opened_with(&again, Guards::without(&[Guard::Length])).await, Err(budget), "the second line holds");
}

#[tokio::test]
async fn what_is_no_hello_is_refused() {
    let mesh = MeshOf::root(1);
    let hello = canonical::encode(&Message::Hello(honest(&mesh)));
    let malformed = |what| Err(NotMet::Malformed(what));
    let no_encoding = || malformed("not the encoding of a hello");
    let mut unknown = hello.clone();
    unknown[0] = 7;
    assert_eq!(raw(vec![unknown], Guards::default()).await, no_encoding());
    assert_eq!(raw(vec![hello[..hello.len() - 1].to_vec()], Guards::default()).await, no_encoding());
    assert_eq!(raw(vec![[&hello[..], &[0]].concat()], Guards::default()).await, no_encoding());
    assert_eq!(raw(vec![], Guards::default()).await, malformed("nothing was said"));
    let welcome = Message::Welcome { by: honest(&mesh), version: 1, received: Received::Full };
    assert_eq!(opened_with(&welcome, Guards::default()).await, malformed("a welcome where a hello was due"));
    // More frames than one.
    let flood = vec![hello.clone(), vec![0]];
    assert_eq!(raw(flood.clone(), Guards::default()).await, malformed("more than a hello"));
    assert_eq!(raw(flood, Guards::without(&[Guard::Quiet])).await, Ok(()));
    let flood = [vec![hello], vec![vec![0; 16 * 1024]; 50]].concat();
    let why = raw(flood, Guards::default()).await.unwrap_err();
    assert_eq!(why.code(), Code::MALFORMED, "{why:?}");
}

#[tokio::test]
async fn another_exchange_does_not_come_before_the_hello() {
    let (near, far) = links(PEER, SITE, [Guards::default(); 2]);
    let _question = soon(near.open(b"give me everything")).await.unwrap();
    let host = site(Guards::default());
    let late = late();
    let met = soon(host.receive(far, late)).await.map(drop);
    assert_eq!(met, Err(NotMet::Malformed("another exchange before the hello")));
}

/// How many exchanges of a stranger are taken in.
async fn taken_of_a_stranger(guards: Guards) -> usize {
    let (near, far) = links(PEER, SITE, [Guards::default(), guards]);
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(soon(near.open(b"before any hello")).await.unwrap());
    }
    let mut taken = Vec::new();
    tokio::select! {
        () = async { while let Ok(one) = far.accept().await { taken.push(one); } } => {}
        () = settled() => {}
    }
    taken.len()
}

#[tokio::test]
async fn of_a_stranger_one_stream_is_read() {
    // Though it opens as many as it likes.
    assert_eq!(taken_of_a_stranger(Guards::without(&[Guard::Streams])).await, 1);
    assert_eq!(taken_of_a_stranger(Guards::without(&[Guard::Streams, Guard::Quiet])).await, 10);
}

/// What becomes of a peer that begins its hello and falls silent.
async fn silent(guards: Guards) -> Option<Result<(), NotMet>> {
    let (near, far) = links(PEER, SITE, [Guards::default(), guards]);
    let (mut send, _recv) = soon(near.open(HEAD)).await.unwrap();
    send.send(Bytes::from_static(&[0])).await.unwrap();
    let clock = Hand::new();
    let host = host(Town::new(&MeshOf::root(1), SITE, &clock), Versions::OURS, guards);
    let late = clock.seam().sleep(HELLO_TIME);
    let passing = async {
        settled().await;
        clock.advance(HELLO_TIME);
        settled().await;
    };
    tokio::select! {
        met = host.receive(far, late) => Some(met.map(drop)),
        () = passing => None,
    }
}

#[tokio::test]
async fn a_hello_that_does_not_come_is_not_waited_for() {
    assert_eq!(silent(Guards::default()).await, Some(Err(NotMet::TooSlow)));
    assert_eq!(silent(Guards::without(&[Guard::HelloTime])).await, None);
}

#[tokio::test]
async fn a_lapsed_site_is_received_to_renew_and_gets_little() {
    let (mesh, clock) = (MeshOf::root(1), Hand::new());
    clock.advance(Duration::from_secs(200 * 24 * 60 * 60));
    for (lane, expected) in [(Lane::Control, Ok(None)), (Lane::Blob, Err("it may only renew its grant"))] {
        let wire = Wire::new(clock.seam());
        let keys = (secret(PEER).key(), secret(SITE).key());
        let (near, far) = wire.strangers(keys.0, keys.1, lane, Limits::default(), [Guards::default(); 2]);
        let ours = host(Town::new(&mesh, PEER, &clock), Versions::OURS, Guards::default());
        let theirs = host(Town::new(&mesh, SITE, &clock), Versions::OURS, Guards::default());
        let (ours, met) = tokio::join!(soon(ours.greet(near, late())), soon(theirs.receive(far, late())));
        match expected {
            Ok(grant) => {
                assert_eq!(met.unwrap().grant, grant);
                assert_eq!(ours.unwrap().received, Some(Received::RenewOnly));
            }
            Err(why) => {
                assert_eq!(met.map(drop), Err(NotMet::NotAdmitted(why)));
                assert_eq!(ours.map(drop), Err(NotMet::RefusedByPeer(Code::NOT_ADMITTED)));
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = canonical::decode::<Message>(&bytes) {
            prop_assert_eq!(canonical::encode(&message), bytes);
        }
    }

    #[test]
    fn a_chain_with_anything_changed_is_refused(at: prop::sample::Index, flip in 1u8.., in_value: bool, which: bool) {
        let mesh = MeshOf::root(1);
        let mut chain: Vec<Shown> = mesh.chain_under(9, PEER).iter().map(Shown::of).collect();
        let (id, peer) = (mesh.id(), secret(PEER).key());
        prop_assert!(chain::checked(chain.clone(), &id, &peer).is_ok());
        let one = &mut chain[usize::from(which)];
        let bytes = if in_value { &mut one.value } else { &mut one.record };
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(chain::checked(chain, &id, &peer).is_err());
    }
}
