//! TLS as every transport uses it: version 1.3 alone, both sides with a certificate, nothing kept for a later
//! connection (no tickets, no 0-RTT), no key log. Holds no state.

use std::sync::Arc;

use protocol::identity::NodeKey;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, ServerConfig,
    SignatureScheme, version,
};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};

use super::{Certificate, NotProven, node_key, tls_key};

/// Whom a dialler wants to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This node and no other.
    Node(NodeKey),
    /// Whoever answers: only for a newcomer, who then looks at the key.
    Anyone,
}

/// What a node shows in every handshake.
#[derive(Debug)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    shown: Arc<SingleCertAndKey>,
}

impl Tls {
    /// With this certificate.
    ///
    /// # Errors
    /// rustls's, when the key is not usable.
    pub fn new(certificate: &Certificate) -> Result<Self, Error> {
        let key = ring::sign::any_eddsa_type(&certificate.key)?;
        // Not `with_single_cert`: it reads the certificate itself and refuses the critical extension.
        let shown = Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![certificate.der.clone()], key)));
        Ok(Self { provider: Arc::new(ring::default_provider()), shown })
    }

    /// For those who dial: `alpn` alone is offered.
    ///
    /// # Errors
    /// rustls's, when it has no such version.
    pub fn client(&self, expect: Expect, alpn: &[u8]) -> Result<ClientConfig, Error> {
        let verifier = Arc::new(Verifier::new(&self.provider, expect));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::clone(&self.shown) as Arc<_>);
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = Resumption::disabled();
        // The name of a node is its key, and that is nobody's business on the way.
        config.enable_sni = false;
        Ok(config)
    }

    /// For those who are dialled.
    ///
    /// # Errors
    /// rustls's, when it has no such version.
    pub fn server(&self, alpns: &[&[u8]]) -> Result<ServerConfig, Error> {
        let verifier = Arc::new(Verifier::new(&self.provider, Expect::Anyone));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&self.shown) as Arc<_>);
        config.alpn_protocols = alpns.iter().map(|alpn| alpn.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }
}

/// The node key of whoever is at the other end, as rustls or quinn say it.
pub(crate) fn proven(chain: Option<&[CertificateDer<'_>]>) -> Option<NodeKey> {
    match chain {
        Some([one]) => node_key(one).ok(),
        Some(_) | None => None,
    }
}

#[derive(Debug)]
struct Verifier {
    expect: Expect,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn new(provider: &CryptoProvider, expect: Expect) -> Self {
        Self { expect, algorithms: provider.signature_verification_algorithms }
    }

    fn check(&self, certificate: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !others.is_empty() {
            return Err(CertificateError::BadEncoding.into());
        }
        let key = node_key(certificate).map_err(|why| {
            Error::InvalidCertificate(match why {
                NotProven::Encoding | NotProven::TooLarge => CertificateError::BadEncoding,
                NotProven::Extension => CertificateError::UnhandledCriticalExtension,
                NotProven::KeyType | NotProven::SelfSignature | NotProven::NodeSignature => {
                    CertificateError::BadSignature
                }
            })
        })?;
        match self.expect {
            Expect::Node(expected) if expected != key => Err(CertificateError::NotValidForName.into()),
            Expect::Node(_) | Expect::Anyone => Ok(()),
        }
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Not `verify_tls13_signature`: it reads the certificate itself and refuses the critical extension.
        let key = tls_key(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(key);
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }
}

/// TLS 1.2 is not offered; whoever speaks it anyway is refused.
fn not_offered() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        not_offered()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        not_offered()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
