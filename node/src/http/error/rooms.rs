//! What a client is told of the errors of the rooms: the one place where they become status codes. No state.
//!
//! Matches here are exhaustive: a new error of a room does not compile until someone has decided what a client is told.

use http::header::{ALLOW, LOCATION, RANGE};
use http::{HeaderValue, StatusCode};
use protocol::digest::DigestError;
use protocol::reference::ReferenceError;
use protocol::{Digest, RepositoryName, manifest};
use serde_json::json;

use super::{Entry, Error};
use crate::auth::AuthError;
use crate::directory::DirectoryError;
use crate::http::challenge::Challenge;
use crate::http::query::QueryError;
use crate::http::v2::location;
use crate::http::v2::route::RouteError;
use crate::registry::{
    BlobError, Fault, ManifestError, PeopleError, RecordsError, RoleError, ShelfError, TagError, UploadError,
};
use crate::storage::blobs::BlobStoreError;
use crate::storage::meta::MetaError;
use crate::storage::store::StoreError;
use crate::storage::uploads as staging;

/// Most pieces of missing content named in one answer.
const MAX_MISSING: usize = 64;

impl Error {
    /// Credentials that made no principal. What would help depends on what was asked for.
    #[must_use]
    pub fn authentication(error: AuthError, challenge: Challenge) -> Self {
        match error {
            AuthError::Invalid => Self::unauthorized(challenge.invalid_token(), error.to_string()),
            AuthError::Busy => Self::too_many(1, error.to_string()),
            AuthError::Slow(wait) => {
                Self::too_many(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1), error.to_string())
            }
            AuthError::Meta(error) => error.into(),
            AuthError::Directory(error) => Self::internal(error),
        }
    }

    /// An upload that did not go on; the session's place is told where the client can use it.
    #[must_use]
    pub fn upload(error: UploadError, repository: &RepositoryName) -> Self {
        match error {
            UploadError::NoProject => Self::no_project(),
            UploadError::OutOfOrder { offset, id } => {
                let message = format!("the next byte this upload takes is {offset}: send from there");
                Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message)
                    .text_header(LOCATION, location::upload(repository, &id))
                    .text_header(RANGE, location::progress(offset))
            }
            UploadError::WrongLength { claimed, actual } => Self::bad(
                "SIZE_INVALID",
                format!("Content-Range says {claimed} bytes and the body has {actual}: send the chunk again"),
            ),
            UploadError::Staging(error) => error.into(),
            UploadError::Fault(fault) => fault.into(),
        }
    }

    fn no_project() -> Self {
        Self::absent(
            "NAME_UNKNOWN",
            "the project (the first part of the name) is not there, and this node makes none on push: create it first",
        )
    }

    fn read_only(cause: &str) -> Self {
        Self::unavailable(
            60,
            "the store of this node is read-only since a write to its disk failed; pulls still work, and an operator \
             has to look at the disk and restart the node",
        )
        .cause(cause)
    }

    fn full(cause: impl std::fmt::Display) -> Self {
        Self::unavailable(60, "this node has no room for uploads at the moment; deletes still work").cause(cause)
    }

    fn missing(blobs: &[Digest], children: &[Digest]) -> Self {
        let entry = |digest: &Digest, what: &str| Entry {
            code: "MANIFEST_BLOB_UNKNOWN",
            message: format!("the manifest names a {what} this repository does not hold: push that first").into(),
            detail: Some(json!({ "digest": digest })),
        };
        let all = blobs.iter().map(|d| entry(d, "blob")).chain(children.iter().map(|d| entry(d, "manifest")));
        let mut error =
            Self::absent("MANIFEST_BLOB_UNKNOWN", "the manifest names content this repository does not hold");
        let entries: Vec<_> = all.take(MAX_MISSING).collect();
        if !entries.is_empty() {
            error.0.entries = entries;
        }
        error
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        Self::bad("UNSUPPORTED", error.to_string())
    }
}

impl From<DigestError> for Error {
    fn from(error: DigestError) -> Self {
        let code = match error {
            DigestError::UnsupportedAlgorithm => "UNSUPPORTED",
            DigestError::NoColon | DigestError::WrongLength { .. } | DigestError::NotLowerHex => "DIGEST_INVALID",
        };
        Self::bad(code, error.to_string())
    }
}

impl From<ReferenceError> for Error {
    fn from(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Tag => Self::bad("MANIFEST_INVALID", error.to_string()),
            ReferenceError::Digest(error) => error.into(),
        }
    }
}

