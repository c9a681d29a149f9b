//! Going to a peer: all its addresses, UDP first, and whoever proves to be it first. Owns the tries; those that come too
//! late are closed.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use protocol::seam::Sleep;
use quinn::ConnectionError;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use super::Inner;
use crate::certificate::Expect;
use crate::hello::NotMet;
use crate::link::{Code, Lane, Link, Setting, quic, tcp};

/// Most addresses of a peer that are tried.
pub const MAX_TRIED: usize = 8;

/// How long one address has for itself before the next is tried beside it.
pub const STAGGER: Duration = Duration::from_millis(250);

/// How long UDP has for itself before TCP is tried beside it.
pub const TCP_AFTER: Duration = Duration::from_secs(1);

/// What TLS is told for a name; it is not sent.
pub(super) const NAME: &str = "portolan";

/// Where a peer may be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// By QUIC, at this UDP port.
    Quic(SocketAddr),
    /// By HTTP/2 over TLS, at this TCP port.
    Tcp(SocketAddr),
}

impl Inner {
    /// A link whose key is proven, and nothing else.
    pub(super) async fn reach(
        &self,
        whom: Expect,
        addresses: &[Address],
        lane: Lane,
        late: &mut Sleep,
    ) -> Result<Link, NotMet> {
        let inner = self;
        let Setting { limits, guards, clock, .. } = &inner.setting;
        let by_quic = quic::client(&inner.tls, whom, lane, limits, *guards).map_err(|_| NotMet::NotProven)?;
        let by_tcp = inner.tls.client(whom, lane.alpn()).map_err(|_| NotMet::NotProven)?;
        let by_tcp = TlsConnector::from(Arc::new(by_tcp));
        let tries = addresses.iter().take(MAX_TRIED).zip(0_u32..).map(|(address, number)| {
            let reached: Try<'_> = match *address {
                Address::Quic(address) => {
                    let (turn, config) = (clock.sleep(STAGGER * number), by_quic.clone());
                    Box::pin(async move {
                        turn.await;
                        let dialled = inner.quic.connect_with(config, address, NAME).map_err(|_| NotMet::NotReached)?;
                        let connection = dialled.await.map_err(|error| not_reached(&error))?;
                        quic::link(connection, true, &inner.setting).ok_or(NotMet::NotProven)
                    })
                }
                Address::Tcp(address) => {
                    let (turn, tls) = (clock.sleep(TCP_AFTER + STAGGER * number), by_tcp.clone());
                    Box::pin(async move {
                        turn.await;
                        let stream = TcpStream::connect(address).await.map_err(|_| NotMet::NotReached)?;
                        stream.set_nodelay(true).map_err(|_| NotMet::NotReached)?;
                        let name = ServerName::try_from(NAME).map_err(|_| NotMet::NotReached)?;
                        let tls = tls.connect(name, stream).await.map_err(|error| not_proven(&error))?;
                        tcp::dialled(TlsStream::Client(tls), &inner.setting).await.ok_or(NotMet::NotProven)
                    })
                }
            };
            reached
        });
        tokio::select! {
            reached = first(tries.collect()) => reached,
            () = late => Err(NotMet::NotReached),
        }
    }
}

type Try<'a> = Pin<Box<dyn Future<Output = Result<Link, NotMet>> + Send + 'a>>;

/// The first that succeeds; what the last said when none does.
async fn first(mut tries: Vec<Try<'_>>) -> Result<Link, NotMet> {
    let mut last = NotMet::NotReached;
    poll_fn(move |cx| {
        let mut won = None;
        tries.retain_mut(|one| match (&won, one.as_mut().poll(cx)) {
            (None, Poll::Ready(Ok(link))) => {
                won = Some(link);
                false
            }
            (Some(_), Poll::Ready(Ok(_))) => false,
            (_, Poll::Ready(Err(why))) => {
                // That somebody answered and was not who we meant says more than silence elsewhere.
                last = if last == NotMet::NotProven { last } else { why };
                false
            }
            (_, Poll::Pending) => true,
        });
        match won {
            Some(link) => Poll::Ready(Ok(link)),
            None if tries.is_empty() => Poll::Ready(Err(last)),
            None => Poll::Pending,
        }
    })
    .await
}

fn not_reached(error: &ConnectionError) -> NotMet {
    // 0x100 to 0x1ff are alerts of TLS (RFC 9001, 4.8).
    let alert = |code: u64| if (0x100..0x200).contains(&code) { NotMet::NotProven } else { NotMet::NotReached };
    match error {
        ConnectionError::TransportError(error) => alert(error.code.into()),
        ConnectionError::ConnectionClosed(close) => alert(close.error_code.into()),
        ConnectionError::ApplicationClosed(close) => u32::try_from(close.error_code.into_inner())
            .map_or(NotMet::NotReached, |code| NotMet::RefusedByPeer(Code(code))),
        ConnectionError::VersionMismatch
        | ConnectionError::Reset
        | ConnectionError::TimedOut
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => NotMet::NotReached,
    }
}

/// rustls says what it found wrong as the cause of an I/O error.
fn not_proven(error: &io::Error) -> NotMet {
    match error.kind() == io::ErrorKind::InvalidData {
        true => NotMet::NotProven,
        false => NotMet::NotReached,
    }
}
