//! The second path: what holds over QUIC holds over TCP, for peers that mean well and for those that don't.

use std::future::poll_fn;
use std::net::TcpListener as Blind;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::dial::NAME;
use super::tests::Site;
use super::*;
use crate::hello::Received;
use crate::link::{End, Path};
use crate::stage::{Fixed, secret, settled, soon, until};

const EVIL: u8 = 3;

fn site(node: u8, guards: Guards) -> Site {
    Site::with(node, |config| config.listen_tcp = Some(SocketAddr::from(([127, 0, 0, 1], 0))), guards)
}

fn tcp(site: &Site) -> Address {
    Address::Tcp(site.endpoint.local_tcp_addr().unwrap())
}

/// Dials and lets time pass until TCP has its turn.
async fn dial(from: &Site, to: NodeKey, addresses: &[Address], lane: Lane) -> Result<Met, NotMet> {
    let passing = async {
        until(|| from.endpoint.inner.dials.available_permits() < MAX_DIALS).await;
        settled().await;
        from.clock.advance(TCP_AFTER + STAGGER * 8);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        met = soon(from.endpoint.dial(to, addresses, lane)) => met,
        () = passing => unreachable!(),
    }
}

#[tokio::test]
async fn two_sites_meet_over_tcp_and_either_begins() {
    let (one, two) = (site(2, Guards::default()), site(3, Guards::default()));
    for lane in [Lane::Control, Lane::Blob] {
        let addresses = [tcp(&two)];
        let (ours, theirs) = tokio::join!(dial(&one, two.key, &addresses, lane), two.accept());
        let ours = ours.unwrap();
        assert_eq!((ours.link.path(), theirs.link.path(), ours.received), (Path::Tcp, Path::Tcp, Some(Received::Full)));
        for (asks, answers) in [(&ours.link, &theirs.link), (&theirs.link, &ours.link)] {
            // Several at once, in each direction.
            for _ in 0..3 {
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
        }
        // Either side's word arrives.
        if lane == Lane::Control {
            ours.link.close(Code::DROPPED);
            assert_eq!(soon(theirs.link.closed()).await, End::Theirs(Code::DROPPED));
        } else {
            theirs.link.close(Code::TOO_MANY);
            assert_eq!(soon(ours.link.closed()).await, End::Theirs(Code::TOO_MANY));
        }
        until(|| one.endpoint.links() + two.dialled_by_others() == 0).await;
    }
}

#[tokio::test]
async fn tcp_is_taken_where_udp_does_not_pass_and_not_where_it_does() {
    let (one, two) = (site(2, Guards::default()), site(3, Guards::default()));
    let hole = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addresses = [Address::Quic(hole.local_addr().unwrap()), tcp(&two)];
    let (ours, _theirs) = tokio::join!(dial(&one, two.key, &addresses, Lane::Control), two.accept());
    assert_eq!(ours.unwrap().link.path(), Path::Tcp);
    // Time stands still: UDP has all of it for itself.
    let addresses = [tcp(&two), two.quic()];
    let turn = async {
        until(|| one.endpoint.inner.dials.available_permits() < MAX_DIALS).await;
        one.clock.advance(STAGGER);
        std::future::pending::<()>().await;
    };
    let met = tokio::select! {
        met = soon(one.endpoint.dial(two.key, &addresses, Lane::Blob)) => met.unwrap(),
        () = turn => unreachable!(),
    };
    assert_eq!(met.link.path(), Path::Quic);
}

#[tokio::test]
async fn whoever_is_not_the_peer_that_was_meant_hears_nothing_over_tcp_either() {
    let (one, two) = (site(2, Guards::default()), site(3, Guards::default()));
    let met = dial(&one, secret(9).key(), &[tcp(&two)], Lane::Control).await;
    assert_eq!(met.map(drop), Err(NotMet::NotProven));
    until(|| two.strangers() == 0).await;
}

#[tokio::test]
async fn shutting_says_so_over_tcp_and_ends_all_tasks() {
    let (one, two) = (site(2, Guards::default()), site(3, Guards::default()));
    let addresses = [tcp(&two)];
    let (ours, theirs) = tokio::join!(dial(&one, two.key, &addresses, Lane::Control), two.accept());
    soon(two.endpoint.shut()).await;
    assert_eq!(theirs.link.end(), Some(End::Ours(Code::DONE)));
    assert_eq!(soon(ours.unwrap().link.closed()).await, End::Theirs(Code::DONE));
    assert_eq!(two.endpoint.inner.setting.tasks.count() + two.endpoint.inner.tasks.count(), 0);
}

/// A peer that is let in, and whose process then stands still with its connections open.
async fn frozen(site: &Site) -> Link {
    let (key, addresses, (freeze, frozen)) = (site.key, [tcp(site)], tokio::sync::oneshot::channel::<()>());
    let evil = std::thread::Builder::new().spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let one = self::site(EVIL, Guards::default());
            let met = dial(&one, key, &addresses, Lane::Control).await.unwrap();
            let _ = frozen.await;
            std::mem::forget((one, met));
        });
        std::mem::forget(runtime);
    });
    let link = site.accept().await.link;
    freeze.send(()).unwrap();
    evil.unwrap().join().unwrap();
    link
}

#[tokio::test]
async fn a_peer_that_gives_no_sign_of_life_is_lost() {
    let (one, two) = (site(4, Guards::default()), site(2, Guards::default()));
    let addresses = [tcp(&two)];
    let (ours, theirs) = tokio::join!(dial(&one, two.key, &addresses, Lane::Control), two.accept());
    let (ours, link) = (ours.unwrap(), frozen(&two).await);
    // Whoever is there has time to answer at each step; whoever is not is lost after some.
    let Limits { keep_alive, .. } = Limits::default();
    soon(async {
        while link.end().is_none() {
            two.clock.advance(keep_alive);
            let (asked, mut asks) = soon(theirs.link.open(b"still there?")).await.unwrap();
            let question = soon(ours.link.accept()).await.unwrap();
            drop((asked, question));
            let _ = soon(asks.next()).await;
            settled().await;
        }
    })
    .await;
    assert_eq!((link.end(), theirs.link.end()), (Some(End::Lost), None));
}

