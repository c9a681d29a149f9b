//! Peers in other hands, over real QUIC on loopback. [`Evil`] speaks quinn itself and keeps to no bound of ours.

use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, TransportConfig};

use super::dial::NAME;
use super::tests::Site;
use super::*;
use crate::hello;
use crate::link::{Broken, STALL_TIME};
use crate::stage::{Fixed, Hand, MeshOf, Town, secret, settled, soon, until};

const EVIL: u8 = 3;

/// A peer with a proven key and no manners.
struct Evil {
    quic: quinn::Endpoint,
    config: quinn::ClientConfig,
}

impl Evil {
    fn new(lane: Lane) -> Self {
        let tls = Tls::new(&Certificate::new(&secret(EVIL), &Fixed(EVIL))).unwrap();
        let tls = tls.client(Expect::Anyone, lane.alpn()).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(1000_u32.into())
            .stream_receive_window(VarInt::MAX)
            .receive_window(VarInt::MAX);
        config.transport_config(Arc::new(transport));
        let quic = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self { quic, config }
    }

    async fn connect(&self, to: &Site) -> Result<Connection, ConnectionError> {
        soon(self.quic.connect_with(self.config.clone(), to.address(), NAME).unwrap()).await
    }
}

/// What is there already.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A frame as it is on the wire.
fn frame(bytes: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[1, a, b, c], bytes].concat()
}

/// The frame of a hello that is let in.
fn hello(to: &Site) -> Vec<u8> {
    said_to(to.key)
}

fn said_to(to: NodeKey) -> Vec<u8> {
    let door = Arc::new(Town::new(&MeshOf::root(1), EVIL, &Hand::new()));
    let (limits, guards) = (Limits::default(), Guards::default());
    hello::spoken(&Host { me: secret(EVIL).key(), versions: Versions::OURS, limits, door, guards }, to)
}

/// Opens a stream and says this.
async fn say(connection: &Connection, bytes: &[u8]) -> (SendStream, RecvStream) {
    let (mut send, recv) = soon(connection.open_bi()).await.unwrap();
    let _ = soon(send.write_all(bytes)).await;
    (send, recv)
}

