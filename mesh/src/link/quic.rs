//! A link over QUIC: one bidirectional stream for each exchange. The connection is owned by the link.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, ConnectionError, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig,
    TransportConfig, VarInt,
};
use rustls_pki_types::CertificateDer;

use super::stream::{FromPeer, ToPeer};
use super::{Broken, Code, End, Facts, Lane, Limits, Link, Path, Setting, Source, Terms};
use crate::certificate::{Expect, Tls, proven};
use crate::guard::{Guard, Guards};

/// Most bytes of a datagram that are tried. Above this, segmentation offload has no room for several of them.
pub const MAX_DATAGRAM: u16 = 6500;

/// Connections that have said their first word and wait for ours.
pub const MAX_WAITING: usize = 256;

/// Bytes kept of one of them, and of all of them.
pub const WAITING_BYTES: (u64, u64) = (16 * 1024, 2 << 20);

/// How long an address that proved itself may use the proof.
pub const RETRY_TIME: Duration = Duration::from_secs(10);

pub(super) struct Carrier(Connection);

impl Carrier {
    pub(super) async fn open(&self) -> Result<(ToPeer, FromPeer), Broken> {
        let (send, recv) = self.0.open_bi().await.map_err(|error| Broken::Ended(end_of(&error)))?;
        Ok((ToPeer::Quic(send), FromPeer::Quic(recv)))
    }

    pub(super) fn admit(&self, limits: &Limits) {
        self.0.set_receive_window(limits.window.into());
        self.0.set_max_concurrent_bi_streams(limits.streams.into());
    }

    pub(super) fn close(&self, code: Code) {
        self.0.close(VarInt::from_u32(code.0), b"");
    }
}

/// The next stream of the peer; `None` at the end.
pub(super) async fn next(connection: &Connection) -> Option<(ToPeer, FromPeer)> {
    let (send, recv) = connection.accept_bi().await.ok()?;
    Some((ToPeer::Quic(send), FromPeer::Quic(recv)))
}

/// How a connection ended, as a link says it.
pub(crate) fn end_of(error: &ConnectionError) -> End {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            u32::try_from(close.error_code.into_inner()).map_or(End::Lost, |code| End::Theirs(Code(code)))
        }
        ConnectionError::LocallyClosed => End::Ours(Code::DONE),
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset
        | ConnectionError::TimedOut
        | ConnectionError::CidsExhausted => End::Lost,
    }
}

/// A link over a connection whose handshake is done; `None` when it proves no key, or is for nothing we know.
pub(crate) fn link(connection: Connection, dialled: bool, setting: &Setting) -> Option<Link> {
    let said = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    let lane = Lane::of(&said.protocol?)?;
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let peer = proven(Some(&identity))?;
    let facts = Facts { peer, remote: Some(connection.remote_address()), path: Path::Quic, dialled };
    let terms = Terms::new(lane, setting);
    let (ending, watched) = (terms.clone(), connection.clone());
    terms.tasks.spawn("end of a link", async move {
        let error = watched.closed().await;
        ending.note(end_of(&error));
    });
    let source = Source::Quic(connection.clone());
    Some(Link::new(facts, terms, super::Carrier::Quic(Carrier(connection)), source))
}

/// What holds for connections from the first datagram on, before anybody is let in.
fn transport(limits: &Limits, guards: Guards, dialled: bool) -> TransportConfig {
    let (streams, window) = match guards.has(Guard::Quiet) {
        true if dialled => (0, Limits::STRANGER_WINDOW),
        true => (Limits::STRANGER_STREAMS, Limits::STRANGER_WINDOW),
        false => (limits.streams, limits.window),
    };
    let mut transport = TransportConfig::default();
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MAX_DATAGRAM);
    let send_window = if guards.has(Guard::Stall) { limits.window.into() } else { u64::MAX };
    transport
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(0_u8.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window(limits.stream_window.into())
        .receive_window(window.into())
        .send_window(send_window)
        .keep_alive_interval(Some(limits.keep_alive))
        .max_idle_timeout(IdleTimeout::try_from(limits.idle).ok())
        .mtu_discovery_config(Some(mtu));
    transport
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[error("TLS can't be set up: {0}")]
pub struct NoTls(String);

fn no_tls(error: impl ToString) -> NoTls {
    NoTls(error.to_string())
}

/// For those who dial.
pub(crate) fn client(
    tls: &Tls,
    expect: Expect,
    lane: Lane,
    limits: &Limits,
    guards: Guards,
) -> Result<ClientConfig, NoTls> {
    let tls = tls.client(expect, lane.alpn()).map_err(no_tls)?;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).map_err(no_tls)?));
    config.transport_config(Arc::new(transport(limits, guards, true)));
    Ok(config)
}

/// For those who are dialled.
pub(crate) fn server(tls: &Tls, lanes: &[Lane], limits: &Limits, guards: Guards) -> Result<ServerConfig, NoTls> {
    let alpns: Vec<&[u8]> = lanes.iter().map(|lane| lane.alpn()).collect();
    let tls = tls.server(&alpns).map_err(no_tls)?;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).map_err(no_tls)?));
    config
        .transport_config(Arc::new(transport(limits, guards, false)))
        // Shares are counted by address: it must stay what it was. A peer behind a new address dials anew.
        .migration(false)
        .retry_token_lifetime(RETRY_TIME)
        .max_incoming(MAX_WAITING)
        .incoming_buffer_size(WAITING_BYTES.0)
        .incoming_buffer_size_total(WAITING_BYTES.1);
    Ok(config)
}

/// For the socket. The seed is for what quinn draws at random and shows to peers.
pub(crate) fn socket(seed: [u8; 32]) -> Result<EndpointConfig, NoTls> {
    let mut config = EndpointConfig::default();
    config.rng_seed(Some(seed)).max_udp_payload_size(MAX_DATAGRAM).map_err(no_tls)?;
    Ok(config)
}