impl From<RouteError> for Error {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Unknown => Self::no_route(),
            RouteError::Name(name) => Self::bad("NAME_INVALID", name.to_string()),
            RouteError::Digest(digest) => digest.into(),
            RouteError::Reference(reference) => reference.into(),
            RouteError::UploadId => Self::absent("BLOB_UPLOAD_UNKNOWN", error.to_string()),
        }
    }
}

impl From<MetaError> for Error {
    fn from(error: MetaError) -> Self {
        match &error {
            MetaError::ReadOnly(cause) => Self::read_only(cause),
            MetaError::Full => Self::full(&error),
            MetaError::Busy => Self::unavailable(1, "too many writes are waiting; try again shortly"),
            MetaError::Damaged(_) | MetaError::Engine(_) => Self::internal(&error),
        }
    }
}

impl From<BlobStoreError> for Error {
    fn from(error: BlobStoreError) -> Self {
        match &error {
            BlobStoreError::ReadOnly(cause) => Self::read_only(cause),
            BlobStoreError::Full => Self::full(&error),
            BlobStoreError::Io(_) => Self::internal(&error),
        }
    }
}

impl From<staging::UploadError> for Error {
    fn from(error: staging::UploadError) -> Self {
        use staging::UploadError as Staging;
        match &error {
            Staging::Unknown => Self::absent("BLOB_UPLOAD_UNKNOWN", error.to_string()),
            Staging::Busy => Self::new(StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID", error.to_string()).retry_after(1),
            Staging::TooMany { .. } => Self::too_many(10, error.to_string()),
            Staging::TooLarge { limit } => Self::too_large(*limit, "a blob"),
            Staging::DigestMismatch { expected, actual } => {
                Self::bad("DIGEST_INVALID", error.to_string()).detail(json!({ "expected": expected, "actual": actual }))
            }
            Staging::Full(cause) => Self::full(cause),
            Staging::ReadOnly(cause) => Self::read_only(cause),
            Staging::Io(_) => Self::internal(&error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Meta(error) => error.into(),
            StoreError::Blobs(error) => error.into(),
            StoreError::Uploads(error) => error.into(),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error.into(),
            Fault::Lost(lost) => Self::internal(lost),
        }
    }
}

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Unknown => Self::absent("BLOB_UNKNOWN", error.to_string()),
            // To a puller a damaged blob is an absent one: there is nothing to give.
            BlobError::Damaged => Self::absent("BLOB_UNKNOWN", error.to_string()),
            BlobError::Pinned { by } => Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                "a manifest of this repository needs this blob: delete that manifest first",
            )
            .header(ALLOW, HeaderValue::from_static("GET, HEAD"))
            .detail(json!({ "manifest": by })),
            BlobError::Fault(fault) => fault.into(),
        }
    }
}

impl From<manifest::ManifestError> for Error {
    fn from(error: manifest::ManifestError) -> Self {
        use manifest::ManifestError as Invalid;
        match &error {
            Invalid::TooLarge { .. } => Self::too_large(manifest::MAX_BYTES as u64, "a manifest"),
            Invalid::Json(_)
            | Invalid::Shape(_)
            | Invalid::Schema1
            | Invalid::UnknownType(_)
            | Invalid::TypeMismatch { .. }
            | Invalid::NoType
            | Invalid::Ambiguous
            | Invalid::TooManyDescriptors { .. } => Self::bad("MANIFEST_INVALID", error.to_string()),
        }
    }
}

impl From<ManifestError> for Error {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Unknown => Self::absent("MANIFEST_UNKNOWN", error.to_string()),
            ManifestError::Invalid(invalid) => invalid.into(),
            ManifestError::DigestMismatch { expected, actual } => {
                Self::bad("DIGEST_INVALID", error.to_string()).detail(json!({ "expected": expected, "actual": actual }))
            }
            ManifestError::Missing { blobs, children } => Self::missing(&blobs, &children),
            ManifestError::WrongSize { digest, claimed, actual } => Self::bad("MANIFEST_INVALID", error.to_string())
                .detail(json!({ "digest": digest, "claimed": claimed, "actual": actual })),
            ManifestError::NoProject => Self::no_project(),
            ManifestError::NotHome(_) | ManifestError::TagExists(_) => {
                Self::new(StatusCode::CONFLICT, "CONFLICT", error.to_string())
            }
            ManifestError::TooManyTags { .. } => {
                Self::new(StatusCode::URI_TOO_LONG, "MANIFEST_INVALID", error.to_string())
            }
            ManifestError::TooManyChildren => Self::bad("MANIFEST_INVALID", error.to_string()),
            ManifestError::OverQuota { used, adds, limit } => {
                Self::new(StatusCode::FORBIDDEN, "DENIED", error.to_string())
                    .detail(json!({ "used": used, "adds": adds, "limit": limit }))
            }
            ManifestError::Fault(fault) => fault.into(),
        }
    }
}

