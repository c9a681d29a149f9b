//! What a client of a registry does, on one kept connection. Owns the connection; files served by nginx are fetched by
//! the same calls, and written to its directory.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use crate::data::{Blob, MANIFEST};
use crate::http::{Connection, Head};
use crate::server::{REPOSITORY, Server};
use crate::token::path_of;

/// How a blob is pushed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushStyle {
    /// POST, PATCH with the bytes, PUT with the digest: what docker, containerd and skopeo do.
    Streamed,
    /// POST, then PUT with bytes and digest.
    Monolithic,
}

/// One client of one server.
pub(crate) struct Client<'s> {
    server: &'s Server,
    connection: Connection,
}

impl<'s> Client<'s> {
    /// Opens the connection.
    pub(crate) fn connect(server: &'s Server) -> io::Result<Self> {
        Ok(Self { server, connection: Connection::open(server.addr)? })
    }

    /// Fetches a blob and discards it; with `until`, leaves off then. Answers the bytes that arrived.
    pub(crate) fn pull_blob(&mut self, blob: &Blob, until: Option<Instant>) -> io::Result<u64> {
        let target = self.server.blob_target(&blob.digest);
        let head = self.request("GET", &target, &[], &[], 200)?;
        if head.content_length() != Some(blob.len()) {
            return Err(io::Error::other(format!("{target} has another length than the blob pushed")));
        }
        self.connection.discard(&head, until)
    }

    /// Fetches a manifest and discards it. Answers its length.
    pub(crate) fn pull_manifest(&mut self, reference: &str) -> io::Result<u64> {
        let target = self.server.manifest_target(reference);
        let head = self.request("GET", &target, &[("Accept", MANIFEST)], &[], 200)?;
        self.connection.discard(&head, None)
    }

    /// Pushes a blob; where there is no registry, writes and syncs the file.
    pub(crate) fn push_blob(&mut self, blob: &Blob, style: PushStyle) -> io::Result<()> {
        if !self.server.is_registry() {
            return write_file(&self.server.blob_file(&blob.digest), &blob.parts());
        }
        let octets = [("Content-Type", "application/octet-stream")];
        let post = format!("/v2/{REPOSITORY}/blobs/uploads/");
        let mut session = self.accepted("POST", &post, &[], &[])?;
        let mut rest: &[&[u8]] = &blob.parts();
        if style == PushStyle::Streamed {
            session = self.accepted("PATCH", &session, &octets, rest)?;
            rest = &[];
        }
        let separator = if session.contains('?') { '&' } else { '?' };
        let put = format!("{session}{separator}digest={}", blob.digest);
        let head = self.request("PUT", &put, &octets, rest, 201)?;
        self.connection.discard(&head, None).map(drop)
    }

    /// Puts a manifest under `reference` and the tags beside it, which go into the query (`?tag=`). Answers how many
    /// of those the server says it set.
    pub(crate) fn push_manifest(&mut self, manifest: &[u8], reference: &str, tags: &[String]) -> io::Result<usize> {
        let mut target = self.server.manifest_target(reference);
        if !self.server.is_registry() {
            return write_file(&self.server.data.join("manifests").join(reference), &[manifest]).map(|()| 0);
        }
        for (index, tag) in tags.iter().enumerate() {
            target.push_str(if index == 0 { "?tag=" } else { "&tag=" });
            target.push_str(tag);
        }
        let head = self.request("PUT", &target, &[("Content-Type", MANIFEST)], &[manifest], 201)?;
        self.connection.discard(&head, None)?;
        Ok(head.headers("oci-tag").count())
    }

    /// Counts the repository's tags, page by page.
    pub(crate) fn count_tags(&mut self) -> io::Result<usize> {
        let mut target = format!("/v2/{REPOSITORY}/tags/list?n=1000");
        let mut count = 0;
        loop {
            let head = self.request("GET", &target, &[], &[], 200)?;
            let page: serde_json::Value = serde_json::from_slice(&self.connection.body(&head, 1024 * 1024)?)?;
            count += page["tags"].as_array().map_or(0, Vec::len);
            let next = head.header("link").and_then(|link| link.strip_prefix('<')?.split_once('>'));
            match next {
                Some((url, _)) => target = path_of(url).to_owned(),
                None => return Ok(count),
            }
        }
    }

    /// A request as it stands, without the token of the server; the answer's body is discarded.
    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        self.ask_in_vain(method, target, headers, body, |status| status / 100 == 2)
    }

    /// The same, for an answer that need not be a success.
    pub(crate) fn ask_in_vain(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        wanted: impl Fn(u16) -> bool,
    ) -> io::Result<()> {
        let parts: &[&[u8]] = if body.is_empty() { &[] } else { &[body] };
        let head = self.connection.request(method, target, headers, parts)?;
        // The answer to HEAD has the length of what it does not bring.
        if wanted(head.status) {
            return if method == "HEAD" { Ok(()) } else { self.connection.discard(&head, None).map(drop) };
        }
        let said = self.connection.body(&head, 64 * 1024).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        Err(io::Error::other(format!("{method} {target}: status {}: {said}", head.status)))
    }

    /// A step of an upload: 202, and where to go on.
    fn accepted(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[&[u8]]) -> io::Result<String> {
        let head = self.request(method, target, headers, body, 202)?;
        self.connection.discard(&head, None)?;
        let location = head.header("location").ok_or_else(|| io::Error::other("an upload without Location"))?;
        Ok(path_of(location).to_owned())
    }

    fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[&[u8]],
        wanted: u16,
    ) -> io::Result<Head> {
        let token = self.server.bearer.as_ref().map(|bearer| bearer.header()).transpose()?;
        let mut all = headers.to_vec();
        if let Some(token) = &token {
            all.push(("Authorization", token));
        }
        let head = self.connection.request(method, target, &all, body)?;
        if head.status == wanted {
            return Ok(head);
        }
        let said = self.connection.body(&head, 64 * 1024).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        Err(io::Error::other(format!("{method} {target}: status {} in place of {wanted}: {said}", head.status)))
    }
}

fn write_file(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::create(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}