/// Connects, says these bytes on the first stream, ends it, and tells with which code it was refused; `None` when it was
/// let in.
async fn first_words(site: &Site, words: &[u8]) -> Option<Code> {
    let evil = Evil::new(Lane::Control);
    let connection = evil.connect(site).await.unwrap();
    let (mut send, _recv) = say(&connection, words).await;
    let _ = send.finish();
    tokio::select! {
        error = soon(connection.closed()) => {
            let ConnectionError::ApplicationClosed(close) = error else { panic!("{error:?}") };
            Some(Code(close.error_code.into_inner() as u32))
        }
        arrival = site.endpoint.accept() => {
            assert!(arrival.is_some());
            None
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_hello_close_the_connection() {
    let site = Site::with(2, |config| config.caps.strangers_per_address = 100, Guards::default());
    let head = frame(hello::HEAD);
    let hello = hello(&site);
    assert_eq!(
        first_words(&site, &[&head[..], &frame(&hello)].concat()).await,
        None,
        "the frame of this test is sound"
    );
    let refused = [
        ("another exchange", frame(b"give me everything")),
        ("an over-long frame", [&head[..], &[1, 0xff, 0xff, 0xff]].concat()),
        ("a truncated frame", [&head[..], &frame(&hello)[..hello.len() - 10]].concat()),
        ("a frame of an unknown format", [&head[..], &[9], &frame(&hello)[1..]].concat()),
        ("an empty frame", [&head[..], &[1, 0, 0, 0]].concat()),
        ("an unknown message", [&head[..], &frame(&[9; 50])].concat()),
        ("many frames", [&head[..], &frame(&hello), &frame(&[1]).repeat(5_000)].concat()),
        ("silence", head.clone()),
    ];
    for (what, words) in refused {
        assert_eq!(first_words(&site, &words).await, Some(Code::MALFORMED), "{what}");
    }
    until(|| site.strangers() == 0).await;
}

#[tokio::test]
async fn frames_of_an_unknown_format_and_frames_cut_short_pass_where_nothing_looks() {
    let site = Site::with(2, |_| {}, Guards::without(&[Guard::Format]));
    let (head, hello) = (frame(hello::HEAD), hello(&site));
    assert_eq!(first_words(&site, &[&head[..], &[9], &frame(&hello)[1..]].concat()).await, None);
    let site = Site::with(2, |_| {}, Guards::without(&[Guard::Ending]));
    // The hello is whole, and then a frame begins and does not end.
    let hello = self::hello(&site);
    let words = [&head[..], &frame(&hello), &[1, 0, 0, 1]].concat();
    assert_eq!(first_words(&site, &words).await, None);
    assert_eq!(first_words(&Site::new(2), &words).await, Some(Code::MALFORMED));
}

/// How many strangers are left of one that connects and says nothing, when the time for a hello is over.
async fn stalled(guards: Guards) -> usize {
    let site = Site::with(2, |_| {}, guards);
    let evil = Evil::new(Lane::Control);
    let connection = evil.connect(&site).await.unwrap();
    let (_send, _recv) = say(&connection, &frame(hello::HEAD)[..3]).await;
    // Accepting, the peer's arrival, the link's end, its streams, and the head that is cut short.
    until(|| site.endpoint.inner.tasks.count() + site.endpoint.inner.setting.tasks.count() == 5).await;
    assert_eq!(site.strangers(), 1);
    site.clock.advance(HELLO_TIME);
    settled().await;
    if guards.has(Guard::HelloTime) {
        assert!(matches!(soon(connection.closed()).await,
            ConnectionError::ApplicationClosed(close) if close.error_code == Code::TOO_SLOW.0.into()));
    }
    site.strangers()
}

#[tokio::test]
async fn who_says_nothing_loses_its_place() {
    assert_eq!(stalled(Guards::default()).await, 0);
    assert_eq!(stalled(Guards::without(&[Guard::HelloTime])).await, 1);
}

/// How many connections one address can hold open of 30.
async fn flooded(guards: Guards) -> usize {
    let site = Site::with(2, |_| {}, guards);
    let evil = Evil::new(Lane::Control);
    let mut open = Vec::new();
    for _ in 0..30 {
        open.extend(evil.connect(&site).await);
    }
    let held = open.iter().filter(|one| one.close_reason().is_none()).count();
    assert_eq!(held, site.strangers());
    held
}

#[tokio::test]
async fn a_flood_of_connections_gets_the_share_of_its_address() {
    assert_eq!(flooded(Guards::default()).await, Caps::default().strangers_per_address);
    assert_eq!(flooded(Guards::without(&[Guard::Address])).await, 30);
}

/// How many streams a stranger can open.
async fn opened(guards: Guards) -> usize {
    let site = Site::with(2, |_| {}, guards);
    let connection = Evil::new(Lane::Control).connect(&site).await.unwrap();
    let mut open = Vec::new();
    while open.len() < 1000 {
        match at_once(connection.open_bi()) {
            Some(Ok(stream)) => open.push(stream),
            Some(Err(_)) | None => break,
        }
    }
    open.len()
}

#[tokio::test]
async fn a_stranger_has_one_stream() {
    assert_eq!(opened(Guards::default()).await, 1);
    assert_eq!(opened(Guards::without(&[Guard::Quiet])).await, Limits::default().streams as usize);
}

/// How many bytes a stranger gets rid of that are not read.
async fn pushed(guards: Guards) -> usize {
    let site = Site::with(2, |_| {}, guards);
    let connection = Evil::new(Lane::Control).connect(&site).await.unwrap();
    // Only a part of a head: the stream is taken, and nothing of it read beyond the head.
    let (mut send, _recv) = soon(connection.open_bi()).await.unwrap();
    let mut sent = 0;
    let piece = vec![0xee; 64 * 1024];
    while sent < 3 << 20 {
        match at_once(send.write(&piece)) {
            Some(Ok(n)) => sent += n,
            Some(Err(_)) | None => break,
        }
    }
    sent
}

#[tokio::test]
async fn a_stranger_sends_little_ahead() {
    let sent = pushed(Guards::default()).await;
    assert!(sent <= Limits::STRANGER_WINDOW as usize, "{sent}");
    assert!(pushed(Guards::without(&[Guard::Quiet])).await > 2 << 20);
}

/// An evil peer that was let in, and the link to it.
async fn let_in(site: &Site, evil: &Evil) -> (Connection, Link) {
    let connection = evil.connect(site).await.unwrap();
    let words = [frame(hello::HEAD), frame(&hello(site))].concat();
    let (mut send, mut recv) = say(&connection, &words).await;
    send.finish().unwrap();
    let met = site.accept().await;
    assert!(soon(recv.read_to_end(1 << 20)).await.is_ok(), "a welcome");
    (connection, met.link)
}

/// A peer that was let in, asked for something, and from then on is there no more, without a word.
async fn gone(site: &Site) -> Link {
    let (address, key, (freeze, frozen)) = (site.address(), site.key, tokio::sync::oneshot::channel::<()>());
    let evil = std::thread::Builder::new().spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let evil = Evil::new(Lane::Control);
            let connecting = evil.quic.connect_with(evil.config.clone(), address, NAME).unwrap();
            let connection = soon(connecting).await.unwrap();
            let words = [frame(hello::HEAD), frame(&said_to(key))].concat();
            let (mut send, mut recv) = say(&connection, &words).await;
            send.finish().unwrap();
            assert!(soon(recv.read_to_end(1 << 20)).await.is_ok(), "a welcome");
            let question = say(&connection, &frame(b"give me everything")).await;
            let _ = frozen.await;
            std::mem::forget((evil, connection, question));
        });
        runtime.shutdown_background();
    });
    let link = site.accept().await.link;
    // Its question is here before it goes.
    until(|| link.has_arrived()).await;
    freeze.send(()).unwrap();
    evil.unwrap().join().unwrap();
    link
}

