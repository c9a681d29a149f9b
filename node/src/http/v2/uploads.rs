//! `…/blobs/uploads/`: every way to bring a blob in.
//!
//! Who is asking, and whether they may, is settled before a byte of a body is read, whatever its length; a client that
//! waits for `100 Continue` has sent none by then.

use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderName, StatusCode};
use protocol::byte_range::parse_chunk;
use protocol::{Algorithm, ByteRange, Digest, RepositoryName};

use super::super::Response;
use super::super::body::Receiving;
use super::super::call::Call;
use super::super::challenge::Challenge;
use super::super::error::Error;
use super::super::query::Query;
use super::{bare, location, set, set_digest};
use crate::auth::Action;
use crate::policy::{Permit, Push};
use crate::registry::{Mounted, Received, SessionInfo, UploadError, UploadId, Writer};

const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Begins a session, mounts a blob, or takes a whole blob at once.
pub(super) async fn post(call: &Call, name: &RepositoryName, body: &mut Receiving) -> Result<Response, Error> {
    let query = call.query()?;
    let from = query.one("from")?.and_then(|text| text.parse().ok());
    let permit = call.gate().permit::<Push>(&call.principal, name).map_err(|denied| {
        call.denied(denied, || {
            let help = Challenge::repository(name, Action::Push);
            from.as_ref().map_or_else(|| help.clone(), |from| help.clone().and_pull(from))
        })
    })?;
    if let Some(text) = query.one("mount")? {
        let digest: Digest = text.parse()?;
        // A source that can't be a name is like one that may not be read: a session begins instead.
        let odd_source = from.is_none() && query.one("from")?.is_some_and(|text| !text.is_empty());
        return if odd_source {
            begin(call, &permit, digest.algorithm()).await
        } else {
            mount(call, &permit, &digest, from.as_ref()).await
        };
    }
    if let Some(text) = query.one("digest")? {
        return whole(call, &permit, text.parse()?, body).await;
    }
    let algorithm = query.one("digest-algorithm")?.map(str::parse).transpose()?.unwrap_or(Algorithm::Sha256);
    begin(call, &permit, algorithm).await
}

async fn begin(call: &Call, permit: &Permit<Push>, algorithm: Algorithm) -> Result<Response, Error> {
    let begun = call.registry().begin_upload(permit, algorithm, &call.id).await;
    let session = begun.map_err(|error| Error::upload(error, permit.repository()))?;
    call.app.metrics().uploads_begun.inc();
    Ok(progress(StatusCode::ACCEPTED, &session))
}

async fn mount(
    call: &Call,
    permit: &Permit<Push>,
    digest: &Digest,
    from: Option<&RepositoryName>,
) -> Result<Response, Error> {
    if let Some(from) = from {
        wider_token_helps(call, permit.repository(), from)?;
    }
    let outcome = call.registry().mount(permit, call.gate(), &call.principal, digest, from, &call.id).await;
    match outcome.map_err(|error| Error::upload(error, permit.repository()))? {
        Mounted::Done(received) => {
            call.app.metrics().mounts.inc();
            Ok(created(permit.repository(), &received))
        }
        Mounted::Upload(session) => {
            call.app.metrics().uploads_begun.inc();
            Ok(progress(StatusCode::ACCEPTED, &session))
        }
    }
}

/// A token that was never asked for the source, shown by an account that may read it: another token makes the mount
/// possible, so the client is told which. It learns its own account's right and nothing about the source. All others
/// get a session, so one who asked and was not granted the source is not sent back for ever.
fn wider_token_helps(call: &Call, name: &RepositoryName, from: &RepositoryName) -> Result<(), Error> {
    let asked = call.principal.scope_names(from);
    if asked || !call.gate().allows(&call.principal, Action::Pull, from) {
        return Ok(());
    }
    let help = Challenge::repository(name, Action::Push).and_pull(from).insufficient();
    Err(Error::unauthorized(help, "this token leaves no room for reading the source of the mount: get one that does"))
}

/// A single POST with the whole blob.
async fn whole(call: &Call, permit: &Permit<Push>, digest: Digest, body: &mut Receiving) -> Result<Response, Error> {
    let name = permit.repository();
    let begun = call.registry().begin_upload_once(permit, digest.algorithm(), &call.id).await;
    let mut writer = begun.map_err(|error| Error::upload(error, name))?;
    append(&mut writer, body, None).await?;
    finish(call, permit, writer, digest).await
}

/// How far a session has come.
pub(super) async fn get(call: &Call, name: &RepositoryName, id: &UploadId) -> Result<Response, Error> {
    let permit = call.permit::<Push>(name)?;
    let session = call.registry().upload(&permit, id).await.map_err(|error| Error::upload(error, name))?;
    Ok(progress(StatusCode::NO_CONTENT, &session))
}

