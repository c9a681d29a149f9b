//! Bodies, both ways.
//!
//! A request body is read piece by piece, with a deadline for each piece and a least rate over many; one that is
//! collected has a deadline for the whole. Without those a byte a minute would hold a connection for days. A response body is nothing, bytes in memory, or
//! pieces of an open file: read inline while the page cache has them, else on the blocking pool with one block of
//! read-ahead, so a download holds at most two blocks besides what the connection has queued. Blocks are reused. A file
//! that ends early or can't be read breaks the connection: a client must never take a short body for a whole one.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use protocol::ByteRange;
use protocol::seam::File;

use super::blocks::{Block, Blocks};
use super::error::Error;
use super::traffic::Exchange;
use crate::workers::{Lost, Scope};

/// Largest block read from a file at once.
pub const BLOCK: usize = 512 * 1024;

/// Longest time for the whole of a small body ([`Receiving::collect_short`]), which one packet or two carry: anyone
/// may send those, without log-in.
const SHORT: Duration = Duration::from_secs(30);

/// Least bytes for each second that is waited for a body, over a period of `idle`. Far below the slowest link that
/// could push an image at all.
const LEAST_RATE: u128 = 1024;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The disk failed under a download.
    #[error("a blob can't be read: {0}")]
    Read(#[from] io::Error),
    /// The task that read it is gone.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// Where the bytes of a request come from.
#[derive(Debug)]
pub enum Source {
    /// A connection.
    Wire(Incoming),
    /// Memory, for requests made in the process itself.
    Memory(Bytes),
}

/// The body of a request. Nothing of it is read, and no `100 Continue` is sent, before [`Receiving::next`].
#[derive(Debug)]
pub struct Receiving {
    source: Source,
    idle: Duration,
    taken: u64,
    /// Time waited, and bytes that came, since the rate was last looked at.
    window: (Duration, usize),
}

impl Receiving {
    /// A body whose pieces may each take `idle` to come.
    #[must_use]
    pub const fn new(source: Source, idle: Duration) -> Self {
        Self { source, idle, taken: 0, window: (Duration::ZERO, 0) }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether there may be more to read.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        match &self.source {
            Source::Memory(bytes) => !bytes.is_empty(),
            Source::Wire(incoming) => !http_body::Body::is_end_stream(incoming),
        }
    }

    /// The next piece, never empty; `None` at the end.
    ///
    /// # Errors
    /// 408 when the client stalls or trickles, 400 when the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let began = tokio::time::Instant::now();
            let frame = match &mut self.source {
                Source::Memory(bytes) => {
                    let all = std::mem::take(bytes);
                    self.taken += all.len() as u64;
                    return Ok((!all.is_empty()).then_some(all));
                }
                Source::Wire(incoming) => tokio::time::timeout(self.idle, incoming.frame()).await,
            };
            let Ok(frame) = frame else { return Err(stalled()) };
            let Some(frame) = frame.transpose().map_err(|e| broken(&e))? else { return Ok(None) };
            // Trailers say nothing here.
            let Ok(data) = frame.into_data() else { continue };
            if self.trickles(began.elapsed(), data.len()) {
                return Err(stalled());
            }
            if !data.is_empty() {
                self.taken += data.len() as u64;
                return Ok(Some(data));
            }
        }
    }

    /// Notes a wait for the client, and what it brought; whether the client has been below the least rate for a whole
    /// period. Only waiting counts: a disk of ours that is slow is not the client's fault.
    fn trickles(&mut self, waited: Duration, brought: usize) -> bool {
        self.window.0 += waited;
        self.window.1 = self.window.1.saturating_add(brought);
        if self.window.0 < self.idle {
            return false;
        }
        let (waited, brought) = std::mem::take(&mut self.window);
        (brought as u128) * 1000 < LEAST_RATE * waited.as_millis()
    }

    /// The whole body, if it has at most `limit` bytes and comes within the time that one piece may take elsewhere.
    ///
    /// # Errors
    /// 413 when it has more, and those of [`Receiving::next`].
    pub async fn collect(&mut self, limit: usize, what: &str) -> Result<Bytes, Error> {
        let within = self.idle;
        tokio::time::timeout(within, self.gather(limit, what)).await.unwrap_or_else(|_| Err(stalled()))
    }

    /// [`Receiving::collect`] for what fits into a packet or two.
    ///
    /// # Errors
    /// As there.
    pub async fn collect_short(&mut self, limit: usize, what: &str) -> Result<Bytes, Error> {
        let within = self.idle.min(SHORT);
        tokio::time::timeout(within, self.gather(limit, what)).await.unwrap_or_else(|_| Err(stalled()))
    }

    async fn gather(&mut self, limit: usize, what: &str) -> Result<Bytes, Error> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let mut whole = BytesMut::new();
        let mut piece = Some(first);
        while let Some(bytes) = piece {
            if whole.len() + bytes.len() > limit {
                return Err(Error::too_large(limit as u64, what));
            }
            whole.extend_from_slice(&bytes);
            piece = self.next().await?;
        }
        Ok(whole.freeze())
    }
}

