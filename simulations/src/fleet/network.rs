//! The links of a fleet: delay, uplinks that take their time, cuts, and what bytes cost on the wire.

use std::time::Duration;

use super::charter::{Charter, SiteNumber};

/// What UDP, IP and a QUIC packet add to its content (RFC 9000, section 17.3: a short header with its connection id and
/// packet number, and 16 bytes of authentication).
const PACKET: usize = 28 + 33;

/// What fits into one packet.
const CONTENT: usize = 1200;

/// What frames a message within a stream.
const FRAME: usize = 4;

/// Bytes of an acknowledgement, or of a probe that keeps a connection open.
pub const SMALL: u64 = 28 + 33 + 6;

/// After this time without a word a connection is kept open by a probe.
pub const KEEP_OPEN: Duration = Duration::from_secs(25);

/// After this time without an answer a connection is given up.
pub const GIVEN_UP: Duration = Duration::from_secs(30);

/// How long a dial nobody answers is waited for.
pub const DIAL: Duration = Duration::from_secs(5);

/// Bytes on the wire for a message of so many: `(with its packets, of the acknowledgements the other way)`. QUIC
/// acknowledges every second packet (RFC 9000, section 13.2.2), and a lone one too.
#[must_use]
pub const fn wire(len: usize) -> (u64, u64) {
    let bytes = len + FRAME;
    let packets = bytes.div_ceil(CONTENT);
    ((bytes + packets * PACKET) as u64, packets.div_ceil(2) as u64 * SMALL)
}

/// How long a message takes from one site to another.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// Between sites of one uplink.
    pub lan: Duration,
    /// Within a region.
    pub near: Duration,
    /// Between regions.
    pub far: Duration,
}

impl Delays {
    /// The same between any two.
    #[must_use]
    pub const fn all(delay: Duration) -> Self {
        Self { lan: delay, near: delay, far: delay }
    }

    /// One way.
    #[must_use]
    pub fn between(&self, charter: &Charter, from: SiteNumber, to: SiteNumber) -> Duration {
        let (from, to) = (charter.place(from), charter.place(to));
        if from.uplink.is_some() && from.uplink == to.uplink {
            self.lan
        } else if from.region == to.region {
            self.near
        } else {
            self.far
        }
    }
}

/// What a site has sent and received, in bytes on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Sent.
    pub out: u64,
    /// Received.
    pub come: u64,
}

/// A site's uplink: one message after the other, what is urgent ahead of all others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uplink {
    busy: Duration,
    urgent: Duration,
}

impl Uplink {
    /// When a message of so many bytes has left, at this rate.
    pub fn leave(&mut self, now: Duration, bytes: u64, rate: u64, urgent: bool) -> Duration {
        let takes = Duration::from_micros(bytes.saturating_mul(1_000_000) / rate.max(1));
        if urgent {
            self.urgent = self.urgent.max(now) + takes;
            self.busy = self.busy.max(now) + takes;
            self.urgent
        } else {
            self.busy = self.busy.max(now).max(self.urgent) + takes;
            self.busy
        }
    }
}