impl From<TagError> for Error {
    fn from(error: TagError) -> Self {
        match error {
            TagError::UnknownRepository => Self::absent("NAME_UNKNOWN", error.to_string()),
            TagError::Unknown => Self::absent("MANIFEST_UNKNOWN", error.to_string()),
            TagError::NotHome(_) => Self::new(StatusCode::CONFLICT, "CONFLICT", error.to_string()),
            TagError::Fault(fault) => fault.into(),
        }
    }
}

impl From<RecordsError> for Error {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Unknown => Self::absent("MANIFEST_UNKNOWN", error.to_string()),
            RecordsError::Settled
            | RecordsError::NoHead
            | RecordsError::NeedsDigest(..)
            | RecordsError::ManifestGone(_)
            | RecordsError::BytesGone
            | RecordsError::Refused(_) => Self::new(StatusCode::CONFLICT, "CONFLICT", error.to_string()),
            RecordsError::Fault(fault) => fault.into(),
        }
    }
}

impl From<DirectoryError> for Error {
    fn from(error: DirectoryError) -> Self {
        let message = error.to_string();
        match error {
            DirectoryError::Absent(_) => Self::absent("NOT_FOUND", message),
            DirectoryError::Exists(_) => Self::new(StatusCode::CONFLICT, "CONFLICT", message),
            DirectoryError::Invalid(_) => Self::bad("BAD_REQUEST", message),
            DirectoryError::Refused(_) => Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message),
            DirectoryError::Full(_) => Self::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION", message),
            DirectoryError::Contended => Self::too_many(1, message),
            DirectoryError::Meta(error) => error.into(),
        }
    }
}

impl From<PeopleError> for Error {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Directory(error) => error.into(),
            PeopleError::Weak(_) | PeopleError::Same => Self::bad("BAD_REQUEST", error.to_string()),
            PeopleError::WrongPassword => Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", error.to_string()),
            PeopleError::Auth(error) => Self::authentication(error, Challenge::administration()),
        }
    }
}

impl From<RoleError> for Error {
    fn from(error: RoleError) -> Self {
        match error {
            RoleError::Directory(error) => error.into(),
            RoleError::Held(_) => Self::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION", error.to_string()),
        }
    }
}

