//! Paths below `/v2/`, read once, by hand: names hold slashes, so the end of the path decides.
//!
//! Each resource has one path. Anything that is not that path byte for byte (an encoded slash, `..`, `//`, a missing or
//! an extra slash) is no route at all, so no two spellings can be judged differently (CVE-2020-29662, CVE-2026-26205).

use protocol::digest::DigestError;
use protocol::name::NameError;
use protocol::reference::ReferenceError;
use protocol::{Digest, Reference, RepositoryName};

use crate::registry::UploadId;

/// What a path below `/v2/` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/v2/`: is this a registry, and are my credentials good.
    Base,
    /// `/v2/_catalog`.
    Catalog,
    /// `…/tags/list`.
    Tags {
        /// The repository.
        name: RepositoryName,
    },
    /// `…/manifests/<reference>`.
    Manifest {
        /// The repository.
        name: RepositoryName,
        /// Tag or digest.
        reference: Reference,
    },
    /// `…/blobs/<digest>`.
    Blob {
        /// The repository.
        name: RepositoryName,
        /// The digest.
        digest: Digest,
    },
    /// `…/blobs/uploads/`.
    Uploads {
        /// The repository.
        name: RepositoryName,
    },
    /// `…/blobs/uploads/<id>`.
    Upload {
        /// The repository.
        name: RepositoryName,
        /// The session.
        id: UploadId,
    },
    /// `…/referrers/<digest>`.
    Referrers {
        /// The repository.
        name: RepositoryName,
        /// The subject.
        digest: Digest,
    },
}

/// Why a path is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Nothing is there.
    #[error("there is nothing at this path")]
    Unknown,
    /// The shape is right, the repository name is not.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The shape is right, the digest is not.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The shape is right, tag or digest are not.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The shape is right, and no upload session has such an id.
    #[error("there is no such upload session; it may have expired: start a new one")]
    UploadId,
}

impl Route {
    /// Reads a whole path, which starts with `/v2/`.
    ///
    /// # Errors
    /// [`RouteError`].
    pub fn parse(path: &str) -> Result<Self, RouteError> {
        let rest = path.strip_prefix("/v2/").ok_or(RouteError::Unknown)?;
        match rest {
            "" => return Ok(Self::Base),
            "_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        if let Some(name) = rest.strip_suffix("/blobs/uploads/") {
            return Ok(Self::Uploads { name: repository(name)? });
        }
        let (head, last) = rest.rsplit_once('/').ok_or(RouteError::Unknown)?;
        canonical(last)?;
        if let Some(name) = head.strip_suffix("/manifests") {
            return Ok(Self::Manifest { name: repository(name)?, reference: last.parse()? });
        }
        if let Some(name) = head.strip_suffix("/blobs") {
            return Ok(Self::Blob { name: repository(name)?, digest: last.parse()? });
        }
        if let Some(name) = head.strip_suffix("/blobs/uploads") {
            let name = repository(name)?;
            return Ok(Self::Upload { name, id: last.parse().map_err(|_| RouteError::UploadId)? });
        }
        if let Some(name) = head.strip_suffix("/referrers") {
            return Ok(Self::Referrers { name: repository(name)?, digest: last.parse()? });
        }
        match head.strip_suffix("/tags") {
            Some(name) if last == "list" => Ok(Self::Tags { name: repository(name)? }),
            Some(_) | None => Err(RouteError::Unknown),
        }
    }

    /// The repository, for the routes that have one.
    #[must_use]
    pub const fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Tags { name }
            | Self::Manifest { name, .. }
            | Self::Blob { name, .. }
            | Self::Uploads { name }
            | Self::Upload { name, .. }
            | Self::Referrers { name, .. } => Some(name),
        }
    }

    /// The name under which requests are counted.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog => "catalog",
            Self::Tags { .. } => "tags",
            Self::Manifest { .. } => "manifest",
            Self::Blob { .. } => "blob",
            Self::Uploads { .. } => "uploads",
            Self::Upload { .. } => "upload",
            Self::Referrers { .. } => "referrers",
        }
    }

    /// What `Allow` says about it.
    #[must_use]
    pub const fn methods(&self) -> &'static str {
        match self {
            Self::Base | Self::Catalog | Self::Tags { .. } | Self::Referrers { .. } => "GET, HEAD",
            Self::Manifest { .. } => "GET, HEAD, PUT, DELETE",
            Self::Blob { .. } => "GET, HEAD, DELETE",
            Self::Uploads { .. } => "POST",
            Self::Upload { .. } => "GET, HEAD, PATCH, PUT, DELETE",
        }
    }
}

/// A name as it stands in a path. One that could be another spelling of something is no path; one that merely breaks
/// the grammar is told so.
fn repository(name: &str) -> Result<RepositoryName, RouteError> {
    name.split('/').try_for_each(canonical)?;
    Ok(name.parse()?)
}