/// A peer with a proven key that speaks h2 itself.
async fn evil(site: &Site) -> io::Result<SendRequest<Bytes>> {
    let tls = Tls::new(&Certificate::new(&secret(EVIL), &Fixed(EVIL))).unwrap();
    let tls = TlsConnector::from(Arc::new(tls.client(Expect::Anyone, Lane::Control.alpn()).unwrap()));
    let stream = TcpStream::connect(site.endpoint.local_tcp_addr().unwrap()).await?;
    let tls = soon(tls.connect(ServerName::try_from(NAME).unwrap(), stream)).await?;
    let (requests, connection) = h2::client::handshake(tls).await.map_err(io::Error::other)?;
    #[expect(clippy::disallowed_methods, reason = "a peer outside the endpoint's care")]
    drop(tokio::spawn(connection));
    Ok(requests)
}

/// How many connections one address can hold open of 20.
async fn flooded(guards: Guards) -> usize {
    let site = site(2, guards);
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(TcpStream::connect(site.endpoint.local_tcp_addr().unwrap()).await.unwrap());
    }
    // Each was taken or refused once one more has been.
    let most = if guards.has(Guard::Address) { Caps::default().strangers_per_address } else { 20 };
    until(|| site.strangers() == most).await;
    settled().await;
    let held = site.strangers();
    // Who says nothing at all loses its place, too.
    site.clock.advance(HELLO_TIME);
    until(|| site.strangers() == 0).await;
    held
}

#[tokio::test]
async fn connections_of_tcp_share_the_places_of_their_address() {
    assert_eq!(flooded(Guards::default()).await, Caps::default().strangers_per_address);
    assert_eq!(flooded(Guards::without(&[Guard::Address])).await, 20);
}

type Asked = (h2::client::ResponseFuture, h2::SendStream<Bytes>);

/// `/calls`, and behind it twenty requests that say this.
async fn ask(site: &Site, path: &str, words: &'static [u8]) -> Vec<Asked> {
    let requests = evil(site).await.unwrap();
    let mut asked = Vec::new();
    for path in std::iter::once("/calls").chain(std::iter::repeat_n(path, 20)) {
        let Ok(mut ready) = requests.clone().ready().await else { break };
        let request = Request::post(format!("https://portolan{path}")).body(()).unwrap();
        let Ok((answer, mut send)) = ready.send_request(request, false) else { break };
        let _ = send.send_data(Bytes::from_static(words), false);
        asked.push((answer, send));
    }
    asked
}

/// With which word a stranger is refused.
async fn refused(path: &str, words: &'static [u8]) -> Option<Code> {
    let site = site(2, Guards::default());
    let mut asked = ask(&site, path, words).await;
    let (_answer, mut calls) = asked.swap_remove(0);
    let passing = async {
        settled().await;
        site.clock.advance(HELLO_TIME);
        std::future::pending::<()>().await;
    };
    let reason = tokio::select! {
        reason = soon(poll_fn(|cx| calls.poll_reset(cx))) => reason.ok()?,
        () = passing => None?,
    };
    until(|| site.strangers() == 0).await;
    u32::from(reason).checked_sub(tcp::CODES).map(Code)
}

#[tokio::test]
async fn a_stranger_over_tcp_that_says_no_hello_is_refused() {
    assert_eq!(refused("/exchange", b"\x01\x00\x00\x04what").await, Some(Code::MALFORMED));
    assert_eq!(refused("/exchange", b"\x01").await, Some(Code::TOO_SLOW), "one that begins, and falls silent");
    assert_eq!(refused("/calls", b"").await, Some(Code::TOO_SLOW), "one that only waits to be called");
}

/// How many exchanges of a stranger are kept, of twenty that begin and fall silent.
async fn kept(guards: Guards) -> usize {
    let site = site(2, guards);
    let mut kept = 0;
    for (answer, mut send) in ask(&site, "/exchange", b"\x01").await.into_iter().skip(1) {
        // Each is answered: by a beginning, by a reset, or by a reset behind the beginning.
        if soon(answer).await.is_err() {
            continue;
        }
        let reset = async { soon(poll_fn(|cx| send.poll_reset(cx))).await.is_ok() };
        let reset = tokio::select! {
            reset = reset => reset,
            () = settled() => false,
        };
        kept += usize::from(!reset);
    }
    kept
}

#[tokio::test]
async fn of_a_stranger_over_tcp_one_exchange_is_kept() {
    assert_eq!(kept(Guards::default()).await, 1);
    assert_eq!(kept(Guards::without(&[Guard::Quiet])).await, 20);
}

#[tokio::test]
async fn a_port_that_takes_connections_and_says_nothing_is_not_waited_for() {
    let one = site(2, Guards::default());
    let blind = Blind::bind("127.0.0.1:0").unwrap();
    let addresses = [Address::Tcp(blind.local_addr().unwrap())];
    let passing = async {
        until(|| one.endpoint.inner.dials.available_permits() < MAX_DIALS).await;
        loop {
            settled().await;
            one.clock.advance(TCP_AFTER);
        }
    };
    tokio::select! {
        met = soon(one.endpoint.dial(secret(3).key(), &addresses, Lane::Control)) => {
            assert_eq!(met.map(drop), Err(NotMet::NotReached));
        }
        () = passing => {}
    }
}