impl From<ShelfError> for Error {
    fn from(error: ShelfError) -> Self {
        let message = error.to_string();
        match error {
            ShelfError::UnknownRepository
            | ShelfError::UnknownArtifact
            | ShelfError::UnknownTag
            | ShelfError::Unreadable(_) => Self::absent("NOT_FOUND", message),
            ShelfError::TooLong { .. } | ShelfError::NoAddition(_) | ShelfError::TooMany { .. } => {
                Self::bad("BAD_REQUEST", message)
            }
            ShelfError::NotHome(_) | ShelfError::TagExists(_) => Self::new(StatusCode::CONFLICT, "CONFLICT", message),
            ShelfError::Needed(_) => Self::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION", message),
            ShelfError::Accessory => Self::new(StatusCode::FORBIDDEN, "DENIED", message),
            ShelfError::Manifest(ManifestError::Unknown) => Self::absent("NOT_FOUND", message),
            ShelfError::Manifest(error) => error.into(),
            ShelfError::Directory(error) => error.into(),
            ShelfError::Unproven(_) => Self::internal(message),
            ShelfError::Fault(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::header::{CONTENT_RANGE, RETRY_AFTER};

    use super::*;

    fn told(error: &Error) -> (u16, &'static str) {
        (error.status().as_u16(), error.entries()[0].code)
    }

    fn header<'a>(error: &'a Error, name: &HeaderName) -> Option<&'a str> {
        error.headers().iter().find(|(n, _)| n == name).and_then(|(_, v)| v.to_str().ok())
    }

    #[test]
    fn each_room_error_has_its_code() {
        let d = Digest::sha256(b"");
        let table: [(Error, u16, &str); 24] = [
            (BlobError::Unknown.into(), 404, "BLOB_UNKNOWN"),
            (BlobError::Damaged.into(), 404, "BLOB_UNKNOWN"),
            (BlobError::Pinned { by: d }.into(), 405, "UNSUPPORTED"),
            (ManifestError::Unknown.into(), 404, "MANIFEST_UNKNOWN"),
            (ManifestError::Missing { blobs: vec![d], children: vec![] }.into(), 404, "MANIFEST_BLOB_UNKNOWN"),
            (ManifestError::WrongSize { digest: d, claimed: 1, actual: 2 }.into(), 400, "MANIFEST_INVALID"),
            (ManifestError::DigestMismatch { expected: d, actual: d }.into(), 400, "DIGEST_INVALID"),
            (ManifestError::NoProject.into(), 404, "NAME_UNKNOWN"),
            (ManifestError::NotHome("shop".into()).into(), 409, "CONFLICT"),
            (TagError::NotHome("shop".into()).into(), 409, "CONFLICT"),
            (ManifestError::TooManyTags { found: 101 }.into(), 414, "MANIFEST_INVALID"),
            (ManifestError::TooManyChildren.into(), 400, "MANIFEST_INVALID"),
            (ManifestError::OverQuota { used: 9, adds: 2, limit: 10 }.into(), 403, "DENIED"),
            (manifest::ManifestError::TooLarge { found: 9 }.into(), 413, "SIZE_INVALID"),
            (TagError::UnknownRepository.into(), 404, "NAME_UNKNOWN"),
            (TagError::Unknown.into(), 404, "MANIFEST_UNKNOWN"),
            (DirectoryError::Exists("x".into()).into(), 409, "CONFLICT"),
            (RecordsError::Unknown.into(), 404, "MANIFEST_UNKNOWN"),
            (RecordsError::Settled.into(), 409, "CONFLICT"),
            (RecordsError::ManifestGone(d).into(), 409, "CONFLICT"),
            (staging::UploadError::Unknown.into(), 404, "BLOB_UPLOAD_UNKNOWN"),
            (staging::UploadError::TooLarge { limit: 1 }.into(), 413, "SIZE_INVALID"),
            (DigestError::UnsupportedAlgorithm.into(), 400, "UNSUPPORTED"),
            (DigestError::NotLowerHex.into(), 400, "DIGEST_INVALID"),
        ];
        for (error, status, code) in table {
            assert_eq!(told(&error), (status, code), "{error:?}");
        }
    }

    #[test]
    fn who_shall_come_back_is_told_when() {
        let table: [(Error, u16, &str); 5] = [
            (MetaError::Busy.into(), 503, "1"),
            (MetaError::Full.into(), 503, "60"),
            (MetaError::ReadOnly("fsync".into()).into(), 503, "60"),
            (staging::UploadError::TooMany { limit: 3 }.into(), 429, "10"),
            (Error::authentication(AuthError::Busy, Challenge::default()), 429, "1"),
        ];
        for (error, status, after) in table {
            assert_eq!((error.status().as_u16(), header(&error, &RETRY_AFTER)), (status, Some(after)), "{error:?}");
        }
    }

    #[test]
    fn causes_stay_in_the_log() {
        let error: Error = MetaError::Engine("/var/lib/secret/path".into()).into();
        let body = String::from_utf8(error.body("req-1")).unwrap();
        assert!(!body.contains("secret") && body.contains("(request req-1)"), "{body}");
        assert!(error.logged_cause().unwrap().contains("secret"));
        let error: Error = MetaError::ReadOnly("fsync /data: EIO".into()).into();
        assert!(!String::from_utf8(error.body("r")).unwrap().contains("EIO"));
    }

    #[test]
    fn missing_content_is_named_and_bounded() {
        let many: Vec<_> = (0..100u32).map(|n| Digest::sha256(&n.to_be_bytes())).collect();
        let error: Error = ManifestError::Missing { blobs: many.clone(), children: vec![] }.into();
        assert_eq!(error.entries().len(), MAX_MISSING);
        assert!(String::from_utf8(error.body("r")).unwrap().contains(&many[0].to_string()));
    }

    #[test]
    fn both_kinds_of_416_say_where_to_go_on() {
        let name = "a/b".parse().unwrap();
        let id = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let error = Error::upload(UploadError::OutOfOrder { offset: 10, id }, &name);
        assert_eq!(error.status().as_u16(), 416);
        assert_eq!(header(&error, &RANGE), Some("0-9"));
        assert_eq!(header(&error, &LOCATION), Some("/v2/a/b/blobs/uploads/0123456789abcdef0123456789abcdef"));
        assert_eq!(header(&Error::range(7), &CONTENT_RANGE), Some("bytes */7"));
    }
}
