//! `portolan rebuild-index`: what the files themselves tell when the metadata is lost or older than they are.
//!
//! Rows first: those of a snapshot may point at bytes that GC has moved to the trash since. They come back from there,
//! or the row counts as absent.
//!
//! Then every file without a row that reads as a manifest, and hashes to its name, is published without a tag in the
//! repository `lost-found/recovered`, after the blobs it names were read, checked and linked there. Images come before
//! the indexes that name them. Nothing is removed: damaged files and those no manifest names stay for the next scrub.
//! What is published is a push like any other, with records of this node that follow those of the snapshot, or nothing
//! when there was none. At the end all rows are held against all records.
//! It can be run again, and stopped at any time: what has a row is done. A crash loses the file at hand.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{Descriptor, Digest, Manifest, ManifestKind, RepositoryName, manifest};
use serde::{Deserialize, Serialize};

use super::blobs::{BlobStoreError, Listed};
use super::meta::check;
use super::meta::{Act, BlobRow, LinkBlob, Project, PublishManifest, Published};
use super::reading::{Found, Reading};
use super::store::{Damage, Small, Store, StoreError};
use crate::workers::Scope;

/// Where recovered manifests go.
pub const REPOSITORY: &str = "lost-found/recovered";

const PAGE: usize = 256;

/// What a rebuild found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildReport {
    /// Files looked at.
    pub files: u64,
    /// Files that had a row.
    pub known: u64,
    /// Files that do not hash to their name, or that the disk does not give.
    pub damaged: u64,
    /// Blobs linked.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Manifests published.
    pub manifests: u64,
    /// Manifests not published because something they name is not here, damaged, or of another length.
    pub incomplete: u64,
    /// Rows older than a collection, whose bytes came back from the trash.
    pub revived: u64,
    /// Records held against the rows that follow from them.
    pub records: u64,
    /// Where they differ. Each is in the log.
    pub differences: u64,
    /// Rows whose bytes are gone or damaged. They count as absent, so that a push brings the bytes again.
    pub missing: u64,
}

impl std::fmt::Display for RebuildReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} files: {} known already, {} damaged; {} manifests recovered into {REPOSITORY} with {} blobs ({} bytes), \
             {} left out because something they name is not here; of what was known, {} blobs came back from the trash \
             and {} are missing until they are pushed again; {} records, with which the index differs in {} places",
            self.files,
            self.known,
            self.damaged,
            self.manifests,
            self.blobs,
            self.bytes,
            self.incomplete,
            self.revived,
            self.missing,
            self.records,
            self.differences
        )
    }
}

/// Rebuilds rows from files. Meant for a store nobody else uses meanwhile.
#[derive(Debug)]
pub struct Rebuild {
    store: Arc<Store>,
    scope: Scope,
    repository: RepositoryName,
    report: RebuildReport,
}

impl Rebuild {
    /// A rebuild of `store`, whose work runs in `scope`.
    ///
    /// # Errors
    /// Never: [`REPOSITORY`] is a repository name.
    pub fn new(store: Arc<Store>, scope: Scope) -> Result<Self, protocol::name::NameError> {
        Ok(Self { store, scope, repository: REPOSITORY.parse()?, report: RebuildReport::default() })
    }

    /// Looks at every file.
    ///
    /// # Errors
    /// [`StoreError`]; what was found so far stays found.
    pub async fn run(mut self) -> Result<RebuildReport, StoreError> {
        let project =
            Project { name: self.repository.project(), public: false, sparse: true, created: self.store.now() };
        self.store.meta().create_project(project, self.act()).await?;
        self.check_rows().await?;
        let (images, indexes) = self.find().await?;
        for digest in images.iter().chain(&indexes) {
            self.recover(digest).await?;
        }
        let checked = check::rows_follow_records(self.store.meta()).await?;
        for difference in &checked.differences {
            tracing::warn!(%difference, "the index is not what the records say");
        }
        (self.report.records, self.report.differences) = (checked.records, checked.differences.len() as u64);
        Ok(self.report)
    }

    fn act(&self) -> Act {
        Act {
            actor: "rebuild-index".into(),
            at: self.store.now(),
            request: "rebuild-index".into(),
            via: Default::default(),
        }
    }

