//! A certificate authority for one test, and server certificates by it. Owns a temporary directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::process;

/// A test authority with one server certificate for the loopback names.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// Makes a new authority and a server certificate for `127.0.0.1` and `localhost`.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let authority = Self { folder };
        let path = |name: &str| authority.folder.path().join(name).display().to_string();
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let mut root = vec!["req", "-x509", "-days", "30", "-subj", "/CN=Portolan test authority"];
        let (root_key, root_cert) = (path("ca.key"), path("ca.crt"));
        root.extend(curve);
        root.extend(["-keyout", &root_key, "-out", &root_cert]);
        process::output("openssl", &root);

        let (key, request, certificate) = (path("server.key"), path("server.csr"), path("server.crt"));
        let mut server = vec!["req", "-new", "-subj", "/CN=localhost"];
        server.extend(curve);
        server.extend(["-keyout", &key, "-out", &request]);
        process::output("openssl", &server);

        let extensions = path("extensions");
        let names =
            "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:false\n";
        fs::write(&extensions, names).expect("the extensions are written");
        let sign = ["x509", "-req", "-days", "30", "-CAcreateserial", "-in", &request, "-CA", &root_cert];
        let mut sign = sign.to_vec();
        sign.extend(["-CAkey", &root_key, "-extfile", &extensions, "-out", &certificate]);
        process::output("openssl", &sign);

        // Clients of the containers family take a directory and trust every *.crt in it, so it holds only the root.
        fs::create_dir(authority.cert_dir()).expect("the trust directory");
        fs::copy(&root_cert, authority.cert_dir().join("ca.crt")).expect("the root is copied");
        authority
    }

    /// The authority's own certificate, PEM.
    pub fn root(&self) -> PathBuf {
        self.cert_dir().join("ca.crt")
    }

    /// A directory with nothing but the authority's certificate, for `--cert-dir`.
    pub fn cert_dir(&self) -> PathBuf {
        self.folder.path().join("trust")
    }

    /// The server's certificate, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.file("server.crt")
    }

    /// The server's private key, PEM.
    pub fn key(&self) -> PathBuf {
        self.file("server.key")
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