/// The next chunk, or a stream of what there is.
pub(super) async fn patch(
    call: &Call,
    name: &RepositoryName,
    id: &UploadId,
    body: &mut Receiving,
) -> Result<Response, Error> {
    let permit = call.permit::<Push>(name)?;
    let chunk = chunk(call)?;
    let opened = call.registry().open_upload(&permit, id).await;
    let mut writer = opened.map_err(|error| Error::upload(error, name))?;
    if chunk.is_some() {
        // It says where it belongs, so it is sent again from there.
        writer = writer.without_checkpoints();
    }
    in_order(&writer, chunk, name)?;
    append(&mut writer, body, chunk).await?;
    let session = writer.checkpoint().await?;
    Ok(progress(StatusCode::ACCEPTED, &session))
}

/// The last chunk, if there is one left, and the end of the session.
pub(super) async fn put(
    call: &Call,
    name: &RepositoryName,
    id: &UploadId,
    body: &mut Receiving,
) -> Result<Response, Error> {
    let permit = call.permit::<Push>(name)?;
    let digest = named_digest(&call.query()?)?;
    let chunk = chunk(call)?;
    let opened = call.registry().open_upload(&permit, id).await;
    // Sent again as it was when it breaks off.
    let mut writer = opened.map_err(|error| Error::upload(error, name))?.without_checkpoints();
    in_order(&writer, chunk, name)?;
    append(&mut writer, body, chunk).await?;
    finish(call, &permit, writer, digest).await
}

/// Gives a session up.
pub(super) async fn delete(call: &Call, name: &RepositoryName, id: &UploadId) -> Result<Response, Error> {
    // Who began it may end it: the right to push, not the right to delete content.
    let permit = call.permit::<Push>(name)?;
    call.registry().cancel_upload(&permit, id).await.map_err(|error| Error::upload(error, name))?;
    Ok(bare(StatusCode::NO_CONTENT))
}

fn named_digest(query: &Query<'_>) -> Result<Digest, Error> {
    let missing = || Error::bad("DIGEST_INVALID", "say which digest the blob has: ?digest=sha256:…");
    Ok(query.one("digest")?.ok_or_else(missing)?.parse()?)
}

/// Which part of the blob the body is, when the client says so, and says the same by `Content-Length`.
fn chunk(call: &Call) -> Result<Option<ByteRange>, Error> {
    let Some(header) = call.headers().get(CONTENT_RANGE) else { return Ok(None) };
    let Some(range) = header.to_str().ok().and_then(parse_chunk) else {
        return Err(Error::bad("BLOB_UPLOAD_INVALID", "Content-Range of a chunk is written first-last, both included"));
    };
    match call.content_length() {
        Some(length) if length != range.len() => {
            let message = format!("Content-Range says {} bytes and Content-Length {length}", range.len());
            Err(Error::bad("SIZE_INVALID", message))
        }
        Some(_) | None => Ok(Some(range)),
    }
}

fn in_order(writer: &Writer, chunk: Option<ByteRange>, name: &RepositoryName) -> Result<(), Error> {
    let info = writer.info();
    match chunk {
        Some(chunk) if chunk.start != info.offset => {
            let error = UploadError::OutOfOrder { offset: info.offset, id: info.id.clone() };
            Err(Error::upload(error, name))
        }
        Some(_) | None => Ok(()),
    }
}

/// Appends the body. When it breaks, or is not as long as it said, the writer is dropped with it and the session stays
/// at its last checkpoint.
async fn append(writer: &mut Writer, body: &mut Receiving, chunk: Option<ByteRange>) -> Result<(), Error> {
    let claimed = chunk.map(ByteRange::len);
    while let Some(bytes) = body.next().await? {
        if let Some(claimed) = claimed.filter(|claimed| body.taken() > *claimed) {
            return Err(wrong_length(claimed, body.taken(), writer));
        }
        writer.append(bytes).await?;
    }
    match claimed {
        Some(claimed) if body.taken() != claimed => Err(wrong_length(claimed, body.taken(), writer)),
        Some(_) | None => Ok(()),
    }
}

fn wrong_length(claimed: u64, actual: u64, writer: &Writer) -> Error {
    Error::upload(UploadError::WrongLength { claimed, actual }, &writer.info().repository)
}

async fn finish(call: &Call, permit: &Permit<Push>, writer: Writer, digest: Digest) -> Result<Response, Error> {
    let finished = call.registry().finish_upload(permit, writer, digest, &call.id).await;
    let received = finished.map_err(|error| Error::upload(error, permit.repository()))?;
    call.app.metrics().uploads_finished.inc();
    Ok(created(permit.repository(), &received))
}

fn created(name: &RepositoryName, received: &Received) -> Response {
    let mut response = bare(StatusCode::CREATED);
    set(&mut response, LOCATION, location::blob(name, &received.digest));
    set_digest(&mut response, &received.digest);
    response
}

fn progress(status: StatusCode, session: &SessionInfo) -> Response {
    let mut response = bare(status);
    set(&mut response, LOCATION, location::upload(&session.repository, &session.id));
    set(&mut response, RANGE, location::progress(session.offset));
    set(&mut response, DOCKER_UPLOAD_UUID, session.id.to_string());
    response
}
