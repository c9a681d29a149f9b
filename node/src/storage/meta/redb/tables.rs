//! The tables of the embedded engine and the keys of their rows. Owns no state.
//!
//! Keys are bytes: parts joined so that the order of keys is the order of listings. Repository names and tags hold no
//! NUL, so NUL ends them; a digest in key form tells its own length by its first byte and needs no end.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use protocol::record::ScopeId;
use protocol::{Digest, ProjectName, RepositoryName, Tag, Timestamp};
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, TableHandle,
    WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::storage::meta::{Candidate, Listing, Slice, rows};

/// Every table maps bytes to bytes; the functions below and the row types of [`rows`] say which.
pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
/// A table of a read transaction.
pub(super) type Reading = ReadOnlyTable<&'static [u8], &'static [u8]>;
/// A table of a write transaction.
pub(super) type Writable<'t> = Table<'t, &'static [u8], &'static [u8]>;

macro_rules! tables {
    ($($(#[$doc:meta])+ $field:ident = $name:literal;)+) => {
        /// All tables of one transaction.
        #[derive(Debug)]
        pub(super) struct Tables<T> {
            $($(#[$doc])+ pub(super) $field: Rows<T>,)+
        }

        /// Every table there is, for snapshots.
        pub(super) const ALL: &[Definition] = &[$(TableDefinition::new($name)),+];

        impl Tables<Reading> {
            /// Opens all tables for reading.
            pub(super) fn read(transaction: &ReadTransaction) -> Result<Self, Failure> {
                Ok(Self { $($field: Rows::new(transaction.open_table(TableDefinition::new($name))?, $name),)+ })
            }
        }

        impl<'t> Tables<Writable<'t>> {
            /// Opens all tables for writing; makes those that are not there.
            pub(super) fn write(transaction: &'t WriteTransaction) -> Result<Self, Failure> {
                Ok(Self { $($field: Rows::new(transaction.open_table(TableDefinition::new($name))?, $name),)+ })
            }

            /// Whether a row was written or removed.
            pub(super) const fn changed(&self) -> bool {
                false $(|| self.$field.changed)+
            }
        }

        impl View {
            $($(#[$doc])+ #[allow(dead_code, reason = "made for every table, read on its own or not")]
            pub(super) fn $field(&self) -> Result<Rows<Reading>, Failure> {
                Ok(Rows::new(self.0.open_table(TableDefinition::new($name))?, $name))
            })+
        }
    };
}

tables! {
    /// Setting name → its bytes, as given.
    settings = "settings_1";
    /// Record → [`super::records::NumberRow`].
    numbers = "record_numbers_1";
    /// Number → header and value of a record (`records.rs`).
    records = "records_1";
    /// [`super::records::topic`] → its number, eight bytes.
    topics = "record_topics_1";
    /// What is kept of each topic, by its number: [`super::records::view`] → [`protocol::view::TopicView`],
    /// [`super::records::version`] → [`super::records::VersionRow`], [`super::records::head`] → nothing.
    kept = "topics_kept_1";
    /// Record and follower, by number → nothing: which records name one as their predecessor.
    followers = "record_followers_1";
    /// Author, place and record, by number → nothing: what an author wrote where.
    places = "record_places_1";
    /// Author → its number, eight bytes.
    authors = "record_authors_1";
    /// Scope → [`protocol::view::ProjectFacts`].
    facts = "project_facts_1";
    /// [`named`] → nothing: the scopes that are bound to a project's name.
    names = "project_scopes_1";
    /// [`named`] → nothing: those of them of which everything is held on to (`follow.rs`).
    held_scopes = "scopes_held_1";
    /// Record → nothing: what bears on trust.
    acts = "trust_acts_1";
    /// [`super::records::moment`] → nothing: the records of a scope by time.
    moments = "record_times_1";
    /// [`PEN`] → [`crate::storage::meta::author::Pen`], which no copy has; [`CLOCK`] → the last time given out;
    /// [`KEY`] → the key of the author.
    author = "author_1";
    /// [`crate::storage::meta::entry::key`] → [`rows::EntryRow`].
    entries = "entries_1";
    /// [`position`] of the last change of an entry → its key, as it is.
    entry_changes = "entry_changes_1";
    /// Project → [`rows::ProjectRow`].
    projects = "projects_1";
    /// Project → [`rows::UsageRow`].
    usage = "project_usage_1";
    /// [`counted`] → how many of the project's repositories have it published, eight bytes.
    counted = "project_counted_1";
    /// Repository → [`rows::RepositoryRow`].
    repositories = "repositories_1";
    /// [`repository_id`] → name of a repository, the one numbered last first.
    repository_ids = "repository_ids_1";
    /// [`project_repository`] → name of a repository, by project, the one numbered last first.
    project_repositories = "project_repositories_1";
    /// [`shelved`] → digest of an artifact that is listed, by repository, the one pushed last first.
    shelf = "artifact_shelf_1";
    /// [`tag`] → [`rows::TagRow`].
    tags = "tags_1";
    /// [`tag_of`] → nothing: the tags that name a manifest.
    tags_of = "tags_by_digest_1";
    /// [`item`] of a manifest → [`rows::ManifestRow`].
    manifests = "manifests_1";
    /// Digest → the bytes of a manifest, once for all repositories.
    manifest_bytes = "manifest_bytes_1";
    /// [`item`] of a manifest → [`rows::PartsRow`].
    parts = "manifest_parts_1";
    /// [`pin`] → nothing: which manifests of a repository need a blob of it.
    pins = "pins_1";
    /// [`pin`] of a manifest by another → nothing: which live manifests of a repository name it.
    parents = "manifest_parents_1";
    /// The same the other way round: what a live manifest names.
    children = "manifest_children_1";
    /// [`tag`], NUL and digest → nothing: what heads of a tag name that are not live.
    losers = "tag_losers_1";
    /// [`tag_of`] of the same → nothing.
    losers_of = "tag_losers_by_digest_1";
    /// [`item`] of a blob → [`rows::LinkRow`].
    links = "links_1";
    /// Digest → [`rows::HeldRow`].
    held = "held_1";
    /// [`holder`] → nothing: which repositories hold bytes, and as what.
    holders = "holders_1";
    /// [`referrer`] → [`crate::storage::meta::Referrer`].
    referrers = "referrers_1";
    /// [`candidate`] → nothing.
    candidates = "candidates_1";
    /// [`position`] → [`crate::storage::meta::Event`].
    outbox = "outbox_2";
    /// [`TOTALS`] → [`rows::Totals`].
    totals = "totals_1";
}

/// The one key of the totals table.
pub(super) const TOTALS: &[u8] = b"totals";
/// The table of the author.
pub(super) const AUTHOR: &str = "author_1";
/// Where the author's hand is.
pub(super) const PEN: &[u8] = b"pen";
/// The last time given out: what of the pen a copy has, too.
pub(super) const CLOCK: &[u8] = b"clock";
/// Who signed the records here, and goes on signing.
pub(super) const KEY: &[u8] = b"key";
/// The setting that holds the format of these tables.
pub(super) const FORMAT_SETTING: &str = "meta.format";
/// The format this program writes: the set of tables and what their keys mean.
pub(super) const FORMAT: u32 = 5;

/// As what a repository holds bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A linked blob.
    Blob,
    /// A manifest.
    Manifest,
}

impl Kind {
    const fn key(self) -> u8 {
        match self {
            Self::Blob => b'b',
            Self::Manifest => b'm',
        }
    }
}

/// One read transaction, of which a read opens only the tables it needs.
#[derive(Debug)]
pub(super) struct View(pub(super) ReadTransaction);

impl View {
    /// All tables at once.
    pub(super) fn all(&self) -> Result<Tables<Reading>, Failure> {
        Tables::read(&self.0)
    }
}

/// Joins parts of a key.
pub(super) fn join(parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// A repository under its number, the greatest first.
pub(super) const fn repository_id(id: u32) -> [u8; 4] {
    (u32::MAX - id).to_be_bytes()
}

/// The same within its project.
pub(super) fn project_repository(project: &str, id: u32) -> Vec<u8> {
    join(&[&project_prefix(project), &repository_id(id)])
}

/// What the keys of a project's repositories by number begin with.
pub(super) fn project_prefix(project: &str) -> Vec<u8> {
    join(&[project.as_bytes(), b"\0"])
}

/// An artifact on the shelf of its repository: the latest first.
pub(super) fn shelved(name: &RepositoryName, pushed: Timestamp, id: u32) -> Vec<u8> {
    join(&[&repository(name), &(u64::MAX - pushed.0).to_be_bytes(), &(u32::MAX - id).to_be_bytes()])
}

/// What all keys of one repository begin with.
pub(super) fn repository(name: &RepositoryName) -> Vec<u8> {
    join(&[name.as_str().as_bytes(), b"\0"])
}

/// A tag of a repository.
pub(super) fn tag(name: &RepositoryName, tag: &Tag) -> Vec<u8> {
    join(&[name.as_str().as_bytes(), b"\0", tag.as_str().as_bytes()])
}

/// Something with a digest in a repository; also what [`tag_of`] begins with.
pub(super) fn item(name: &RepositoryName, digest: &Digest) -> Vec<u8> {
    join(&[name.as_str().as_bytes(), b"\0", &digest.to_key()])
}

/// A tag under the manifest it names.
pub(super) fn tag_of(name: &RepositoryName, digest: &Digest, tag: &Tag) -> Vec<u8> {
    join(&[&item(name, digest), tag.as_str().as_bytes()])
}

/// A digest that a head of a tag names.
pub(super) fn loser(name: &RepositoryName, tag: &Tag, digest: &Digest) -> Vec<u8> {
    join(&[&losers(name, tag), &digest.to_key()])
}

/// What all such of a tag begin with.
pub(super) fn losers(name: &RepositoryName, tag: &Tag) -> Vec<u8> {
    join(&[&self::tag(name, tag), b"\0"])
}

/// A scope under the name it is bound to.
pub(super) fn named(name: &ProjectName, scope: &ScopeId) -> Vec<u8> {
    join(&[&names(name), &scope.0])
}

/// Reads the scope at the end of what [`named`] wrote.
pub(super) fn read_named(scope: &[u8], _: &[u8]) -> Result<Option<ScopeId>, String> {
    scope.try_into().map(|scope| Some(ScopeId(scope))).map_err(|_| "the scope can't be read".into())
}

/// What the scopes of a name begin with.
pub(super) fn names(name: &ProjectName) -> Vec<u8> {
    join(&[name.as_str().as_bytes(), b"\0"])
}

/// A blob of a repository and a manifest that needs it; begins with the [`item`] of the blob.
pub(super) fn pin(name: &RepositoryName, blob: &Digest, by: &Digest) -> Vec<u8> {
    join(&[&item(name, blob), &by.to_key()])
}

/// All holders of bytes of one kind.
pub(super) fn holders(digest: &Digest, kind: Kind) -> Vec<u8> {
    join(&[&digest.to_key(), &[kind.key()]])
}

/// Something that is published in a project.
pub(super) fn counted(project: &str, digest: &Digest) -> Vec<u8> {
    join(&[project.as_bytes(), b"\0", &digest.to_key()])
}

/// A holder of bytes.
pub(super) fn holder(digest: &Digest, kind: Kind, name: &RepositoryName) -> Vec<u8> {
    join(&[&digest.to_key(), &[kind.key()], name.as_str().as_bytes()])
}

/// What the referrers of a subject begin with.
pub(super) fn referrers(name: &RepositoryName, subject: &Digest) -> Vec<u8> {
    item(name, subject)
}

/// A referrer, in text form because pages are asked for by text.
pub(super) fn referrer(name: &RepositoryName, subject: &Digest, by: &Digest) -> Vec<u8> {
    join(&[&item(name, subject), by.to_string().as_bytes()])
}

/// A candidate, in the order of due time, digest, repository (the bytes themselves first).
pub(super) fn candidate(candidate: &Candidate) -> Vec<u8> {
    let repository = candidate.repository.as_ref().map_or("", RepositoryName::as_str);
    join(&[&candidate.due.0.to_be_bytes(), &candidate.digest.to_key(), repository.as_bytes()])
}

/// Reads what [`candidate`] wrote.
pub(super) fn read_candidate(key: &[u8]) -> Option<Candidate> {
    let (due, rest) = key.split_first_chunk::<8>()?;
    let (digest, name) = split_digest(rest)?;
    let repository = if name.is_empty() { None } else { Some(text(name)?.parse().ok()?) };
    Some(Candidate { due: Timestamp(u64::from_be_bytes(*due)), digest, repository })
}

/// The position of an event.
pub(super) const fn position(seq: u64) -> [u8; 8] {
    seq.to_be_bytes()
}

/// Splits a digest off the front of a key.
pub(super) fn split_digest(key: &[u8]) -> Option<(Digest, &[u8])> {
    let len = match key.first()? {
        1 => 33,
        2 => 65,
        _ => return None,
    };
    let (digest, rest) = key.split_at_checked(len)?;
    Some((Digest::from_key(digest)?, rest))
}

/// A part of a key that is text.
pub(super) fn text(part: &[u8]) -> Option<&str> {
    std::str::from_utf8(part).ok()
}

/// A table that knows its name, for the error that has to tell it.
#[derive(Debug)]
pub(super) struct Rows<T> {
    table: T,
    name: &'static str,
    changed: bool,
}

impl<T> Rows<T> {
    const fn new(table: T, name: &'static str) -> Self {
        Self { table, name, changed: false }
    }

    /// The error for a row that can't be read.
    pub(super) fn damaged(&self, key: &[u8], why: &str) -> Failure {
        Failure::Damaged(format!("table {}, key {}: {why}", self.name, key.escape_ascii()))
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Rows<T> {
    /// A row.
    pub(super) fn get<V: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<V>, Failure> {
        match self.table.get(key)? {
            Some(value) => rows::decode(value.value()).map(Some).map_err(|why| self.damaged(key, &why)),
            None => Ok(None),
        }
    }

    /// A row that another row promises.
    pub(super) fn promised<V: DeserializeOwned>(&self, key: &[u8]) -> Result<V, Failure> {
        self.get(key)?.ok_or_else(|| self.damaged(key, "the row is gone"))
    }

    /// A value that is no row: bytes as they were given.
    pub(super) fn raw(&self, key: &[u8]) -> Result<Option<Bytes>, Failure> {
        Ok(self.table.get(key)?.map(|value| Bytes::copy_from_slice(value.value())))
    }

    /// Whether there is a row.
    pub(super) fn has(&self, key: &[u8]) -> Result<bool, Failure> {
        Ok(self.table.get(key)?.is_some())
    }

    /// How many rows there are. Costs no scan.
    pub(super) fn count(&self) -> Result<u64, Failure> {
        Ok(ReadableTableMetadata::len(&self.table)?)
    }

    /// Goes through rows whose key begins with `prefix`, from `after` (exclusive, without the prefix) on, until `visit`
    /// answers `false`. `visit` gets the key without the prefix, and the value.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let start = after.map_or_else(|| prefix.to_vec(), |after| join(&[prefix, after]));
        let bound = if after.is_some() { Bound::Excluded(&*start) } else { Bound::Included(&*start) };
        for entry in self.table.range::<&[u8]>((bound, Bound::Unbounded))? {
            let (key, value) = entry?;
            let Some(rest) = key.value().strip_prefix(prefix) else { break };
            if !visit(rest, value.value())? {
                break;
            }
        }
        Ok(())
    }

    /// The rest of the first key that begins with `prefix`.
    pub(super) fn first(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let mut first = None;
        self.scan(prefix, None, |rest, _| {
            first = Some(rest.to_vec());
            Ok(false)
        })?;
        Ok(first)
    }

    /// The rest of the last key that begins with `prefix`, below one with this rest.
    pub(super) fn last_below(&self, prefix: &[u8], rest: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let end = join(&[prefix, rest]);
        let last = self.table.range::<&[u8]>((Bound::Included(prefix), Bound::Excluded(&*end)))?.next_back();
        Ok(match last {
            Some(entry) => entry?.0.value().strip_prefix(prefix).map(<[u8]>::to_vec),
            None => None,
        })
    }

    /// Whether a key begins with `prefix` and comes after this rest.
    pub(super) fn any_after(&self, prefix: &[u8], rest: &[u8]) -> Result<bool, Failure> {
        let mut any = false;
        self.scan(prefix, Some(rest), |_, _| {
            any = true;
            Ok(false)
        })?;
        Ok(any)
    }

    /// The digests behind a prefix, at the end of the keys.
    pub(super) fn digests(&self, prefix: &[u8]) -> Result<BTreeSet<Digest>, Failure> {
        let page = self.page(prefix, None, usize::MAX, |rest, _| {
            Digest::from_key(rest).map(Some).ok_or_else(|| "the digest can't be read".into())
        })?;
        Ok(page.items.into_iter().collect())
    }

    /// Whether a key begins with `prefix`.
    pub(super) fn any(&self, prefix: &[u8]) -> Result<bool, Failure> {
        let mut any = false;
        self.scan(prefix, None, |_, _| {
            any = true;
            Ok(false)
        })?;
        Ok(any)
    }

    /// What comes at these places behind a prefix: key (without prefix) and value.
    pub(super) fn slice<I>(
        &self,
        prefix: &[u8],
        slice: Slice,
        mut item: impl FnMut(&[u8], &[u8]) -> Result<I, String>,
    ) -> Result<Vec<I>, Failure> {
        let (mut items, mut left) = (Vec::new(), slice.offset);
        self.scan(prefix, None, |rest, value| {
            if items.len() >= slice.limit {
                return Ok(false);
            }
            if left > 0 {
                left -= 1;
                return Ok(true);
            }
            items.push(item(rest, value).map_err(|why| self.damaged(&join(&[prefix, rest]), &why))?);
            Ok(true)
        })?;
        Ok(items)
    }

    /// A page of items; `item` makes one of key (without prefix) and value, or `None` of what shall not be listed.
    pub(super) fn page<I>(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        item: impl FnMut(&[u8], &[u8]) -> Result<Option<I>, String>,
    ) -> Result<Listing<I>, Failure> {
        self.page_while(prefix, after, limit, |_| true, item)
    }

    /// A page that also ends before the first item that does not fit.
    pub(super) fn page_while<I>(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        mut fits: impl FnMut(&I) -> bool,
        mut item: impl FnMut(&[u8], &[u8]) -> Result<Option<I>, String>,
    ) -> Result<Listing<I>, Failure> {
        let mut listing = Listing { items: Vec::new(), more: false };
        self.scan(prefix, after, |rest, value| {
            let made = item(rest, value).map_err(|why| self.damaged(&join(&[prefix, rest]), &why))?;
            if let Some(made) = made {
                if listing.items.len() == limit || !fits(&made) {
                    listing.more = true;
                    return Ok(false);
                }
                listing.items.push(made);
            }
            Ok(true)
        })?;
        Ok(listing)
    }
}

impl Rows<Writable<'_>> {
    /// Writes a row.
    pub(super) fn put<V: Serialize>(&mut self, key: &[u8], row: &V) -> Result<(), Failure> {
        let value = rows::encode(row).ok_or_else(|| self.damaged(key, "the row can't be written"))?;
        self.put_raw(key, &value)
    }

    /// Writes bytes as they are.
    pub(super) fn put_raw(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        self.changed = true;
        self.table.insert(key, value)?;
        Ok(())
    }

    /// Writes a key that stands for itself.
    pub(super) fn mark(&mut self, key: &[u8]) -> Result<(), Failure> {
        self.put_raw(key, &[])
    }

    /// Removes a row; whether there was one.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<bool, Failure> {
        let there = self.table.remove(key)?.is_some();
        self.changed |= there;
        Ok(there)
    }

    /// Removes every row up to and including a key.
    pub(super) fn remove_through(&mut self, key: &[u8]) -> Result<(), Failure> {
        let mut removed = false;
        self.table.retain_in::<&[u8], _>((Bound::Unbounded, Bound::Included(key)), |_, _| {
            removed = true;
            false
        })?;
        self.changed |= removed;
        Ok(())
    }
}

/// The name of a table, for snapshots.
pub(super) fn name(definition: &Definition) -> String {
    definition.name().to_owned()
}
