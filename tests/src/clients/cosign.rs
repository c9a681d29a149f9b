//! cosign with a key pair, offline: no transparency log, no identity provider. Owns its home with keys and credentials.

use super::Client;
use crate::{node::Registry, process::Finished};

/// The program's name.
pub const PROGRAM: &str = "cosign";

/// How a signature is kept beside what it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// A sigstore bundle as an OCI referrer, cosign 3's way.
    Referrer,
    /// A tag `sha256-….sig`, the way of cosign 2 and of everything signed by it.
    Tag,
}

/// cosign with one key pair, bound to one registry.
#[derive(Debug)]
pub struct Cosign {
    client: Client,
    registry: Registry,
}

impl Cosign {
    /// Sets cosign up for `registry`, signed out, with a new key pair.
    pub fn at(registry: &Registry) -> Self {
        let client = Client::new(PROGRAM).trusting(registry).with_env("COSIGN_PASSWORD", "");
        client.ok(&["generate-key-pair"]);
        Self { client, registry: registry.clone() }
    }

    /// Signs in; cosign keeps the credentials unchecked.
    #[track_caller]
    pub fn login(&self, user: &str, password: &str) {
        self.client.ok(&["login", &self.registry.host, "-u", user, "-p", password]);
    }

    /// Signs what a digest reference (`repo@sha256:…`) names.
    #[track_caller]
    pub fn sign(&self, name: &str, attachment: Attachment) {
        let bundle = format!("--new-bundle-format={}", attachment == Attachment::Referrer);
        let offline = ["--use-signing-config=false", "--tlog-upload=false", "--yes", "--key", "cosign.key"];
        let mut arguments = vec!["sign", &bundle];
        arguments.extend(offline);
        self.remote(&arguments, name).expect_success();
    }

    /// Verifies the signatures of what a reference names with this key; success not required.
    pub fn verify(&self, name: &str, attachment: Attachment) -> Finished {
        let bundle = format!("--new-bundle-format={}", attachment == Attachment::Referrer);
        self.remote(&["verify", &bundle, "--key", "cosign.pub", "--insecure-ignore-tlog=true"], name)
    }

    /// What cosign sees attached to a reference.
    #[track_caller]
    pub fn tree(&self, name: &str) -> String {
        self.remote(&["tree"], name).expect_success().everything()
    }

    fn remote(&self, arguments: &[&str], name: &str) -> Finished {
        let mut all = arguments.to_vec();
        if !self.registry.is_tls() {
            all.push("--allow-http-registry");
        }
        let reference = self.registry.reference(name);
        all.push(&reference);
        self.client.run(&all)
    }
}
