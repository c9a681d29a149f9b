//! TLS: certificate and key from files, read again when they change.
//!
//! At most once a second a handshake looks whether the files are others than before. A pair that can't be used (half
//! written, key and certificate of different renewals) is logged and the old one stays in use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use protocol::seam::Clock;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{path} can't be read: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no PEM of that kind.
    #[error("{path} holds no {what} in PEM")]
    Pem {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The two don't fit, or the key is of a kind that can't be used.
    #[error("certificate and key can't be used together: {0}")]
    Pair(#[from] rustls::Error),
}

/// What tells one version of a file from another.
type Version = (Option<SystemTime>, u64);

#[derive(Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    seen: [Version; 2],
    looked: Duration,
}

/// The certificate in use.
#[derive(Debug)]
struct Files {
    tls: Tls,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    loaded: Mutex<Loaded>,
}

/// A server configuration over the files of `tls`, which must be usable now.
///
/// # Errors
/// [`TlsError`].
pub(super) fn config(tls: &Tls, clock: Arc<dyn Clock>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let seen = versions(tls);
    let key = load(tls, &provider)?;
    let loaded = Mutex::new(Loaded { key, seen, looked: clock.monotonic() });
    let files = Files { tls: tls.clone(), provider: Arc::clone(&provider), clock, loaded };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(files));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl Files {
    fn current(&self) -> Arc<CertifiedKey> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        if now.saturating_sub(loaded.looked) >= LOOK_EVERY {
            loaded.looked = now;
            let seen = versions(&self.tls);
            if seen != loaded.seen {
                // Noted also when it fails: the next try is when a file changes again.
                loaded.seen = seen;
                match load(&self.tls, &self.provider) {
                    Ok(key) => {
                        tracing::info!(cert = %self.tls.cert.display(), "the TLS certificate was read again");
                        loaded.key = key;
                    }
                    Err(error) => tracing::error!(%error, "the new TLS certificate can't be used; the old one stays"),
                }
            }
        }
        Arc::clone(&loaded.key)
    }
}

fn versions(tls: &Tls) -> [Version; 2] {
    [&tls.cert, &tls.key].map(|path| {
        let found = fs::metadata(path);
        found.map_or((None, 0), |meta| (meta.modified().ok(), meta.len()))
    })
}

fn load(tls: &Tls, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let read = |path: &Path| fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source });
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(&tls.cert)?)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::Pem { path: tls.cert.clone(), what: "certificate" })?;
    if chain.is_empty() {
        return Err(TlsError::Pem { path: tls.cert.clone(), what: "certificate" });
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&tls.key)?)
        .map_err(|_| TlsError::Pem { path: tls.key.clone(), what: "private key" })?;
    Ok(Arc::new(CertifiedKey::from_der(chain, key, provider)?))
}
