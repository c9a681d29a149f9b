//! The endpoint: the one door of a site to the network. It owns the socket, all tasks behind it, and the counts.
//!
//! One UDP port for all lanes, told apart by ALPN; who dials uses the same socket, so that one rule of a firewall is
//! enough. Where UDP does not pass the same goes over TCP. A connection first gets a place ([`Caps`]), then proves a node key (TLS), then is let in (`hello`); only then
//! does anybody above hear of it. Links are owned by those who hold them; shutting the endpoint ends them all.

#[cfg(test)]
mod by_tcp;
mod caps;
mod dial;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::identity::{NodeKey, NodeSecret};
use protocol::seam::{Clock, Entropy, Sleep};
use quinn::{Incoming, TokioRuntime, VarInt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::{TlsAcceptor, TlsStream};

use crate::certificate::{Certificate, Expect, Tls};
use crate::guard::{Guard, Guards};
use crate::hello::{Door, HELLO_TIME, Host, Met, NotMet, Versions};
use crate::link::{Code, Lane, Limits, Link, Loose, Setting, quic, tcp};
use crate::tasks::Tasks;
pub use caps::Caps;
use caps::{Pass, Place, Places};
pub use dial::{Address, MAX_TRIED, STAGGER, TCP_AFTER};

/// The port of a site, unless configured otherwise.
pub const PORT: u16 = 7420;

/// Most dials at once; more wait.
pub const MAX_DIALS: usize = 64;

/// How long a newcomer's link lasts.
pub const JOIN_TIME: Duration = Duration::from_secs(30);

/// Most peers that were let in and wait for [`Endpoint::accept`].
pub const MAX_ARRIVED: usize = 64;

/// How long [`Endpoint::shut`] waits for peers to hear of it.
pub const FAREWELL_TIME: Duration = Duration::from_secs(3);

/// What an endpoint is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens: address and UDP port.
    pub listen: SocketAddr,
    /// Where it listens for those whose UDP does not pass: address and TCP port.
    pub listen_tcp: Option<SocketAddr>,
    /// Whether newcomers may come: whether the site can take somebody in.
    pub newcomers: bool,
    /// Bounds of each link.
    pub limits: Limits,
    /// Bounds of all together.
    pub caps: Caps,
}

impl Config {
    /// With the defaults of all bounds.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, listen_tcp: None, newcomers: false, limits: Limits::default(), caps: Caps::default() }
    }
}

