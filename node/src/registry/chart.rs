//! What a Helm chart holds, for people to read: files of its archive, and its dependencies. The archive is anyone's to have
//! written, so it is read with every bound there is. State: the places where archives are unpacked, one a registry.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use protocol::{Digest, Reference, RepositoryName};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::describe::Described;
use super::{Fault, Registry, ShelfError};
use crate::policy::ProjectPermit;
use crate::storage::store::Small;

/// The layer that is a chart's archive.
const LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// Largest archive that is unpacked, in bytes: charts have some ten kilobytes.
const MAX_ARCHIVE: u64 = 4 << 20;
/// Most bytes an archive may unpack to before the file: what a bomb costs, a tenth of a second.
const MAX_UNPACKED: u64 = 32 << 20;
/// Most entries before the file.
const MAX_ENTRIES: usize = 10_000;
/// Longest file that is shown.
const MAX_FILE: u64 = 1 << 20;
/// Archives unpacked at the same time.
pub(super) const AT_ONCE: usize = 2;

/// What of a chart is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartPart {
    /// Its values, as their author wrote them.
    Values,
    /// What its author says of it.
    Readme,
    /// The charts it needs, as JSON.
    Dependencies,
}

impl ChartPart {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Values, Self::Readme, Self::Dependencies];

    /// Its name in paths; of a file also that of the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Values => "values.yaml",
            Self::Readme => "readme.md",
            Self::Dependencies => "dependencies",
        }
    }

    /// The part of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: Digest,
}

impl Registry {
    /// A part of a chart. A file it does not have is empty.
    ///
    /// # Errors
    /// [`ShelfError::UnknownArtifact`]; [`ShelfError::NoAddition`] for what is no chart; [`ShelfError::Unreadable`] for an
    /// archive that is too large, unpacks to too much, or is none.
    pub async fn chart_part(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        reference: &Reference,
        part: ChartPart,
    ) -> Result<Bytes, ShelfError> {
        let stored = self.manifest_for_addition(permit, name, reference).await?;
        let described = Described::read(&stored);
        let (true, Some((config, _))) = (described.is_chart(), described.config) else {
            return Err(ShelfError::NoAddition(described.kind));
        };
        if part == ChartPart::Dependencies {
            let config = self.config(name, &config).await?.ok_or(ShelfError::Unreadable("its config can't be read"))?;
            return Ok(dependencies(&config).into());
        }
        let body: Body = serde_json::from_slice(&stored.bytes).unwrap_or_default();
        let layer = body.layers.into_iter().find(|layer| layer.media_type == LAYER);
        let layer = layer.ok_or(ShelfError::Unreadable("it has no archive"))?;
        let row = self.store.meta().blob(name, &layer.digest).await.map_err(Fault::from)?;
        if row.is_none_or(|row| row.quarantined.is_some()) {
            return Err(ShelfError::Unreadable("its archive is not here"));
        }
        // Whoever waits here holds nothing.
        let _turn = self.unpacking.acquire().await.map_err(|_| ShelfError::Unreadable("this node is stopping"))?;
        let archive = match self.store.read_small(&layer.digest, MAX_ARCHIVE, &self.scope).await.map_err(Fault::from)? {
            Small::Whole(archive) => archive,
            Small::TooLarge => return Err(ShelfError::Unreadable("its archive is larger than 4 MiB")),
            Small::Damaged | Small::Absent => return Err(ShelfError::Unreadable("its archive can't be read")),
        };
        let work = move || Ok::<_, ShelfError>(file(&archive, part.name()));
        let found = self.scope.run_blocking("unpack a chart", work).await.map_err(Fault::from)??;
        found.map(|file| file.unwrap_or_default().into()).map_err(|error| {
            tracing::debug!(%name, %error, "a chart can't be unpacked");
            ShelfError::Unreadable("its archive is damaged, or larger than is unpacked")
        })
    }
}

/// The charts a chart needs, as its config says it.
fn dependencies(config: &[u8]) -> String {
    let mut config: Map<String, Value> = serde_json::from_slice(config).unwrap_or_default();
    let needed = config.remove("dependencies").filter(Value::is_array);
    needed.unwrap_or_else(|| Value::Array(Vec::new())).to_string()
}