fn stalled() -> Error {
    Error::new(http::StatusCode::REQUEST_TIMEOUT, "SIZE_INVALID", "the body came too slowly: send it again")
        .header(http::header::CONNECTION, http::HeaderValue::from_static("close"))
}

fn broken(error: &hyper::Error) -> Error {
    Error::bad("SIZE_INVALID", "the body ended before its end: send it again").cause(error)
}

/// One piece of a response.
#[derive(Clone, Debug)]
pub enum Piece {
    /// These bytes.
    Text(Bytes),
    /// This part of the file.
    Part(ByteRange),
}

/// The body of a response.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    exchange: Option<Exchange>,
}

#[derive(Debug)]
enum Kind {
    Full(Bytes),
    File(Box<FileBody>),
}

impl Body {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self { kind: Kind::Full(Bytes::new()), exchange: None }
    }

    /// Bytes in memory.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self { kind: Kind::Full(bytes.into()), exchange: None }
    }

    /// Pieces of a file, and text between them.
    #[must_use]
    pub fn file(file: Arc<dyn File>, pieces: Vec<Piece>, blocks: &Blocks, scope: &Scope) -> Self {
        let left = pieces.iter().map(Piece::len).sum();
        let body =
            FileBody { file, left, pieces: pieces.into(), blocks: blocks.clone(), scope: scope.clone(), reading: None };
        Self { kind: Kind::File(Box::new(body)), exchange: None }
    }

    /// Ties the body to the request it answers, which ends with it.
    #[must_use]
    pub fn within(mut self, exchange: Exchange) -> Self {
        self.exchange = Some(exchange);
        self
    }

    /// Number of bytes that are left.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.kind {
            Kind::Full(bytes) => bytes.len() as u64,
            Kind::File(body) => body.left,
        }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is read from a file while it is sent.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File(_))
    }
}

impl Piece {
    /// Number of bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Part(part) => part.len(),
        }
    }

    /// Whether it holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = match &mut self.kind {
            Kind::Full(bytes) if bytes.is_empty() => None,
            Kind::Full(bytes) => Some(Ok(std::mem::take(bytes))),
            Kind::File(body) => ready!(body.poll_next(cx)),
        };
        if let (Some(exchange), Some(Ok(bytes))) = (&self.exchange, &polled) {
            exchange.sent(bytes.len());
        }
        if let Some(Err(error)) = &polled {
            let request = self.exchange.as_ref().map_or("", Exchange::request);
            tracing::error!(request, %error, "a download was broken off");
        }
        Poll::Ready(polled.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

type Reading = Pin<Box<dyn Future<Output = Result<io::Result<Block>, Lost>> + Send>>;

struct FileBody {
    file: Arc<dyn File>,
    pieces: VecDeque<Piece>,
    left: u64,
    blocks: Blocks,
    scope: Scope,
    /// A block on its way from the disk.
    reading: Option<Reading>,
}

impl std::fmt::Debug for FileBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileBody").field("left", &self.left).finish_non_exhaustive()
    }
}

impl FileBody {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.reading.is_none() {
            match self.next_inline() {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(self.count(bytes)))),
                Ok(None) if self.reading.is_none() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        match read {
            Ok(Ok(block)) => {
                let bytes = self.count(block.into_bytes());
                self.read_ahead(cx);
                Poll::Ready(Some(Ok(bytes)))
            }
            Ok(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            Err(lost) => Poll::Ready(Some(Err(lost.into()))),
        }
    }

    fn count(&mut self, bytes: Bytes) -> Bytes {
        self.left = self.left.saturating_sub(bytes.len() as u64);
        bytes
    }