/// Who came.
#[derive(Debug)]
pub enum Arrival {
    /// A peer that was let in, on [`Lane::Control`] or [`Lane::Blob`].
    Peer(Met),
    /// Somebody with an invitation, or without. Nothing is known but its key; it has one exchange, and [`JOIN_TIME`].
    Newcomer(Link),
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// The port can't be had.
    #[error("can't listen on {0}: {1}")]
    Socket(SocketAddr, #[source] io::Error),
    /// TLS can't be set up with this key.
    #[error(transparent)]
    Tls(#[from] quic::NoTls),
    /// The certificate can't be made.
    #[error("the certificate can't be used: {0}")]
    Certificate(String),
}

/// One door to the network. Dropped, it is shut without a farewell.
pub struct Endpoint {
    inner: Arc<Inner>,
    arrived: tokio::sync::Mutex<mpsc::Receiver<Arrival>>,
}

struct Inner {
    quic: quinn::Endpoint,
    tls: Tls,
    config: Config,
    host: Host,
    setting: Setting,
    /// Those that outlive no shutting; the links' own get a moment to say farewell.
    tasks: Tasks,
    tcp: Option<SocketAddr>,
    dials: Semaphore,
    places: Places,
    peers: Mutex<BTreeMap<(NodeKey, Lane), Vec<Loose>>>,
    arrivals: mpsc::Sender<Arrival>,
}

impl Endpoint {
    /// Opens the socket and begins to accept.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open(
        config: Config,
        secret: &NodeSecret,
        door: Arc<dyn Door>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, NotOpened> {
        Self::open_with(config, secret, door, clock, entropy, Guards::default())
    }

    fn open_with(
        config: Config,
        secret: &NodeSecret,
        door: Arc<dyn Door>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        guards: Guards,
    ) -> Result<Self, NotOpened> {
        let certificate = Certificate::new(secret, entropy);
        let tls = Tls::new(&certificate).map_err(|error| NotOpened::Certificate(error.to_string()))?;
        let lanes = if config.newcomers { &Lane::ALL[..] } else { &[Lane::Control, Lane::Blob] };
        let server = quic::server(&tls, lanes, &config.limits, guards)?;
        let mut seed = [0; 32];
        entropy.fill(&mut seed);
        let failed = |error| NotOpened::Socket(config.listen, error);
        let socket = UdpSocket::bind(config.listen).map_err(failed)?;
        let runtime = Arc::new(TokioRuntime);
        let quic = quinn::Endpoint::new(quic::socket(seed)?, Some(server), socket, runtime).map_err(failed)?;
        let by_tcp = match config.listen_tcp {
            Some(address) => Some(listen_tcp(address, &tls, lanes)?),
            None => None,
        };
        let (arrivals, arrived) = mpsc::channel(MAX_ARRIVED);
        let (limits, tasks) = (config.limits, Tasks::default());
        let inner = Arc::new(Inner {
            quic,
            tls,
            config,
            host: Host { me: secret.key(), versions: Versions::OURS, limits, door, guards },
            setting: Setting { limits, guards, clock, tasks },
            tasks: Tasks::default(),
            tcp: by_tcp.as_ref().and_then(|(listener, _)| listener.local_addr().ok()),
            dials: Semaphore::new(MAX_DIALS),
            places: Places::new(config.caps, guards),
            peers: Mutex::default(),
            arrivals,
        });
        inner.tasks.spawn("accept loop", Arc::clone(&inner).listen());
        if let Some((listener, acceptor)) = by_tcp {
            inner.tasks.spawn("accept loop of TCP", Arc::clone(&inner).listen_to(listener, acceptor));
        }
        Ok(Self { inner, arrived: tokio::sync::Mutex::new(arrived) })
    }

    /// Where it listens by UDP.
    ///
    /// # Errors
    /// The socket's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.quic.local_addr()
    }

    /// Where it listens by TCP, if it does.
    #[must_use]
    pub fn local_tcp_addr(&self) -> Option<SocketAddr> {
        self.inner.tcp
    }

    /// Goes to a peer and is let in there. All addresses are tried, one [`STAGGER`] after the other, those of TCP after
    /// [`TCP_AFTER`]; the first at which that very node answers counts. Takes [`HELLO_TIME`] at most, besides the wait for a place among [`MAX_DIALS`].
    ///
    /// # Errors
    /// [`NotMet`].
    pub async fn dial(&self, peer: NodeKey, addresses: &[Address], lane: Lane) -> Result<Met, NotMet> {
        let _dial = self.inner.dials.acquire().await.map_err(|_| NotMet::Busy)?;
        let mut late = self.inner.setting.clock.sleep(HELLO_TIME);
        let link = self.inner.reach(Expect::Node(peer), addresses, lane, &mut late).await?;
        let met = self.inner.host.greet(link, late).await?;
        self.inner.keep(&met.link, None);
        Ok(met)
    }

    /// Goes to a site with an invitation. There is no hello: what is said is the invitation's.
    ///
    /// # Errors
    /// [`NotMet::NotReached`], [`NotMet::NotProven`], [`NotMet::Busy`], [`NotMet::RefusedByPeer`].
    pub async fn dial_to_join(&self, whom: Expect, addresses: &[Address]) -> Result<Link, NotMet> {
        let _dial = self.inner.dials.acquire().await.map_err(|_| NotMet::Busy)?;
        let mut late = self.inner.setting.clock.sleep(HELLO_TIME);
        let link = self.inner.reach(whom, addresses, Lane::Join, &mut late).await?;
        self.inner.keep(&link, None);
        Ok(link)
    }

    /// The next that came; `None` once the endpoint is shut. One task at a time waits here.
    pub async fn accept(&self) -> Option<Arrival> {
        self.arrived.lock().await.recv().await
    }

    /// Links with peers that were let in, dialled or not.
    #[must_use]
    pub fn links(&self) -> usize {
        self.inner.peers().values().flatten().filter(|link| link.is_open()).count()
    }

    /// Ends all links with this peer: its rights ended.
    pub fn drop_peer(&self, peer: &NodeKey) {
        for lane in Lane::ALL {
            for link in self.inner.peers().remove(&(*peer, lane)).into_iter().flatten() {
                link.close(Code::DROPPED);
            }
        }
    }

    /// Ends all links and all tasks, tells the peers so, and gives the ports back. Takes [`FAREWELL_TIME`] at most.
    pub async fn shut(&self) {
        let Inner { quic, setting, tasks, .. } = &*self.inner;
        self.inner.close();
        self.arrived.lock().await.close();
        tasks.ended().await;
        let farewell = async {
            setting.tasks.ended().await;
            quic.wait_idle().await;
        };
        tokio::select! {
            () = farewell => {}
            () = setting.clock.sleep(FAREWELL_TIME) => {}
        }
        setting.tasks.end();
        setting.tasks.ended().await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.inner.close();
        self.inner.setting.tasks.end();
    }
}

/// Opens the TCP port.
fn listen_tcp(address: SocketAddr, tls: &Tls, lanes: &[Lane]) -> Result<(TcpListener, TlsAcceptor), NotOpened> {
    let alpns: Vec<&[u8]> = lanes.iter().map(|lane| lane.alpn()).collect();
    let server = tls.server(&alpns).map_err(|error| NotOpened::Certificate(error.to_string()))?;
    let failed = |error| NotOpened::Socket(address, error);
    let socket = std::net::TcpListener::bind(address).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok((TcpListener::from_std(socket).map_err(failed)?, TlsAcceptor::from(Arc::new(server))))
}

impl Inner {
    fn peers(&self) -> std::sync::MutexGuard<'_, BTreeMap<(NodeKey, Lane), Vec<Loose>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn listen(self: Arc<Self>) {
        while let Some(incoming) = self.quic.accept().await {
            let clock = &self.setting.clock;
            let late = clock.sleep(HELLO_TIME);
            let (from, proven) = (incoming.remote_address().ip(), incoming.remote_address_validated());
            match self.places.arrive(from, proven, clock.monotonic()) {
                Ok(place) => {
                    self.tasks.spawn("arrival of a peer", Arc::clone(&self).arrive(incoming, place, late));
                }
                Err(Pass::Retry) => drop(incoming.retry()),
                Err(Pass::Enter | Pass::Refuse) => incoming.refuse(),
            }
        }
    }

