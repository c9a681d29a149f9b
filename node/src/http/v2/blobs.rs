//! `…/blobs/<digest>`: download, check, delete.

use std::io;
use std::sync::Arc;

use http::StatusCode;
use http::header::{IF_RANGE, RANGE};
use protocol::{Digest, RepositoryName};

use super::super::Response;
use super::super::blocks::{Block, SMALL};
use super::super::body::{Body, Piece, read_whole};
use super::super::call::Call;
use super::super::error::Error;
use super::{bare, is_known, not_modified, ranges, set_digest};
use crate::policy::{Delete, Pull, Push};
use crate::registry::{BlobError, Fault, OpenBlob};
use crate::storage::meta::MetaError;
use crate::storage::store::StoreError;

pub(super) async fn get(call: &Call, name: &RepositoryName, digest: &Digest) -> Result<Response, Error> {
    let permit = call.permit::<Pull>(name)?;
    let open = call.registry().open_blob(&permit, digest).await?;
    if is_known(call, digest) {
        return Ok(not_modified(digest, ranges::CACHE));
    }
    let plan = ranges::plan(digest, open.size, call.header(RANGE), call.header(IF_RANGE), || boundary(call))?;
    let body = body(call, open, plan.pieces).await?;
    let mut response = Response::new(body);
    *response.status_mut() = plan.status;
    *response.headers_mut() = plan.headers;
    set_digest(&mut response, digest);
    call.app.metrics().blobs_served.inc();
    Ok(response)
}

/// What is small is read before the head is sent: it can still fail as an answer, and costs one read.
async fn body(call: &Call, open: OpenBlob, pieces: Vec<Piece>) -> Result<Body, Error> {
    match pieces.as_slice() {
        [] => Ok(Body::empty()),
        [Piece::Part(part)] if part.len() <= SMALL as u64 => {
            let len = usize::try_from(part.len()).map_err(Error::internal)?;
            let mut block = call.app.blocks.take(len);
            match open.file.read_cached_at(block.space(), part.start) {
                Ok(read) if read == len => Ok(Body::full(block.into_bytes())),
                // Partly cached, or not at all: the disk has to be waited for.
                Ok(_) => wait_for(call, open, block, part.start).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_for(call, open, block, part.start).await
                }
                Err(error) => Err(Error::internal(error)),
            }
        }
        _ => Ok(Body::file(open.file, pieces, &call.app.blocks, &call.app.parts.scope)),
    }
}

async fn wait_for(call: &Call, open: OpenBlob, mut block: Block, at: u64) -> Result<Body, Error> {
    let file = Arc::clone(&open.file);
    let read = call.app.parts.scope.run_blocking("read small blob", move || {
        read_whole(&*file, block.space(), at)?;
        io::Result::Ok(block)
    });
    Ok(Body::full(read.await.map_err(Error::internal)?.map_err(Error::internal)?.into_bytes()))
}

/// Text nobody could foresee, so that no blob can be made to contain it.
fn boundary(call: &Call) -> String {
    let mut bytes = [0; 16];
    call.app.parts.entropy.fill(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// One who may push will rely on the answer, so for them the blob is kept a while.
pub(super) async fn head(call: &Call, name: &RepositoryName, digest: &Digest) -> Result<Response, Error> {
    let permit = call.permit::<Pull>(name)?;
    let blob = match call.may::<Push>(name) {
        Some(push) => match call.registry().blob_for_push(&push, digest).await {
            Err(error) if is_read_only(&error) => call.registry().blob(&permit, digest).await,
            answered => answered,
        },
        None => call.registry().blob(&permit, digest).await,
    }?;
    if is_known(call, digest) {
        return Ok(not_modified(digest, ranges::CACHE));
    }
    let mut response = Response::new(Body::empty());
    ranges::describe(response.headers_mut(), blob.size);
    set_digest(&mut response, digest);
    Ok(response)
}

/// On a store that takes no writes nothing can be kept for a push, which can't succeed anyway; reads go on.
const fn is_read_only(error: &BlobError) -> bool {
    matches!(error, BlobError::Fault(Fault::Store(StoreError::Meta(MetaError::ReadOnly(_)))))
}

pub(super) async fn delete(call: &Call, name: &RepositoryName, digest: &Digest) -> Result<Response, Error> {
    let permit = call.permit::<Delete>(name)?;
    call.registry().delete_blob(&permit, digest, &call.id).await?;
    Ok(bare(StatusCode::ACCEPTED))
}