/// A file of a chart itself, not of one that it holds; `None` when there is none. The name is in small letters.
fn file(archive: &[u8], name: &str) -> io::Result<Option<Vec<u8>>> {
    // One byte more than is allowed tells that there are more.
    let mut archive = tar::Archive::new(Bounded { inner: MultiGzDecoder::new(archive), left: MAX_UNPACKED });
    for (n, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        if n >= MAX_ENTRIES {
            return Err(io::Error::other("too many entries"));
        }
        if !entry.header().entry_type().is_file() || !is_named(&entry.path_bytes(), name) {
            continue;
        }
        if entry.size() > MAX_FILE {
            return Err(io::Error::other("the file is too long"));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        return Ok(Some(bytes));
    }
    Ok(None)
}

/// Whether a path is `chart/name`.
fn is_named(path: &[u8], name: &str) -> bool {
    let Ok(path) = std::str::from_utf8(path) else { return false };
    let path = path.strip_prefix("./").unwrap_or(path);
    path.split_once('/').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(name))
}

/// A reader that gives so many bytes and then an error: a cut archive must not look like a whole one.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other("it unpacks to too much"))?;
        Ok(read)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    /// An archive of these files.
    pub(crate) fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
        for (path, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, path, *bytes).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn a_file_is_the_charts_own_whatever_its_letters() {
        let archive = packed(&[
            ("shop/Chart.yaml", b"name: shop"),
            ("shop/charts/till/values.yaml", b"till"),
            ("shop/README.md", b"# Shop"),
            ("shop/values.yaml", b"a: 1"),
        ]);
        assert_eq!(file(&archive, "values.yaml").unwrap().unwrap(), b"a: 1");
        assert_eq!(file(&archive, "readme.md").unwrap().unwrap(), b"# Shop");
        assert_eq!(file(&packed(&[("values.yaml", b"loose")]), "values.yaml").unwrap(), None);
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_bound() {
        let zeros = vec![0; 1 << 20];
        // 1 GiB of zeros in a megabyte, as one file before the one that is asked for.
        let mut header = tar::Header::new_gnu();
        header.set_path("shop/zeros").unwrap();
        header.set_size(1 << 30);
        header.set_cksum();
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(header.as_bytes()).unwrap();
        (0..1024).for_each(|_| bomb.write_all(&zeros).unwrap());
        let bomb = bomb.finish().unwrap();
        assert!((bomb.len() as u64) < MAX_ARCHIVE, "{} bytes are taken", bomb.len());
        assert!(file(&bomb, "values.yaml").unwrap_err().to_string().contains("too much"));
        let long = vec![b'#'; MAX_FILE as usize + 1];
        assert!(file(&packed(&[("shop/values.yaml", &long)]), "values.yaml").is_err());
        let many: Vec<(String, &[u8])> = (0..=MAX_ENTRIES).map(|n| (format!("shop/{n}"), &b""[..])).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|(path, bytes)| (&**path, *bytes)).collect();
        assert!(file(&packed(&many), "values.yaml").is_err());
        // A name that claims to be as long as the bomb is no way round it.
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(1 << 30);
        header.set_cksum();
        let mut name = GzEncoder::new(Vec::new(), Compression::best());
        name.write_all(header.as_bytes()).unwrap();
        (0..64).for_each(|_| name.write_all(&zeros).unwrap());
        assert!(file(&name.finish().unwrap(), "values.yaml").is_err());
    }

    #[test]
    fn dependencies_are_a_list_whatever_the_config_says() {
        assert_eq!(dependencies(br#"{"dependencies":[{"name":"till"}]}"#), r#"[{"name":"till"}]"#);
        for none in ["{}", "[]", "no", r#"{"dependencies":7}"#] {
            assert_eq!(dependencies(none.as_bytes()), "[]", "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, at in 0usize..200, flip: u8) {
            let _ = file(&bytes, "values.yaml");
            let mut archive = packed(&[("shop/README.md", b"x"), ("shop/values.yaml", b"a: 1")]);
            let at = at % archive.len();
            archive[at] ^= flip;
            let _ = file(&archive, "values.yaml");
            let mut plain = Vec::new();
            plain.extend_from_slice(&bytes);
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(&plain).unwrap();
            let _ = file(&packed.finish().unwrap(), "values.yaml");
        }
    }
}