    /// Holds rows against files: those of an older snapshot may point at bytes that GC has taken since.
    async fn check_rows(&mut self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.store.meta().all_held(after, PAGE).await?;
            for (digest, row) in page.items.iter().filter(|(_, row)| row.quarantined.is_none()) {
                let whole = self.store.open(digest)?.is_some_and(|open| open.size == row.size);
                if !whole {
                    self.mend(digest, row).await?;
                }
            }
            after = page.items.last().map(|(digest, _)| *digest).or(after);
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Brings the bytes of a row back from the trash, and reads them; else the row is out of service.
    async fn mend(&mut self, digest: &Digest, row: &BlobRow) -> Result<(), StoreError> {
        let mut damage = Damage::Length;
        if self.store.revive(digest, row).await?
            && let Some(blob) = self.store.open(digest)?
        {
            let found = Reading::new(blob, digest).verified(&self.scope).await.map_err(BlobStoreError::from)?;
            if found.is_some() {
                self.report.revived += 1;
                return Ok(());
            }
            damage = Damage::Content;
        }
        tracing::warn!(%digest, "the bytes of a blob are gone: it is out of service until it is pushed again");
        self.report.missing += u64::from(self.store.quarantine(digest, row, damage, self.act()).await?);
        Ok(())
    }

    /// Manifests without a row: images, and indexes. The whole walk comes first: what is listed survives a power cut,
    /// so rows may point at it.
    async fn find(&mut self) -> Result<(Vec<Digest>, Vec<Digest>), StoreError> {
        let (mut images, mut indexes) = (Vec::new(), Vec::new());
        let mut after = None;
        loop {
            let (page, more) = self.store.blobs().list(after, PAGE).await?;
            for listed in &page {
                match self.look(listed).await? {
                    Some(manifest) if manifest.kind().is_index() => indexes.push(listed.digest),
                    Some(_) => images.push(listed.digest),
                    None => {}
                }
            }
            after = page.last().map(|listed| listed.digest).or(after);
            if !more {
                return Ok((images, indexes));
            }
        }
    }

    async fn look(&mut self, listed: &Listed) -> Result<Option<Manifest>, StoreError> {
        self.report.files += 1;
        if self.store.meta().held(&listed.digest).await?.is_some_and(|row| row.quarantined.is_none()) {
            self.report.known += 1;
            return Ok(None);
        }
        let Some(bytes) = self.bytes(&listed.digest).await? else { return Ok(None) };
        Ok(read_manifest(&bytes))
    }

    /// The bytes of what may be a manifest; `None` for anything too large, gone or damaged.
    async fn bytes(&mut self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        Ok(match self.store.read_small(digest, manifest::MAX_BYTES as u64, &self.scope).await? {
            Small::Whole(bytes) => Some(bytes),
            Small::Damaged => {
                self.report.damaged += 1;
                None
            }
            Small::TooLarge | Small::Absent => None,
        })
    }

    /// Publishes a manifest, its blobs first.
    async fn recover(&mut self, digest: &Digest) -> Result<(), StoreError> {
        let Some(bytes) = self.bytes(digest).await? else { return Ok(()) };
        let Some(manifest) = read_manifest(&bytes) else { return Ok(()) };
        for named in manifest.blobs() {
            if !self.link(named).await? && !named.media_type.is_non_distributable() {
                self.report.incomplete += 1;
                return Ok(());
            }
        }
        match self.store.publish(self.intent(*digest, &manifest, bytes)).await? {
            Published::Done { .. } => self.report.manifests += 1,
            Published::Missing { .. }
            | Published::WrongSize { .. }
            | Published::NoProject
            | Published::NotHome(_)
            | Published::TooManyChildren
            | Published::TagExists(_)
            | Published::OverQuota { .. } => {
                self.report.incomplete += 1;
            }
        }
        Ok(())
    }

    /// Makes a blob part of the repository; `false` when it is not here, damaged, or of another length. All that is found
    /// out before the manifest is published, because the store keeps no bytes of one it refuses.
    async fn link(&mut self, named: &Descriptor) -> Result<bool, StoreError> {
        let here = self.store.meta().blob(&self.repository, &named.digest).await?;
        if let Some(row) = here.filter(|row| row.quarantined.is_none()) {
            return Ok(row.size == named.size);
        }
        let Some(found) = self.vouch(&named.digest).await?.filter(|found| found.size == named.size) else {
            return Ok(false);
        };
        let link = LinkBlob {
            repository: self.repository.clone(),
            digest: found.digest,
            size: found.size,
            root: found.root,
            lease: self.store.lease_end(),
            act: self.act(),
        };
        let linked = self.store.adopt(link).await?;
        if linked {
            self.report.blobs += 1;
            self.report.bytes += found.size;
        }
        Ok(linked)
    }

    /// What is known of a blob's bytes: from its row, or by reading all of them.
    async fn vouch(&mut self, digest: &Digest) -> Result<Option<Found>, StoreError> {
        if let Some(row) = self.store.meta().held(digest).await?.filter(|row| row.quarantined.is_none()) {
            return Ok(Some(Found { digest: *digest, root: row.root, size: row.size }));
        }
        let Some(blob) = self.store.open(digest)? else { return Ok(None) };
        let small = blob.size <= manifest::MAX_BYTES as u64;
        let found = Reading::new(blob, digest).verified(&self.scope).await.map_err(BlobStoreError::from)?;
        // Small ones were counted on the walk.
        self.report.damaged += u64::from(found.is_none() && !small);
        Ok(found)
    }

    fn intent(&self, digest: Digest, manifest: &Manifest, bytes: Bytes) -> PublishManifest {
        let publish = PublishManifest::of(&self.repository, digest, manifest, bytes, self.store.due(), self.act());
        PublishManifest { sparse: true, ..publish }
    }
}

/// Reads a body without its `Content-Type`. An OCI manifest need not name its type: its members then tell.
fn read_manifest(bytes: &[u8]) -> Option<Manifest> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return None;
    }
    Manifest::parse(bytes, None).ok().or_else(|| {
        let by_shape = [ManifestKind::Image, ManifestKind::Index];
        by_shape.into_iter().find_map(|kind| Manifest::parse(bytes, Some(&kind.media_type())).ok())
    })
}

