//! The load generator's wire: one keep-alive HTTP/1.1 connection on a blocking socket. It owns the socket and what was
//! read ahead of need. A body that only has to arrive is discarded inside the kernel (`recv` with `MSG_TRUNC`), so that
//! the client takes as little as possible of the processors it shares with the server it measures.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

use crate::load::now;

/// A response head longer than this is refused.
const MAX_HEAD: usize = 16 * 1024;
/// Discarded in one call. The pages behind it are never touched: the kernel writes nothing to them.
const DISCARD: usize = 1024 * 1024;
/// A server silent for so long has failed the measurement.
const SILENCE: Duration = Duration::from_secs(300);

/// One connection to one server.
pub(crate) struct Connection {
    addr: SocketAddr,
    stream: TcpStream,
    /// Bytes received behind the last head and not yet consumed.
    ahead: Vec<u8>,
    sink: Vec<u8>,
    /// The server announced that it closes after the last answer.
    closing: bool,
}

/// A response without its body.
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    text: String,
}

impl Head {
    /// The value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.fields().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Every value of a header that may come several times.
    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key, value.trim()))
    }

    /// The announced length of the body; 0 where there can be none.
    pub(crate) fn content_length(&self) -> Option<u64> {
        if self.status == 204 || self.status == 304 {
            return Some(0);
        }
        self.header("content-length")?.parse().ok()
    }
}

impl Connection {
    /// Connects.
    pub(crate) fn open(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { addr, stream: dial(addr)?, ahead: Vec::new(), sink: vec![0; DISCARD], closing: false })
    }

    /// Sends a request, its body given in pieces, and reads the head of the answer.
    pub(crate) fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[&[u8]],
    ) -> io::Result<Head> {
        if self.closing {
            *self = Self::open(self.addr)?;
        }
        let length: usize = body.iter().map(|part| part.len()).sum();
        let mut out = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.addr).into_bytes();
        for (name, value) in headers {
            write!(out, "{name}: {value}\r\n")?;
        }
        if method != "GET" && method != "HEAD" {
            write!(out, "Content-Length: {length}\r\n")?;
        }
        out.extend_from_slice(b"\r\n");
        // Small requests leave in one segment; copying a large body to the same end would cost more than a second write.
        if length <= 128 * 1024 {
            body.iter().for_each(|part| out.extend_from_slice(part));
            self.stream.write_all(&out)?;
        } else {
            self.stream.write_all(&out)?;
            for part in body {
                self.stream.write_all(part)?;
            }
        }
        self.head()
    }

    /// Reads a response head, past interim (1xx) ones; what came behind it waits in `ahead`.
    fn head(&mut self) -> io::Result<Head> {
        loop {
            let end = loop {
                if let Some(at) = self.ahead.windows(4).position(|w| w == b"\r\n\r\n") {
                    break at + 4;
                }
                if self.ahead.len() > MAX_HEAD {
                    return Err(io::Error::other("a response head of more than 16 KiB"));
                }
                let mut block = [0; 2048];
                let n = self.stream.read(&mut block)?;
                if n == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
                }
                self.ahead.extend_from_slice(&block[..n]);
            };
            let text = String::from_utf8_lossy(&self.ahead[..end]).into_owned();
            self.ahead.drain(..end);
            let status = text
                .split(' ')
                .nth(1)
                .and_then(|code| code.parse().ok())
                .ok_or_else(|| io::Error::other(format!("no HTTP status in {:?}", text.lines().next())))?;
            if status < 200 {
                continue;
            }
            let head = Head { status, text };
            self.closing = head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            return Ok(head);
        }
    }

    /// Discards the body of `head` until it ends or `until` has come; answers the bytes that arrived. A body left
    /// unfinished makes the next request open a new connection.
    pub(crate) fn discard(&mut self, head: &Head, until: Option<Instant>) -> io::Result<u64> {
        let length =
            head.content_length().ok_or_else(|| io::Error::other("an answer without Content-Length to discard"))?;
        let mut left = length - self.take_ahead(length).len() as u64;
        while left > 0 {
            if until.is_some_and(|until| now() >= until) {
                self.closing = true;
                break;
            }
            let want = left.min(DISCARD as u64) as usize;
            let (_, n) = recv(&self.stream, &mut self.sink[..want], RecvFlags::TRUNC | RecvFlags::WAITALL)?;
            if n == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{left} bytes of the body missing")));
            }
            left -= n as u64;
        }
        Ok(length - left)
    }

    /// Reads the body of `head`, which must not exceed `limit`.
    pub(crate) fn body(&mut self, head: &Head, limit: u64) -> io::Result<Vec<u8>> {
        if let Some(length) = head.content_length() {
            return self.exactly(length, limit);
        }
        if !head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Err(io::Error::other("an answer with neither Content-Length nor chunks"));
        }
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| io::Error::other("a chunk without a size"))?;
            body.extend(self.exactly(size, limit.saturating_sub(body.len() as u64))?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn exactly(&mut self, length: u64, limit: u64) -> io::Result<Vec<u8>> {
        if length > limit {
            return Err(io::Error::other(format!("a body of more than {limit} bytes")));
        }
        let mut body = self.take_ahead(length);
        let have = body.len();
        body.resize(length as usize, 0);
        self.stream.read_exact(&mut body[have..])?;
        Ok(body)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") && line.len() < MAX_HEAD {
            line.extend(self.exactly(1, 1)?);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn take_ahead(&mut self, at_most: u64) -> Vec<u8> {
        let n = at_most.min(self.ahead.len() as u64) as usize;
        self.ahead.drain(..n).collect()
    }
}

fn dial(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(5))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers each request head with the next of `answers`, on one connection.
    fn scripted(answers: &'static [&'static [u8]]) -> (SocketAddr, impl FnOnce()) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        (addr, move || {
            let (mut peer, _) = listener.accept().unwrap();
            for answer in answers {
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    peer.read_exact(&mut byte).unwrap();
                    seen.push(byte[0]);
                }
                peer.write_all(answer).unwrap();
            }
        })
    }

    #[test]
    fn one_connection_carries_discarded_plain_and_chunked_bodies() {
        let (addr, serve) = scripted(&[
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nOCI-Tag: a\r\noci-tag: b\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        ]);
        std::thread::scope(|scope| {
            scope.spawn(serve);
            let mut connection = Connection::open(addr).unwrap();
            let head = connection.request("GET", "/", &[], &[]).unwrap();
            assert_eq!((head.status, connection.discard(&head, None).unwrap()), (200, 5));
            let head = connection.request("GET", "/", &[], &[]).unwrap();
            assert_eq!(head.headers("oci-tag").collect::<Vec<_>>(), ["a", "b"]);
            assert_eq!(connection.body(&head, 10).unwrap(), b"ok");
            let head = connection.request("GET", "/", &[], &[]).unwrap();
            assert_eq!(connection.body(&head, 10).unwrap(), b"abcde");
        });
    }
}