    /// One that dials us, from its first datagram until it is let in or gone.
    async fn arrive(self: Arc<Self>, incoming: Incoming, place: Place, mut late: Sleep) {
        let remote = incoming.remote_address();
        let Ok(connecting) = incoming.accept() else { return };
        let connected = tokio::select! {
            connected = connecting => connected,
            () = &mut late => return,
        };
        let Ok(connection) = connected else { return };
        let Some(link) = quic::link(connection, false, &self.setting) else { return };
        self.receive(link, remote, place, late).await;
    }

    async fn listen_to(self: Arc<Self>, listener: TcpListener, acceptor: TlsAcceptor) {
        loop {
            // A failed accept is of one connection, or of too many open files: then a place has to become free first.
            let Ok((stream, remote)) = listener.accept().await else {
                self.setting.clock.sleep(STAGGER).await;
                continue;
            };
            let clock = &self.setting.clock;
            let late = clock.sleep(HELLO_TIME);
            // Its address is proven: it has answered.
            if let Ok(place) = self.places.arrive(remote.ip(), true, clock.monotonic()) {
                let arriving = Arc::clone(&self).arrive_by_tcp(stream, acceptor.clone(), remote, place, late);
                self.tasks.spawn("arrival of a peer", arriving);
            }
        }
    }

