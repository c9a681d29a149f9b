//! The hello: the first exchange of a link, by which two sites find out whether they may speak.
//!
//! Who dialled says which versions it speaks, of which mesh and node it is, whom it means, and its chain of grants. Who
//! was dialled judges that, and answers with the same of itself and the version; or closes with a [`Code`] and says
//! nothing else. Then the dialler judges the answer. Until its own judgement each reads nothing more than this one
//! exchange. `protocol` decodes and [`Door`] judges; there is no state between two hellos.

mod chain;
#[cfg(test)]
mod hostile;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::canonical;
use protocol::identity::NodeKey;
use protocol::record::{Held, MeshId, RecordId};
use protocol::seam::Sleep;
use serde::{Deserialize, Serialize};

use crate::guard::{Guard, Guards};
use crate::link::{Broken, Code, End, Lane, Limits, Link, Recv, Send};
use crate::ports::Answer;
use chain::Shown;
pub use chain::{BadChain, MAX_CHAIN};

/// The head of the first stream.
pub const HEAD: &[u8] = b"hello";

/// Most bytes of a hello. A chain that is longer can't be shown.
pub const MAX_HELLO: usize = 64 * 1024;

/// How long it may take until a peer is let in, from its first datagram on.
pub const HELLO_TIME: Duration = Duration::from_secs(10);

/// Versions of what is spoken on a link after the hello: all from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The first.
    pub oldest: u16,
    /// The last.
    pub newest: u16,
}

impl Versions {
    /// What this build speaks.
    pub const OURS: Self = Self { oldest: 1, newest: 1 };

    /// The greatest that both speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

/// What a site says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Introduction {
    versions: Versions,
    mesh: MeshId,
    from: NodeKey,
    to: NodeKey,
    chain: Vec<Shown>,
}

/// The two frames of a hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Message {
    Hello(Introduction),
    Welcome { by: Introduction, version: u16, received: Received },
}

/// As what a site was received by the one it dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Received {
    /// As a peer.
    Full,
    /// To get a new grant and to hand over what it wrote.
    RenewOnly,
}

/// As what this site receives a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As a peer, under this grant.
    Full(RecordId),
    /// To get a new grant and to hand over what it wrote.
    RenewOnly,
    /// Not at all. Why is for the log of this site; the peer is not told.
    Refused(&'static str),
}

/// The port of the node that says who may come in.
pub trait Door: Debug + std::marker::Send + Sync + 'static {
    /// The mesh this site is of.
    fn mesh(&self) -> MeshId;

    /// The grants of this site with their values, the root's first, its own last; at most [`MAX_CHAIN`].
    fn chain(&self) -> Vec<Held>;

    /// The last word on a peer whose key TLS has proven and whose chain holds in itself: each grant is signed and issued
    /// under the one before it. What this site knows of revocations, times and flags is to be weighed in.
    ///
    /// # Errors
    /// The site could not find out; the peer is refused.
    fn judge(&self, peer: NodeKey, chain: Vec<Held>) -> Answer<'_, Verdict>;
}

/// A peer that was let in, and let us in.
#[derive(Debug)]
pub struct Met {
    /// The way to it.
    pub link: Link,
    /// The grant it is received under; `None`: to renew only.
    pub grant: Option<RecordId>,
    /// As what it received this site; `None` where it dialled, and does not say.
    pub received: Option<Received>,
    /// The version to speak.
    pub version: u16,
    /// The chain it showed. It may be news.
    pub chain: Vec<Held>,
}