#[cfg(test)]
mod tests {

    use protocol::Reference;

    use super::*;
    use crate::storage::blobs::BlobStore as _;
    use crate::storage::blobs::files::FileBlobs;
    use crate::storage::blobs::memory::MemoryBlobs;
    use crate::storage::meta::memory::MemoryMeta;
    use crate::storage::uploads::tests::Yard;
    use crate::world::faulty::Call;

    struct Site {
        _yard: Yard,
        blobs: Arc<MemoryBlobs>,
        store: Arc<Store>,
        scope: Scope,
    }

    impl Site {
        fn new() -> Self {
            let yard = Yard::new();
            let clock = Arc::new(yard.clock.clone());
            let blobs = Arc::new(MemoryBlobs::new(Arc::clone(&clock) as Arc<_>));
            let store = yard.store(Arc::new(MemoryMeta::default()), Arc::clone(&blobs) as Arc<_>);
            Self { scope: yard.scope.clone(), _yard: yard, blobs, store }
        }

        fn plant(&self, bytes: impl Into<Bytes>) -> Digest {
            let bytes = bytes.into();
            let digest = Digest::sha256(&bytes);
            self.blobs.plant(digest, bytes);
            digest
        }

        async fn rebuild(&self) -> RebuildReport {
            Rebuild::new(Arc::clone(&self.store), self.scope.clone()).unwrap().run().await.unwrap()
        }

        async fn holds(&self, digest: &Digest) -> bool {
            let repository = REPOSITORY.parse().unwrap();
            self.store.meta().manifest(&repository, &Reference::Digest(*digest)).await.unwrap().is_some()
        }
    }