    async fn arrive_by_tcp(
        self: Arc<Self>,
        stream: TcpStream,
        acceptor: TlsAcceptor,
        remote: SocketAddr,
        place: Place,
        mut late: Sleep,
    ) {
        let connecting = async {
            stream.set_nodelay(true).ok()?;
            let tls = acceptor.accept(stream).await.ok()?;
            tcp::accepted(TlsStream::Server(tls), &self.setting).await
        };
        let link = tokio::select! {
            link = connecting => link,
            () = &mut late => return,
        };
        if let Some(link) = link {
            self.receive(link, remote, place, late).await;
        }
    }

    /// One whose key is proven, until it is let in or gone.
    async fn receive(self: Arc<Self>, link: Link, remote: SocketAddr, place: Place, late: Sleep) {
        if link.lane() == Lane::Join {
            return self.take_newcomer(link, place);
        }
        let peer = link.peer();
        match self.host.receive(link, late).await {
            Ok(met) => {
                let Some(place) = place.admit() else { return met.link.close(Code::TOO_MANY) };
                self.keep(&met.link, Some(place));
                // Whoever is to take it may be behind; a peer of a site that does not keep up is told so.
                if let Err(mpsc::error::TrySendError::Full(Arrival::Peer(met))) =
                    self.arrivals.try_send(Arrival::Peer(met))
                {
                    met.link.close(Code::TOO_MANY);
                }
            }
            Err(why) => tracing::debug!(%remote, ?peer, %why, "a peer was not let in"),
        }
    }

    /// A newcomer keeps its place among strangers, and is gone after [`JOIN_TIME`].
    fn take_newcomer(self: &Arc<Self>, link: Link, place: Place) {
        let (loose, ended) = (link.loose(), link.closed());
        let late = self.setting.clock.sleep(JOIN_TIME);
        self.setting.tasks.spawn("time of a newcomer", async move {
            tokio::select! {
                _ = ended => {}
                () = late => loose.close(Code::TOO_SLOW),
            }
            drop(place);
        });
        self.keep(&link, None);
        if let Err(mpsc::error::TrySendError::Full(Arrival::Newcomer(link))) =
            self.arrivals.try_send(Arrival::Newcomer(link))
        {
            link.close(Code::TOO_MANY);
        }
    }

    /// Counts a link as long as it is open, and closes the oldest when the peer has too many.
    fn keep(self: &Arc<Self>, link: &Link, place: Option<Place>) {
        let of = (link.peer(), link.lane());
        let mut peers = self.peers();
        let links = peers.entry(of).or_default();
        links.retain(Loose::is_open);
        links.push(link.loose());
        if links.len() > self.config.caps.links_per_peer.max(1) && self.host.guards.has(Guard::Peer) {
            links.remove(0).close(Code::TOO_MANY);
        }
        drop(peers);
        let (ended, inner) = (link.closed(), Arc::downgrade(self));
        self.setting.tasks.spawn("place of a link", async move {
            ended.await;
            drop(place);
            if let Some(inner) = inner.upgrade() {
                let mut peers = inner.peers();
                if peers.get_mut(&of).is_some_and(|links| {
                    links.retain(Loose::is_open);
                    links.is_empty()
                }) {
                    peers.remove(&of);
                }
            }
        });
    }

    /// Closes all there is; the tasks of links end by that.
    fn close(&self) {
        for link in std::mem::take(&mut *self.peers()).into_values().flatten() {
            link.close(Code::DONE);
        }
        self.dials.close();
        self.quic.close(VarInt::from_u32(Code::DONE.0), b"");
        self.tasks.end();
        self.setting.tasks.close();
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint of {:?} with {} links", self.inner.host.me, self.links())
    }
}
