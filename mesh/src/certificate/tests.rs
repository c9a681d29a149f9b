//! Certificates of ours and of others, and what is wrong with bad ones.

use std::sync::Arc;

use proptest::prelude::*;
use protocol::identity::{NodeKey, NodeSecret};
use protocol::seam::Entropy;
use rustls::client::ResolvesClientCert;
use rustls::server::ServerConnection;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, Error, RootCertStore, SignatureScheme, version};
use rustls_pki_types::ServerName;

use super::*;

/// Certificates of the libp2p specification, as it prints them: its ed25519 node, its ECDSA node, and the one whose
/// node signed another key.
const ED25519_NODE: &str = "308201ae30820156a0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f310a\
     300806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355040a\
     13096c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c901d423c\
     831ca85e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d8173e55bd37\
     e381569ea37c307a3078060a2b0601040183a25a0101046a3068042408011220a77f1d92fedb59dddaea5a1c4abd1ac2fbde7d7b879ed3\
     64501809923d7c11b90440d90d2769db992d5e6195dbb08e706b6651e024fda6cfb8846694a435519941cac215a8207792e42849cccc6c\
     d8136c6e4bde92a58c5e08cfd4206eb5fe0bf909300a06082a8648ce3d0403020346003043021f50f6b6c52711a881778718238f650c9f\
     b48943ae6ee6d28427dc6071ae55e702203625f116a7a454db9c56986c82a25682f7248ea1cb764d322ea983ed36a31b77";
const ECDSA_NODE: &str = "308201f63082019da0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f310a\
     300806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355040a\
     13096c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c901d423c\
     831ca85e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d8173e55bd37\
     e381569ea381c23081bf3081bc060a2b0601040183a25a01010481ad3081aa045f0803125b3059301306072a8648ce3d020106082a8648\
     ce3d03010703420004bf30511f909414ebdd3242178fd290f093a551cf75c973155de0bb5a96fedf6cb5d52da7563e794b512f66e60c7f\
     55ba8a3acf3dd72a801980d205e8a1ad29f2044730450220064ea8124774caf8f50e57f436aa62350ce652418c019df5d98a3ac666c938\
     6a022100aa59d704a931b5f72fb9222cb6cc51f954d04a4e2e5450f8805fe8918f71eaae300a06082a8648ce3d04030203470030440220\
     799395b0b6c1e940a7e4484705f610ab51ed376f19ff9d7c16757cfbf61b8d4302206205c03fbb0f95205c779be86581d3e31c01871ad5\
     d1f3435bcf375cb0e5088a";
const MISSIGNED: &str = "308201f73082019da0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f310a\
     300806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355040a\
     13096c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c901d423c\
     831ca85e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d8173e55bd37\
     e381569ea381c23081bf3081bc060a2b0601040183a25a01010481ad3081aa045f0803125b3059301306072a8648ce3d020106082a8648\
     ce3d03010703420004bf30511f909414ebdd3242178fd290f093a551cf75c973155de0bb5a96fedf6cb5d52da7563e794b512f66e60c7f\
     55ba8a3acf3dd72a801980d205e8a1ad29f204473045022100bb6e03577b7cc7a3cd1558df0da2b117dfdcc0399bc2504ebe7de6f65cad\
     e72802206de96e2a5be9b6202adba24ee0362e490641ac45c240db71fe955f2c5cf8df6e300a06082a8648ce3d04030203480030450221\
     00e847f267f43717358f850355bdcabbefb2cfbf8a3c043b203a14788a092fe8db022027c1d04a2d41fd6b57a7e8b3989e470325de4406\
     e52e084e34a3fd56eef0d0df";

#[derive(Debug)]
struct Fixed(u8);

impl Entropy for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn node() -> NodeSecret {
    NodeSecret::from_seed([7; 32])
}

/// A certificate with these extensions over the throw-away key 9.
fn with(extensions: &[Vec<u8>]) -> Vec<u8> {
    let throw_away = NodeSecret::from_seed([9; 32]);
    write(&throw_away, &spki(&throw_away.key()), extensions)
}

fn vouched(by: &NodeSecret, says: &NodeKey, tls: [u8; 32]) -> Vec<u8> {
    let signature = by.sign(&[PREFIX, &spki(&NodeSecret::from_seed(tls).key())].concat());
    extension(true, EXTENSION, &signed_key(says, &signature))
}

#[test]
fn a_certificate_proves_the_key_of_its_node() {
    let made = Certificate::new(&node(), &Fixed(3));
    assert_eq!(node_key(&made.der), Ok(node().key()));
    assert!(made.der.len() < 512, "{} bytes", made.der.len());
    let config = Tls::new(&made).unwrap();
    config.client(Expect::Anyone, b"a").unwrap();
    config.server(&[b"a"]).unwrap();
}

#[test]
fn certificates_of_the_libp2p_specification_are_read_as_it_says() {
    let key: NodeKey = "a77f1d92fedb59dddaea5a1c4abd1ac2fbde7d7b879ed364501809923d7c11b9".parse().unwrap();
    assert_eq!(node_key(&hex(ED25519_NODE)), Ok(key));
    assert_eq!(node_key(&hex(ECDSA_NODE)), Err(NotProven::KeyType), "nodes of a mesh have ed25519 keys");
    assert!(node_key(&hex(MISSIGNED)).is_err());
}