    fn named(kind: &str, digest: &Digest, size: usize) -> String {
        format!(r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{size}}}"#)
    }

    fn image(config: &str, layers: &str) -> String {
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#)
    }

    #[tokio::test]
    async fn what_the_files_tell_comes_back_untagged_and_only_once() {
        let site = Site::new();
        let config = site.plant("{}");
        let layer = site.plant(vec![7; 5_000_000]);
        let loose = site.plant("named by nobody");
        let body = image(&named("config.v1+json", &config, 2), &named("layer.v1.tar", &layer, 5_000_000));
        let manifest = site.plant(body.clone());
        let child = named("manifest.v1+json", &manifest, body.len());
        let index = site.plant(format!(r#"{{"schemaVersion":2,"manifests":[{child}]}}"#));
        let report = site.rebuild().await;
        let expected = RebuildReport {
            files: 5,
            blobs: 2,
            bytes: 5_000_002,
            manifests: 2,
            // The project and both manifests.
            records: 3,
            ..RebuildReport::default()
        };
        assert_eq!(report, expected);
        assert!(site.holds(&manifest).await && site.holds(&index).await);
        assert!(site.store.meta().held(&loose).await.unwrap().is_none());
        let row = site.store.meta().held(&layer).await.unwrap().unwrap();
        assert_eq!((row.size, row.root), (5_000_000, protocol::tree::root_of(&vec![7; 5_000_000])));
        assert_eq!(site.rebuild().await, RebuildReport { files: 5, known: 4, records: 3, ..RebuildReport::default() });
    }

    #[tokio::test]
    async fn rows_whose_bytes_went_meanwhile_get_them_back_or_count_as_absent() {
        let site = Site::new();
        let config = site.plant("{}");
        let layers = [&b"in the trash"[..], b"gone", b"rotten in the trash", b"cut short"];
        let digests = layers.map(|bytes| site.plant(Bytes::from_static(bytes)));
        let named_layers: Vec<_> =
            layers.iter().zip(&digests).map(|(b, d)| named("layer.v1.tar", d, b.len())).collect();
        site.plant(image(&named("config.v1+json", &config, 2), &named_layers.join(",")));
        assert_eq!(site.rebuild().await.manifests, 1);
        let [trashed, gone, rotten, short] = digests;
        site.blobs.plant(rotten, Bytes::from_static(b"rotten in the crash"));
        for digest in [&trashed, &gone, &rotten] {
            assert!(site.blobs.remove(digest).await.unwrap());
        }
        site.blobs.forget(&gone);
        site.blobs.plant(short, Bytes::from_static(b"cut"));
        let report = site.rebuild().await;
        assert_eq!((report.revived, report.missing), (1, 3));
        assert!(site.store.open(&trashed).unwrap().is_some());
        assert!(site.store.meta().held(&trashed).await.unwrap().unwrap().quarantined.is_none());
        for digest in [&gone, &rotten, &short] {
            assert!(site.store.meta().held(digest).await.unwrap().unwrap().quarantined.is_some());
            assert!(site.store.open(digest).unwrap().is_none());
        }
        let again = site.rebuild().await;
        assert_eq!((again.revived, again.missing), (0, 0), "known already");
    }

    #[tokio::test]
    async fn what_is_damaged_or_incomplete_is_told_and_not_published() {
        let site = Site::new();
        let config = site.plant("{}");
        let layer = Digest::sha256(b"layer");
        site.blobs.plant(layer, Bytes::from_static(b"layes"));
        let absent = Digest::sha256(b"absent");
        let one = site.plant(image(&named("config.v1+json", &config, 2), &named("layer.v1.tar", &layer, 5)));
        let two = site.plant(image(&named("config.v1+json", &config, 2), &named("layer.v1.tar", &absent, 6)));
        let wrong = site.plant(image(&named("config.v1+json", &config, 3), ""));
        let free = r#"{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"#;
        let foreign =
            site.plant(image(&named("config.v1+json", &config, 2), &format!(r#"{free}"{absent}","size":6}}"#)));
        let report = site.rebuild().await;
        assert_eq!((report.files, report.damaged, report.incomplete, report.manifests), (6, 1, 3, 1));
        for digest in [&one, &two, &wrong] {
            assert!(!site.holds(digest).await);
            assert!(site.store.open(digest).unwrap().is_some(), "nothing is removed");
        }
        assert!(site.holds(&foreign).await);
    }

    #[tokio::test]
    async fn a_bad_sector_ends_nothing() {
        let yard = Yard::new();
        let (fs, clock) = (Arc::new(yard.disk.clone()), Arc::new(yard.clock.clone()));
        let blobs = FileBlobs::open(fs, yard.dir.root(), clock, yard.scope.clone(), yard.health.clone());
        let blobs = Arc::new(blobs.unwrap());
        let store = yard.store(Arc::new(MemoryMeta::default()), Arc::clone(&blobs) as Arc<_>);
        let large = vec![7; 5_000_000];
        let (bad_layer, layer) = (Digest::sha256(&large), Digest::sha256(b"layer"));
        let config = Digest::sha256(b"{}");
        let named_config = named("config.v1+json", &config, 2);
        let lost = image(&named_config, &named("layer.v1.tar", &bad_layer, large.len()));
        let kept = image(&named_config, &named("layer.v1.tar", &layer, 5));
        let unreadable = image(&named_config, "");
        for bytes in [&large[..], b"layer", b"{}", lost.as_bytes(), kept.as_bytes(), unreadable.as_bytes()] {
            let staged = yard.uploads.stage(Bytes::copy_from_slice(bytes), &Digest::sha256(bytes)).await.unwrap();
            blobs.commit(staged, false).await.unwrap();
        }
        for digest in [bad_layer, Digest::sha256(unreadable.as_bytes())] {
            yard.disk.fail(Call::Read, &digest.hex(), 0, std::io::ErrorKind::Other);
        }
        let report = Rebuild::new(Arc::clone(&store), yard.scope.clone()).unwrap().run().await.unwrap();
        assert_eq!((report.files, report.damaged, report.incomplete, report.manifests), (6, 2, 1, 1));
        assert!(store.meta().held(&Digest::sha256(kept.as_bytes())).await.unwrap().is_some());
    }
}