fn canonical(segment: &str) -> Result<(), RouteError> {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'%' && b != b'\\';
    if segment.is_empty() || segment == "." || segment == ".." || !segment.bytes().all(plain) {
        return Err(RouteError::Unknown);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn every_route_by_its_path() {
        let digest: Digest = format!("sha256:{HEX}").parse().unwrap();
        let table = [
            ("/v2/".to_owned(), Route::Base),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/a/b/tags/list".to_owned(), Route::Tags { name: name("a/b") }),
            ("/v2/a/manifests/tags/list".to_owned(), Route::Tags { name: name("a/manifests") }),
            (
                "/v2/a/b/manifests/v1".to_owned(),
                Route::Manifest { name: name("a/b"), reference: "v1".parse().unwrap() },
            ),
            (
                format!("/v2/a/b/manifests/sha256:{HEX}"),
                Route::Manifest { name: name("a/b"), reference: Reference::Digest(digest) },
            ),
            (
                "/v2/nginx/manifests/list".to_owned(),
                Route::Manifest { name: name("library/nginx"), reference: "list".parse().unwrap() },
            ),
            (format!("/v2/a/blobs/uploads/blobs/sha256:{HEX}"), Route::Blob { name: name("a/blobs/uploads"), digest }),
            (format!("/v2/a/b/blobs/sha256:{HEX}"), Route::Blob { name: name("a/b"), digest }),
            ("/v2/a/b/blobs/uploads/".to_owned(), Route::Uploads { name: name("a/b") }),
            (format!("/v2/a/b/blobs/uploads/{ID}"), Route::Upload { name: name("a/b"), id: ID.parse().unwrap() }),
            (format!("/v2/a/b/referrers/sha256:{HEX}"), Route::Referrers { name: name("a/b"), digest }),
        ];
        let documented = include_str!("../../../../docs/api.md");
        for (path, route) in table {
            let label = format!("(label `{}`)", route.label());
            assert!(documented.contains(&label), "docs/api.md says nothing of {label}");
            assert_eq!(Route::parse(&path), Ok(route), "{path}");
        }
    }

    #[test]
    fn other_spellings_are_no_routes() {
        let blob = format!("/v2/a/b/blobs/sha256:{HEX}");
        let other = [
            "/v2".to_owned(),
            "v2/".to_owned(),
            "//v2/".to_owned(),
            "/v2//".to_owned(),
            "/V2/".to_owned(),
            "/v2/_catalog/".to_owned(),
            "/v2//_catalog".to_owned(),
            "/v2/%5fcatalog".to_owned(),
            "/v2/tags/list".to_owned(),
            "/v2/manifests/v1".to_owned(),
            "/v2/blobs/uploads/".to_owned(),
            "/v2/a/b/tags/list/".to_owned(),
            "/v2/a/b/tags/lists".to_owned(),
            "/v2/a%2fb/tags/list".to_owned(),
            "/v2/a//b/tags/list".to_owned(),
            "/v2/a/./b/tags/list".to_owned(),
            "/v2/a/../b/tags/list".to_owned(),
            "/v2/a\\b/tags/list".to_owned(),
            "/v2/a/b/manifests/".to_owned(),
            "/v2/a/b/manifests/..".to_owned(),
            "/v2/a/b/manifests/v%31".to_owned(),
            "/v2/a/b/blobs/uploads".to_owned(),
            "/v2/a/b/blobs/uploads//".to_owned(),
            format!("{blob}/"),
            blob.replace("sha256:", "sha256%3A"),
            format!("/{blob}"),
        ];
        for path in other {
            let wrong = Route::parse(&path);
            assert!(matches!(wrong, Err(RouteError::Unknown | RouteError::Digest(_))), "{path}: {wrong:?}");
        }
    }

    #[test]
    fn what_breaks_a_grammar_is_told_so() {
        assert!(matches!(Route::parse("/v2/A/b/tags/list"), Err(RouteError::Name(NameError::Grammar))));
        assert!(matches!(Route::parse("/v2/a/b/manifests/sha256:zz"), Err(RouteError::Reference(_))));
        assert!(matches!(Route::parse("/v2/a/b/manifests/-x"), Err(RouteError::Reference(ReferenceError::Tag))));
        assert!(matches!(Route::parse("/v2/a/b/blobs/md5:00"), Err(RouteError::Digest(_))));
        assert!(matches!(Route::parse("/v2/a/b/blobs/uploads/xyz"), Err(RouteError::UploadId)));
    }

    proptest! {
        #[test]
        fn any_path_is_answered(path in "/v2/[a-zA-Z0-9/%._:-]{0,80}") {
            let _ = Route::parse(&path);
        }

        #[test]
        fn a_route_has_one_spelling(name in "[a-z0-9]{1,8}(/[a-z0-9]{1,8}){1,3}", tag in "[a-z0-9_][a-z0-9._-]{0,9}", cut in 0usize..30) {
            let path = format!("/v2/{name}/manifests/{tag}");
            let route = Route::parse(&path).unwrap();
            let at = 4 + cut % (path.len() - 4);
            for odd in ["/", "%2f", "%2e", "\\"] {
                let mut other = path.clone();
                other.insert_str(at, odd);
                prop_assert_ne!(Route::parse(&other).ok(), Some(route.clone()), "{}", other);
            }
        }
    }
}