#[test]
fn an_extension_signed_by_someone_else_proves_nothing() {
    let (own, other) = (node(), NodeSecret::from_seed([8; 32]));
    assert_eq!(
        node_key(&with(&[vouched(&own, &own.key(), [9; 32])])),
        Ok(own.key()),
        "the frame of this test is sound"
    );
    assert_eq!(node_key(&with(&[vouched(&other, &own.key(), [9; 32])])), Err(NotProven::NodeSignature));
    assert_eq!(
        node_key(&with(&[vouched(&own, &own.key(), [10; 32])])),
        Err(NotProven::NodeSignature),
        "vouched for another TLS key: a certificate seen elsewhere is of no use"
    );
}

#[test]
fn a_certificate_not_signed_by_its_own_key_is_refused() {
    let mut bytes = with(&[vouched(&node(), &node().key(), [9; 32])]);
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(node_key(&bytes), Err(NotProven::SelfSignature));
}

#[test]
fn extensions_that_must_be_understood_are_refused_and_others_passed_over() {
    let ours = vouched(&node(), &node().key(), [9; 32]);
    let other = |critical| extension(critical, &[0x2a, 0x03, 0x04], b"anything");
    assert_eq!(node_key(&with(&[other(false), ours.clone()])), Ok(node().key()));
    assert_eq!(node_key(&with(&[other(true), ours.clone()])), Err(NotProven::Extension));
    assert_eq!(node_key(&with(&[other(false)])), Err(NotProven::Extension), "names no node");
    assert_eq!(node_key(&with(&[ours.clone(), ours])), Err(NotProven::Extension), "names one twice");
}

#[test]
fn what_is_too_large_is_not_read() {
    let ours = vouched(&node(), &node().key(), [9; 32]);
    let large = with(&[extension(false, &[0x2a, 0x03, 0x04], &[0; MAX_CERTIFICATE]), ours]);
    assert_eq!(node_key(&large), Err(NotProven::TooLarge));
}

/// A handshake in memory: what the dialler ends with, and the keys proven to either side.
fn handshake(client: ClientConfig) -> (Result<(), Error>, [Option<NodeKey>; 2]) {
    let server = Tls::new(&Certificate::new(&node(), &Fixed(3))).unwrap().server(&[b"a"]).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from("portolan").unwrap()).unwrap();
    let mut outcome = Ok(());
    for _ in 0..10 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        outcome = outcome.and(server.process_new_packets().map(drop));
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        outcome = outcome.and(client.process_new_packets().map(drop));
        if outcome.is_err() {
            return (outcome, [None; 2]);
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    (outcome, [proven(client.peer_certificates()), proven(server.peer_certificates())])
}

fn dialler(expect: Expect) -> (Certificate, ClientConfig) {
    let own = Certificate::new(&NodeSecret::from_seed([8; 32]), &Fixed(4));
    let config = Tls::new(&own).unwrap().client(expect, b"a").unwrap();
    (own, config)
}

#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn a_handshake_proves_both_keys() {
    let other = NodeSecret::from_seed([8; 32]).key();
    for expect in [Expect::Anyone, Expect::Node(node().key())] {
        assert_eq!(handshake(dialler(expect).1), (Ok(()), [Some(node().key()), Some(other)]));
    }
    assert!(handshake(dialler(Expect::Node(other)).1).0.is_err(), "another key was meant");
}

#[test]
fn who_shows_no_certificate_or_one_whose_key_it_has_not_is_refused() {
    let (_, mut config) = dialler(Expect::Anyone);
    config.client_auth_cert_resolver = Arc::new(Nothing);
    assert_eq!(handshake(config).0, Err(Error::NoCertificatesPresented));
    // A certificate that was seen in somebody's handshake, and a key of one's own.
    let (own, mut config) = dialler(Expect::Anyone);
    let seen = Certificate::new(&NodeSecret::from_seed([9; 32]), &Fixed(5));
    let key = ring::sign::any_eddsa_type(&own.key).unwrap();
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![seen.der], key));
    config.client_auth_cert_resolver = Arc::new(shown);
    assert!(matches!(handshake(config).0, Err(Error::InvalidCertificate(_))));
}

#[test]
fn an_older_tls_is_refused() {
    let provider = Arc::new(ring::default_provider());
    let older = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&version::TLS12]).unwrap();
    let mut older = older.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    older.alpn_protocols = vec![b"a".to_vec()];
    assert!(matches!(handshake(older).0, Err(Error::PeerIncompatible(_))));
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(node_key(&bytes).is_err());
    }

    #[test]
    fn a_certificate_with_anything_changed_is_refused(at: prop::sample::Index, flip in 1u8.., cut: bool) {
        let mut bytes = Certificate::new(&node(), &Fixed(3)).der.to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        prop_assert!(node_key(&bytes).is_err());
    }

    #[test]
    fn lengths_that_lie_are_refused(tag: u8, len in proptest::collection::vec(any::<u8>(), 1..6), rest: Vec<u8>) {
        let bytes = [&[tag][..], &len, &rest].concat();
        if let Some((found, content, whole)) = Reader(&bytes).any() {
            prop_assert_eq!(found, tag);
            prop_assert_eq!(der::value(tag, &[content]), whole, "one value has one encoding");
        }
    }
}