/// Why two sites did not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMet {
    /// Nobody answers at any of the addresses.
    #[error("nobody answers")]
    NotReached,
    /// Who answers is not whom we wanted, or does not believe our certificate.
    #[error("the handshake of TLS failed")]
    NotProven,
    /// The peer closed: [`Code`] is all it says.
    #[error("refused by the peer: {0:?}")]
    RefusedByPeer(Code),
    /// The link broke.
    #[error(transparent)]
    Broken(Broken),
    /// What was said is no hello.
    #[error("malformed hello: {0}")]
    Malformed(&'static str),
    /// Said by, or meant for, another node than TLS has proven.
    #[error("the hello is not of, or to, the node that TLS has proven")]
    Misbound,
    /// Of another mesh.
    #[error("the peer is of another mesh")]
    Foreign,
    /// No version in common, or not the greatest.
    #[error("no version in common, or not the greatest")]
    Version,
    /// The chain of grants does not hold.
    #[error(transparent)]
    Chain(BadChain),
    /// The door says no.
    #[error("not let in: {0}")]
    NotAdmitted(&'static str),
    /// It took longer than [`HELLO_TIME`].
    #[error("the hello took too long")]
    TooSlow,
    /// This site has no chain that can be shown.
    #[error("this site's own chain of grants can't be shown")]
    OwnChain,
    /// Too many are dialled already, or the endpoint is shut.
    #[error("this endpoint does not dial now")]
    Busy,
}

impl NotMet {
    /// What the peer is told.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Malformed(_) => Code::MALFORMED,
            Self::Misbound => Code::MISBOUND,
            Self::Foreign => Code::FOREIGN,
            Self::Version => Code::VERSION,
            Self::Chain(_) | Self::NotAdmitted(_) => Code::NOT_ADMITTED,
            Self::TooSlow => Code::TOO_SLOW,
            Self::Broken(broken) => broken.code(),
            Self::NotReached | Self::NotProven | Self::RefusedByPeer(_) | Self::OwnChain | Self::Busy => Code::DONE,
        }
    }
}

impl From<Broken> for NotMet {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Ended(End::Theirs(code)) => Self::RefusedByPeer(code),
            Broken::Ended(End::Ours(_) | End::Lost)
            | Broken::Reset
            | Broken::Stalled
            | Broken::Frame(_)
            | Broken::Unsendable => Self::Broken(broken),
        }
    }
}

/// What a site brings to every hello.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) me: NodeKey,
    pub(crate) versions: Versions,
    pub(crate) limits: Limits,
    pub(crate) door: Arc<dyn Door>,
    pub(crate) guards: Guards,
}

impl Host {
    /// The dialler's part. The link is closed when it fails.
    pub(crate) async fn greet(&self, link: Link, late: Sleep) -> Result<Met, NotMet> {
        self.within(&link, late, self.dialler(&link)).await.map(|part| part.met(link))
    }

    /// The part of the one that was dialled. The link is closed when it fails.
    pub(crate) async fn receive(&self, link: Link, late: Sleep) -> Result<Met, NotMet> {
        self.within(&link, late, self.dialled(&link)).await.map(|part| part.met(link))
    }

    async fn within(
        &self,
        link: &Link,
        late: Sleep,
        part: impl Future<Output = Result<Part, NotMet>>,
    ) -> Result<Part, NotMet> {
        let outcome = tokio::select! {
            biased;
            outcome = part => outcome,
            () = late, if self.guards.has(Guard::HelloTime) => Err(NotMet::TooSlow),
        };
        if let Err(why) = &outcome {
            link.close(why.code());
        }
        outcome
    }

    async fn dialler(&self, link: &Link) -> Result<Part, NotMet> {
        let (send, recv) = link.open(HEAD).await?;
        say(send, &Message::Hello(self.introduction(link.peer()))).await?;
        let Message::Welcome { by, version, received } = self.hear(recv).await? else {
            return Err(NotMet::Malformed("a hello where a welcome was due"));
        };
        let (grant, chain, common) = self.judge(link, by).await?;
        if version != common && self.guards.has(Guard::Version) {
            return Err(NotMet::Version);
        }
        self.admit(link, grant);
        Ok(Part { grant, received: Some(received), version, chain })
    }

