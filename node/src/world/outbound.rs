//! HTTP out of this process, as a seam.
//!
//! One request is one connection: who calls out here (the command line, now and then) has no use for a pool. Everything
//! is bounded: the time to connect, the time for the whole answer, and its size. State: none but the trusted roots.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// HTTP in clear text.
    Plain {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// HTTP over TLS.
    Tls {
        /// Name or address; the certificate must be for it.
        host: String,
        /// Port.
        port: u16,
    },
    /// HTTP over a socket of this machine.
    Socket(PathBuf),
}

/// What a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Time until the connection stands, TLS included.
    pub connect: Duration,
    /// Time until the whole answer is here, connecting included.
    pub total: Duration,
    /// Most bytes the body of the answer may have.
    pub body: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// Nobody there, or not for us.
    #[error("can't connect")]
    Connect(#[source] io::Error),
    /// The other side could not prove who it is, or speaks no TLS.
    #[error("no TLS connection")]
    Tls(#[source] io::Error),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The answer is larger than it may be.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// What came is no HTTP, or ended too early.
    #[error("the answer is not complete")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The answer to a request, on its way.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, OutboundError>> + Send + 'a>>;

/// Who can send requests.
pub trait OutboundHttp: Debug + Send + Sync + 'static {
    /// Sends `request`, whose URI is a path, and waits for the whole answer. Redirects are not followed.
    ///
    /// # Errors
    /// [`OutboundError`]; whether the other side acted on the request is then not known.
    fn request<'a>(&'a self, to: &'a Destination, request: Request<Bytes>, bounds: Bounds) -> Answered<'a>;
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those the operating system believes.
    System,
    /// Those signed by one of these certificates, PEM, and no others.
    Only(Vec<u8>),
}

/// Requests over real sockets. Its futures run on a `tokio` runtime with I/O and time.
#[derive(Debug)]
pub struct HttpClient {
    trust: Trust,
}

impl HttpClient {
    /// A client that believes certificates as `trust` says.
    #[must_use]
    pub const fn new(trust: Trust) -> Self {
        Self { trust }
    }

    /// The roots are read when a request wants them: most go to a socket of this machine.
    fn tls(&self) -> Result<TlsConnector, OutboundError> {
        let invalid = |error: String| OutboundError::Tls(io::Error::new(io::ErrorKind::InvalidData, error));
        let mut roots = RootCertStore::empty();
        match &self.trust {
            Trust::System => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Trust::Only(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
                    roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
                }
            }
        }
        if roots.is_empty() {
            return Err(invalid("there is no certificate to believe".into()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn connect(&self, to: &Destination) -> Result<Box<dyn Stream>, OutboundError> {
        match to {
            Destination::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(OutboundError::Connect)?;
                Ok(Box::new(stream))
            }
            Destination::Plain { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(OutboundError::Connect)?;
                Ok(Box::new(stream))
            }
            Destination::Tls { host, port } => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| OutboundError::Tls(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
                let tls = self.tls()?;
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(OutboundError::Connect)?;
                Ok(Box::new(tls.connect(name, stream).await.map_err(OutboundError::Tls)?))
            }
        }
    }

    async fn exchange(
        &self,
        to: &Destination,
        mut request: Request<Bytes>,
        bounds: Bounds,
    ) -> Result<Response<Bytes>, OutboundError> {
        let connecting = tokio::time::timeout(bounds.connect, self.connect(to));
        let stream = connecting.await.map_err(|_| OutboundError::Late(bounds.connect))??;
        if !request.headers().contains_key(HOST) {
            request.headers_mut().insert(HOST, host_header(to));
        }
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut connection = pin!(connection);
        let mut answer = pin!(async {
            let response = sender.send_request(request.map(Full::new)).await.map_err(broken)?;
            whole(response, bounds.body).await
        });
        // No task of its own drives the connection: it is driven while the answer is waited for, and ends with it.
        tokio::select! {
            answer = &mut answer => answer,
            _ = &mut connection => answer.await,
        }
    }
}

impl OutboundHttp for HttpClient {
    fn request<'a>(&'a self, to: &'a Destination, request: Request<Bytes>, bounds: Bounds) -> Answered<'a> {
        Box::pin(async move {
            let exchange = Box::pin(self.exchange(to, request, bounds));
            tokio::time::timeout(bounds.total, exchange).await.unwrap_or(Err(OutboundError::Late(bounds.total)))
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn whole(response: Response<hyper::body::Incoming>, limit: usize) -> Result<Response<Bytes>, OutboundError> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { OutboundError::TooLarge(limit) } else { OutboundError::Broken(error) }
    })?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

fn broken(error: hyper::Error) -> OutboundError {
    OutboundError::Broken(Box::new(error))
}

fn host_header(to: &Destination) -> HeaderValue {
    let text = match to {
        Destination::Plain { host, port } | Destination::Tls { host, port } if host.contains(':') => {
            format!("[{host}]:{port}")
        }
        Destination::Plain { host, port } | Destination::Tls { host, port } => format!("{host}:{port}"),
        Destination::Socket(_) => "localhost".into(),
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("localhost"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const BOUNDS: Bounds = Bounds { connect: Duration::from_secs(5), total: Duration::from_secs(5), body: 64 };

    /// One connection, answered with `answer` once the head of the request is there; gives back what was sent.
    async fn exchange(answer: &str, bounds: Bounds) -> (Result<Response<Bytes>, OutboundError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = Destination::Plain { host: "127.0.0.1".into(), port };
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; 4096];
            let read = stream.read(&mut seen).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.is_empty() {
                // Silent until the client hangs up.
                let _ = stream.read(&mut [0]).await;
            }
            String::from_utf8_lossy(&seen[..read]).into_owned()
        };
        let client = HttpClient::new(Trust::System);
        let request = Request::get("/readyz").body(Bytes::new()).unwrap();
        tokio::join!(client.request(&to, request, bounds), server)
    }

    #[tokio::test]
    async fn a_request_gets_its_whole_answer() {
        let (answer, seen) = exchange("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", BOUNDS).await;
        assert_eq!(answer.unwrap().body(), "ok");
        assert!(seen.starts_with("GET /readyz HTTP/1.1\r\n") && seen.contains("host: 127.0.0.1:"), "{seen}");
    }

    #[tokio::test]
    async fn an_answer_that_ends_with_the_connection_is_whole_too() {
        let (answer, _) = exchange("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok", BOUNDS).await;
        assert_eq!(answer.unwrap().body(), "ok");
    }

    #[tokio::test]
    async fn answers_are_bounded_in_size_and_time() {
        let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 65\r\n\r\n{}", "x".repeat(65));
        assert!(matches!(exchange(&long, BOUNDS).await.0, Err(OutboundError::TooLarge(64))));
        let short = Bounds { total: Duration::from_millis(50), ..BOUNDS };
        assert!(matches!(exchange("", short).await.0, Err(OutboundError::Late(_))));
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok";
        assert!(matches!(exchange(cut, BOUNDS).await.0, Err(OutboundError::Broken(_))));
    }

    #[tokio::test]
    async fn nobody_there_is_told_as_such() {
        let client = HttpClient::new(Trust::System);
        let to = Destination::Socket("/nowhere/portolan.sock".into());
        let request = Request::get("/").body(Bytes::new()).unwrap();
        let error = client.request(&to, request, BOUNDS).await.unwrap_err();
        assert!(matches!(error, OutboundError::Connect(cause) if cause.kind() == io::ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn a_trust_of_nobody_is_refused_before_connecting() {
        let client = HttpClient::new(Trust::Only(b"no certificate".to_vec()));
        let to = Destination::Tls { host: "127.0.0.1".into(), port: 1 };
        let request = Request::get("/").body(Bytes::new()).unwrap();
        assert!(matches!(client.request(&to, request, BOUNDS).await, Err(OutboundError::Tls(_))));
    }
}
