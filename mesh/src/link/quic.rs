//! A link over QUIC: one bidirectional stream for each exchange. The connection is owned by the link.

use std::sync::Arc;

use protocol::seam::Clock;
use quinn::{Connection, ConnectionError, VarInt};

use super::stream::{FromPeer, ToPeer};
use super::{Broken, Code, Driver, End, Facts, Lane, Limits, Link, Path};
use crate::certificate::proven;
use crate::tasks::Tasks;

/// What the exporter of TLS is asked for.
pub(crate) const BINDING: &[u8] = b"EXPORTER-portolan-hello-1";

pub(super) struct Carrier(Connection);

impl Carrier {
    pub(super) async fn open(&self) -> Result<(ToPeer, FromPeer), Broken> {
        let (send, recv) = self.0.open_bi().await.map_err(|error| Broken::Ended(end_of(&error)))?;
        Ok((ToPeer::Quic(send), FromPeer::Quic(recv)))
    }

    pub(super) fn admit(&self, limits: &Limits) {
        self.0.set_max_concurrent_bi_streams(limits.streams.into());
        self.0.set_receive_window(limits.window.into());
    }

    pub(super) fn close(&self, code: Code) {
        self.0.close(VarInt::from_u32(code.0), b"");
    }
}

fn end_of(error: &ConnectionError) -> End {
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

/// A link over a connection whose handshake is done; `None` when it proves no key.
pub(crate) fn link(
    connection: Connection,
    dialled: bool,
    lane: Lane,
    limits: Limits,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
) -> Option<Link> {
    let identity = connection.peer_identity()?.downcast::<Vec<rustls_pki_types::CertificateDer<'static>>>().ok()?;
    let peer = proven(Some(&identity))?;
    let mut binding = [0; 32];
    connection.export_keying_material(&mut binding, BINDING, b"").ok()?;
    let facts = Facts { peer, remote: Some(connection.remote_address()), path: Path::Quic, lane, dialled, binding };
    let (driver, queue) = Driver::new(lane, limits, clock, tasks);
    let carried = connection.clone();
    let task = driver.clone();
    driver.tasks.spawn("streams of a link", async move {
        let error = loop {
            match carried.accept_bi().await {
                Ok((send, recv)) => task.take_in(ToPeer::Quic(send), FromPeer::Quic(recv)),
                Err(error) => break error,
            }
        };
        task.ended(end_of(&error));
    });
    Some(driver.link(facts, super::Carrier::Quic(Carrier(connection)), queue))
}