    async fn dialled(&self, link: &Link) -> Result<Part, NotMet> {
        let exchange = link.accept().await?;
        if exchange.head != HEAD {
            return Err(NotMet::Malformed("another exchange before the hello"));
        }
        let Message::Hello(by) = self.hear(exchange.recv).await? else {
            return Err(NotMet::Malformed("a welcome where a hello was due"));
        };
        let (grant, chain, version) = self.judge(link, by).await?;
        self.admit(link, grant);
        let received = if grant.is_some() { Received::Full } else { Received::RenewOnly };
        let welcome = Message::Welcome { by: self.introduction(link.peer()), version, received };
        say(exchange.send, &welcome).await?;
        Ok(Part { grant, received: None, version, chain })
    }

    fn introduction(&self, to: NodeKey) -> Introduction {
        let chain = self.door.chain().iter().map(Shown::of).collect();
        Introduction { versions: self.versions, mesh: self.door.mesh(), from: self.me, to, chain }
    }

    /// The one frame of the peer.
    async fn hear(&self, mut recv: Recv) -> Result<Message, NotMet> {
        recv.allow(MAX_HELLO as u64 + 64);
        let frame = recv.next_within(MAX_HELLO).await?.ok_or(NotMet::Malformed("nothing was said"))?;
        if recv.next_within(1).await?.is_some() && self.guards.has(Guard::Quiet) {
            return Err(NotMet::Malformed("more than a hello"));
        }
        canonical::decode(&frame).map_err(|_| NotMet::Malformed("not the encoding of a hello"))
    }

    async fn judge(&self, link: &Link, by: Introduction) -> Result<(Option<RecordId>, Vec<Held>, u16), NotMet> {
        let peer = link.peer();
        if (by.from != peer || by.to != self.me || peer == self.me) && self.guards.has(Guard::Identity) {
            return Err(NotMet::Misbound);
        }
        if by.mesh != self.door.mesh() && self.guards.has(Guard::Mesh) {
            return Err(NotMet::Foreign);
        }
        let version = match self.versions.common(by.versions) {
            Some(version) => version,
            None if self.guards.has(Guard::Version) => return Err(NotMet::Version),
            None => by.versions.newest,
        };
        if !self.guards.has(Guard::Grant) {
            return Ok((Some(RecordId::NONE), Vec::new(), version));
        }
        let chain = chain::checked(by.chain, &by.mesh, &by.from).map_err(NotMet::Chain)?;
        let verdict = self.door.judge(peer, chain.clone()).await;
        match verdict.unwrap_or(Verdict::Refused("this site can't find out who may come in")) {
            Verdict::Full(grant) => Ok((Some(grant), chain, version)),
            Verdict::RenewOnly if link.lane() == Lane::Control => Ok((None, chain, version)),
            Verdict::RenewOnly => Err(NotMet::NotAdmitted("it may only renew its grant")),
            Verdict::Refused(why) => Err(NotMet::NotAdmitted(why)),
        }
    }

    fn admit(&self, link: &Link, grant: Option<RecordId>) {
        link.admit(&if grant.is_some() { self.limits } else { self.limits.renewing() });
    }
}

/// What came of one side's part.
struct Part {
    grant: Option<RecordId>,
    received: Option<Received>,
    version: u16,
    chain: Vec<Held>,
}

impl Part {
    fn met(self, link: Link) -> Met {
        let Self { grant, received, version, chain } = self;
        Met { link, grant, received, version, chain }
    }
}

async fn say(mut send: Send, message: &Message) -> Result<(), NotMet> {
    let bytes = canonical::encode(message);
    if bytes.len() > MAX_HELLO {
        return Err(NotMet::OwnChain);
    }
    send.send(Bytes::from(bytes)).await?;
    Ok(send.finish().await?)
}

/// What a host says first, for tests that say it by other means.
#[cfg(test)]
pub(crate) fn spoken(host: &Host, to: NodeKey) -> Vec<u8> {
    canonical::encode(&Message::Hello(host.introduction(to)))
}