/// How many MiB the site keeps for a peer that takes nothing, and what comes of it in the end.
async fn untaken(guards: Guards) -> (usize, Option<Broken>) {
    let site = Site::with(2, |config| config.limits.window = 1 << 20, guards);
    let link = gone(&site).await;
    let mut exchange = soon(link.accept()).await.unwrap();
    let (frame, mut sent) = (Bytes::from(vec![0; 64 * 1024]), 0);
    let sending = async {
        while sent < 1024 {
            if let Err(why) = exchange.send.send(frame.clone()).await {
                return Some(why);
            }
            sent += 1;
        }
        None
    };
    let passing = async {
        settled().await;
        site.clock.advance(STALL_TIME);
        std::future::pending::<()>().await;
    };
    let how = tokio::select! {
        how = soon(sending) => how,
        () = passing => None,
    };
    (sent / 16, how)
}

#[tokio::test]
async fn a_peer_that_takes_nothing_costs_a_window_and_is_given_up() {
    let (sent, how) = untaken(Guards::default()).await;
    assert!(sent <= 1, "{sent} MiB");
    assert_eq!(how, Some(Broken::Stalled));
    assert_eq!(untaken(Guards::without(&[Guard::Stall])).await, (64, None), "all of it is kept");
}

/// How many streams a peer that was let in can have open at once.
async fn exhausted(limit: u32) -> usize {
    let site = Site::with(2, |config| config.limits.streams = limit, Guards::default());
    let evil = Evil::new(Lane::Control);
    let (connection, link) = let_in(&site, &evil).await;
    let (mut open, mut taken) = (Vec::new(), Vec::new());
    // That more are allowed arrives after the welcome.
    let opening = async {
        loop {
            let mut stream = connection.open_bi().await.unwrap();
            let _ = stream.0.write_all(&frame(b"held")).await;
            open.push(stream);
        }
    };
    // quinn says that a place is free when an eighth of them are.
    let enough = (limit - limit / 8) as usize;
    let taking = async {
        while taken.len() < enough {
            taken.push(link.accept().await.unwrap());
        }
    };
    tokio::select! {
        () = opening => {}
        () = soon(taking) => {}
    }
    while let Some(Ok(one)) = at_once(connection.open_bi()) {
        open.push(one);
    }
    open.len()
}

#[tokio::test]
async fn streams_are_as_many_as_allowed_and_no_more() {
    let few = exhausted(8).await;
    assert!((7..=8).contains(&few), "{few}");
    let many = exhausted(500).await;
    assert!((430..=500).contains(&many), "nothing but the limit holds it back: {many}");
}

/// How many links one peer has after it dialled five times.
async fn dialled_again(guards: Guards) -> usize {
    let site = Site::with(2, |_| {}, guards);
    let evil = Evil::new(Lane::Control);
    let mut links = Vec::new();
    for _ in 0..5 {
        links.push(let_in(&site, &evil).await);
    }
    let open = links.iter().filter(|(_, link)| link.end().is_none()).count();
    assert!(links.last().is_some_and(|(_, link)| link.end().is_none()), "the newest stays");
    open
}

#[tokio::test]
async fn a_peer_has_few_links_and_the_newest_stay() {
    assert_eq!(dialled_again(Guards::default()).await, 2);
    assert_eq!(dialled_again(Guards::without(&[Guard::Peer])).await, 5);
}

#[tokio::test]
async fn a_peer_that_vanishes_is_noticed() {
    let quick = |config: &mut Config| {
        config.limits.keep_alive = Duration::from_millis(50);
        config.limits.idle = Duration::from_millis(300);
    };
    let site = Site::with(2, quick, Guards::default());
    // A peer that is there, and says nothing for longer than that, stays.
    let other = Site::with(4, quick, Guards::default());
    let (stays, _theirs) = tokio::join!(other.dial(&site, Lane::Control), site.accept());
    let link = gone(&site).await;
    assert_eq!(soon(link.closed()).await, crate::link::End::Lost);
    assert_eq!(stays.unwrap().link.end(), None);
}