    /// The next bytes if they can be had without waiting. `None`: there are none left, or a read was begun.
    fn next_inline(&mut self) -> io::Result<Option<Bytes>> {
        let part = match self.pieces.front() {
            None => return Ok(None),
            Some(Piece::Text(_)) => {
                let text = self.pieces.pop_front();
                return Ok(text.and_then(|piece| match piece {
                    Piece::Text(text) => Some(text),
                    Piece::Part(_) => None,
                }));
            }
            Some(Piece::Part(part)) => *part,
        };
        let want = usize::try_from(part.len()).unwrap_or(usize::MAX).min(BLOCK);
        let mut block = self.blocks.take(want);
        match self.file.read_cached_at(block.space(), part.start) {
            Ok(0) => Err(short()),
            Ok(read) => {
                block.cut(read);
                self.advance(read);
                Ok(Some(block.into_bytes()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.begin(block, part.start);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Steps over bytes that were read, or are about to be.
    fn advance(&mut self, by: usize) {
        if let Some(Piece::Part(part)) = self.pieces.front_mut() {
            if part.len() <= by as u64 {
                self.pieces.pop_front();
            } else {
                part.start += by as u64;
            }
        }
    }

    fn begin(&mut self, block: Block, at: u64) {
        self.advance(block.len());
        let (file, scope, blocks) = (Arc::clone(&self.file), self.scope.clone(), self.blocks.clone());
        self.reading = Some(Box::pin(async move {
            let _turn = blocks.turn().await;
            scope.run_blocking("read blob", move || fill(&*file, block, at)).await
        }));
    }

    /// The disk was waited for, so it will be again: begin the next block while this one is sent.
    fn read_ahead(&mut self, cx: &mut Context<'_>) {
        let Some(Piece::Part(part)) = self.pieces.front().cloned() else { return };
        let want = usize::try_from(part.len()).unwrap_or(usize::MAX).min(BLOCK);
        let block = self.blocks.take(want);
        self.begin(block, part.start);
        let begun = self.reading.as_mut().map(|reading| reading.as_mut().poll(cx));
        if let Some(Poll::Ready(read)) = begun {
            self.reading = Some(Box::pin(std::future::ready(read)));
        }
    }
}

fn fill(file: &dyn File, mut block: Block, at: u64) -> io::Result<Block> {
    read_whole(file, block.space(), at)?;
    Ok(block)
}

/// Reads all of `buf`, waiting for the disk; a file that ends before is an error.
///
/// # Errors
/// `UnexpectedEof`, or what the operating system says.
pub fn read_whole(file: &dyn File, buf: &mut [u8], at: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], at + done as u64) {
            Ok(0) => return Err(short()),
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends before the blob does")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file in memory; `cold` parts say they would block.
    #[derive(Debug)]
    pub(crate) struct MemoryFile {
        pub(crate) bytes: Vec<u8>,
        pub(crate) cold: bool,
    }

    impl File for MemoryFile {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            let rest = self.bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
            let n = rest.len().min(buf.len());
            buf[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        }
        fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            if self.cold { Err(io::ErrorKind::WouldBlock.into()) } else { self.read_at(buf, offset) }
        }
        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn len(&self) -> io::Result<u64> {
            Ok(self.bytes.len() as u64)
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
        fn start_writeback(&self, _: u64, _: u64) {}
        fn allocate(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
    }

    pub(crate) fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n % 251) as u8).collect()
    }

    fn whole(bytes: &[u8]) -> Vec<Piece> {
        vec![Piece::Part(ByteRange { start: 0, end: bytes.len() as u64 - 1 })]
    }

    #[test]
    fn who_trickles_is_told_from_who_is_slow() {
        let mut body = Receiving::new(Source::Memory(Bytes::new()), Duration::from_secs(60));
        let wait = Duration::from_secs(59);
        assert!(!body.trickles(wait, 1), "the first pause is allowed");
        assert!(body.trickles(wait, 1), "a byte now and then is not");
        assert!((0..1000).all(|_| !body.trickles(Duration::from_secs(1), 1100)), "slow is no fault");
        assert!((0..1000).all(|_| !body.trickles(Duration::ZERO, 1)), "only waiting counts");
        assert!(!body.trickles(wait, 1 << 17), "a pause that is made up for");
    }

    #[tokio::test]
    async fn hot_and_cold_files_arrive_whole() {
        let bytes = pattern(BLOCK * 3 + 17);
        for cold in [false, true] {
            let file = Arc::new(MemoryFile { bytes: bytes.clone(), cold });
            let body = Body::file(file, whole(&bytes), &Blocks::default(), &Scope::new());
            assert_eq!(body.len(), bytes.len() as u64);
            assert_eq!(body.collect().await.unwrap().to_bytes(), bytes, "cold {cold}");
        }
    }

    #[tokio::test]
    async fn text_and_parts_keep_their_order() {
        let bytes = pattern(1000);
        for cold in [false, true] {
            let pieces = vec![
                Piece::Text("<".into()),
                Piece::Part(ByteRange { start: 10, end: 19 }),
                Piece::Text("|".into()),
                Piece::Part(ByteRange { start: 500, end: 500 }),
                Piece::Text(">".into()),
            ];
            let file = Arc::new(MemoryFile { bytes: bytes.clone(), cold });
            let body = Body::file(file, pieces, &Blocks::default(), &Scope::new());
            assert_eq!(body.len(), 14);
            let want = [b"<", &bytes[10..20], b"|", &bytes[500..501], b">"].concat();
            assert_eq!(body.collect().await.unwrap().to_bytes(), want, "cold {cold}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_too_short_breaks_the_body() {
        for cold in [false, true] {
            let file = Arc::new(MemoryFile { bytes: pattern(100), cold });
            let pieces = vec![Piece::Part(ByteRange { start: 0, end: 199 })];
            let body = Body::file(file, pieces, &Blocks::default(), &Scope::new());
            assert!(matches!(body.collect().await, Err(BodyError::Read(_))), "cold {cold}");
        }
    }

    #[tokio::test]
    async fn a_request_body_is_bounded() {
        let body = |len| Receiving::new(Source::Memory(pattern(len).into()), Duration::from_secs(1));
        assert_eq!(body(10).collect(10, "x").await.unwrap().len(), 10);
        assert_eq!(body(11).collect(10, "x").await.unwrap_err().status(), http::StatusCode::PAYLOAD_TOO_LARGE);
        assert!(body(0).collect(10, "x").await.unwrap().is_empty());
    }
}
