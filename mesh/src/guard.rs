//! What a site does against peers in other hands, where bytes come in. No state here; a test leaves one out and shows
//! what it is for.

/// One safeguard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A frame is no longer than the reader allows.
    Length,
    /// A frame of a format that is not known is refused.
    Format,
    /// A stream that ends within a frame has not ended well.
    Ending,
    /// All of an exchange is no longer than its reader allows.
    Budget,
    /// So many frames of a link are read in a second.
    FramePace,
    /// So many streams of a link are taken in a second.
    StreamPace,
    /// So many streams of a peer are open at once.
    Streams,
    /// What is on its way to a peer that takes nothing is bounded, and after a time it is given up.
    Stall,
    /// Before a peer is let in, nothing but its hello is read.
    Quiet,
    /// The hello has to come in time.
    HelloTime,
    /// The hello is of the node, and to the node, that TLS has proven.
    Identity,
    /// The hello is of the same mesh.
    Mesh,
    /// The version is the greatest both have.
    Version,
    /// The chain of grants holds, and the door has the last word.
    Grant,
    /// One address has a share of the connections, and a pace.
    Address,
    /// An address that may be forged proves itself before it costs anything.
    Retry,
    /// A peer has a share of the links.
    Peer,
}

/// Those a site has: all, but in a test.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Guards {
    left_out: &'static [Guard],
}

impl Guards {
    pub(crate) fn has(self, guard: Guard) -> bool {
        !self.left_out.contains(&guard)
    }

    #[cfg(test)]
    pub(crate) const fn without(left_out: &'static [Guard]) -> Self {
        Self { left_out }
    }
}
