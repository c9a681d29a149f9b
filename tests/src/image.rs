//! Builds real images: layers are Debian packages and PyPI wheels, as people's images are made of.
//!
//! Images are built once and kept under the tools directory (`images/<recipe>`); nobody changes them afterwards.
//! The same packages give the same bytes, hence the same digests. Where a package cannot be had, files of this
//! machine stand in for it, and `sources` in the cache says so.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{process, tools};

/// Changes whenever the recipe does, so that an older cache is left alone and a new one built.
const RECIPE: &str = "images/4";

/// Images with a stand-in among their layers are kept apart, so that the next run tries for real ones again.
const STAND_INS: &str = "images/4-stand-ins";

/// How `sources` marks a layer of local files.
const STAND_IN: &str = "STAND-IN";

/// Pinned: a different version would be a different image.
const WHEEL: &str = "lxml==5.3.0";

/// The tag that the layouts carry inside.
pub const TAG: &str = "image";

/// The name under which [`Images::archive`] is loaded into an engine.
pub const LOADED_NAME: &str = "portolan.test/real:image";

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// One built image.
#[derive(Debug, Clone)]
pub struct Image {
    /// An OCI layout directory with the image under [`TAG`].
    pub layout: PathBuf,
    /// The digest of the manifest, or of the index.
    pub digest: String,
    /// The digests of the layers; for an index, of all its images, each once.
    pub layers: Vec<String>,
}

impl Image {
    /// The layout as the containers family names it: `oci:DIR:TAG`.
    pub fn oci(&self) -> String {
        format!("oci:{}:{TAG}", self.layout.display())
    }

    /// The bytes of a blob of the image.
    pub fn blob(&self, digest: &str) -> Vec<u8> {
        fs::read(blob_path(&self.layout, digest)).expect("the blob is in the layout")
    }

    /// The exact bytes of the manifest or index.
    pub fn manifest(&self) -> Vec<u8> {
        self.blob(&self.digest)
    }
}

/// Everything that was built.
#[derive(Debug)]
pub struct Images {
    /// linux/amd64 with three layers; its first one makes it runnable (`/bin/busybox`).
    pub single: Image,
    /// An index of that image and a linux/arm64 one; they share a layer.
    pub multi: Image,
    /// The first image as `docker load` takes it, with uncompressed layers.
    pub archive: PathBuf,
    /// The single image as one tar of its OCI layout, for `ctr images import`.
    pub layout_archive: PathBuf,
    /// What the layers were made of, a line each; a stand-in is named as such.
    pub sources: String,
}

impl Images {
    /// Whether the single image can be run: its first layer is the package that it should be.
    pub fn is_runnable(&self) -> bool {
        self.sources.lines().next().is_some_and(|first| !first.contains(STAND_IN))
    }
}

/// The images, built on first use on this machine.
pub fn images() -> &'static Images {
    static IMAGES: OnceLock<Images> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let home = tools::directory().join(RECIPE);
        if home.join("sources").exists() { load(&home) } else { load(&build()) }
    })
}

/// The OCI digest of some bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Builds and gives the folder. What is built is renamed into its place, so that a test process that dies half-way,
/// or two at once, leave no half-built cache.
fn build() -> PathBuf {
    let cache = tools::directory().join("images");
    fs::create_dir_all(&cache).expect("the cache folder");
    let workshop = tempfile::tempdir_in(&cache).expect("a workshop beside the cache");
    let built = workshop.path().join("built");
    let sources = Builder::new(workshop.path(), &built).build();
    let stand_ins: Vec<&String> = sources.iter().filter(|source| source.contains(STAND_IN)).collect();
    for source in &stand_ins {
        // Straight to the handle: whoever reads a passing run should know what its images were.
        let _ = writeln!(std::io::stderr(), "image: {source}");
    }
    let home = tools::directory().join(if stand_ins.is_empty() { RECIPE } else { STAND_INS });
    if let Err(error) = fs::rename(&built, &home) {
        assert!(home.join("sources").exists(), "the images could not be kept: {error}");
    }
    home
}

fn load(home: &Path) -> Images {
    let image = |name: &str| {
        let layout = home.join(name);
        let index: Value = read_json(&layout.join("index.json"));
        let digest = text(&index["manifests"][0]["digest"]);
        let mut layers = Vec::new();
        collect_layers(&layout, &digest, &mut layers);
        Image { layout, digest, layers }
    };
    Images {
        single: image("single"),
        multi: image("multi"),
        archive: home.join("single.docker.tar"),
        layout_archive: home.join("single.oci.tar"),
        sources: fs::read_to_string(home.join("sources")).expect("the sources are written down"),
    }
}

fn collect_layers(layout: &Path, digest: &str, layers: &mut Vec<String>) {
    let manifest = read_json(&blob_path(layout, digest));
    for child in manifest["manifests"].as_array().into_iter().flatten() {
        collect_layers(layout, &text(&child["digest"]), layers);
    }
    for layer in manifest["layers"].as_array().into_iter().flatten() {
        let digest = text(&layer["digest"]);
        if !layers.contains(&digest) {
            layers.push(digest);
        }
    }
}

/// A layer in both shapes: the tar itself and its gzip in the blob pool.
#[derive(Debug, Clone)]
struct Layer {
    tar: PathBuf,
    diff_id: String,
    descriptor: Value,
    source: String,
}

/// Owns the workshop while the images are being made.
#[derive(Debug)]
struct Builder<'a> {
    workshop: &'a Path,
    built: &'a Path,
    sources: Vec<String>,
}

impl<'a> Builder<'a> {
    fn new(workshop: &'a Path, built: &'a Path) -> Self {
        Self { workshop, built, sources: Vec::new() }
    }

    fn build(mut self) -> Vec<String> {
        fs::create_dir_all(self.pool().join("sha256")).expect("the blob pool");
        let shell = self.debian_layer("busybox-static", "/bin");
        let zones = self.debian_layer("tzdata", "/usr/share/zoneinfo");
        let x86 = self.wheel_layer("manylinux2014_x86_64");
        let arm = self.wheel_layer("manylinux2014_aarch64");

        let layers = [shell, zones.clone(), x86];
        let amd64 = self.manifest("amd64", &layers);
        let arm64 = self.manifest("arm64", &[zones, arm]);
        let children = [with_platform(&amd64, "amd64"), with_platform(&arm64, "arm64")];
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": children });
        let index = self.add_blob(INDEX_TYPE, index.to_string().as_bytes());

        self.layout("single", &amd64);
        self.layout("multi", &index);
        self.docker_archive(&amd64, &layers);
        tar_folder(&self.built.join("single"), &self.built.join("single.oci.tar"));
        fs::remove_dir_all(self.pool()).expect("the pool is dissolved: the layouts hold links to its blobs");
        fs::write(self.built.join("sources"), self.sources.join("\n") + "\n").expect("the sources are written");
        self.sources
    }

    fn pool(&self) -> PathBuf {
        self.built.join("blobs")
    }

    /// A layer with exactly the files of a Debian package.
    fn debian_layer(&mut self, package: &str, stand_in: &str) -> Layer {
        let tar = self.workshop.join(format!("{package}.tar"));
        let folder = self.workshop.join(package);
        fs::create_dir_all(&folder).expect("a folder for the package");
        let fetched = quiet("apt-get", &["download", "-q", package], &folder);
        let source = match fetched.then(|| first_file(&folder)).flatten() {
            Some(file) => {
                let unpacked = File::create(&tar).expect("the layer's tar");
                let mut unpack = Command::new(tools::require("dpkg-deb"));
                unpack.arg("--fsys-tarfile").arg(&file).stdout(unpacked);
                assert!(unpack.status().is_ok_and(|status| status.success()), "{package} does not unpack");
                format!("Debian package {}", file_name(&file))
            }
            None => self.local_files(stand_in, &tar, package),
        };
        self.finish_layer(tar, source)
    }

    /// A layer with an installed PyPI wheel of the given platform.
    fn wheel_layer(&mut self, platform: &str) -> Layer {
        let tar = self.workshop.join(format!("{platform}.tar"));
        let folder = self.workshop.join(platform);
        let tree = folder.join("tree");
        let site = tree.join("usr/lib/python3/dist-packages");
        fs::create_dir_all(&site).expect("a folder for the wheel");
        let wheels = folder.join("wheels");
        let target = ["--python-version", "311", "--implementation", "cp", "--abi", "cp311", "--platform", platform];
        let mut arguments = vec!["-m", "pip", "download", "-q", "--no-deps", "--retries=1", "--only-binary=:all:"];
        arguments.extend(target);
        let destination = wheels.display().to_string();
        arguments.extend(["-d", &destination, WHEEL]);
        let fetched = quiet("python3", &arguments, &folder);
        let source = match fetched.then(|| first_file(&wheels)).flatten() {
            Some(file) => {
                let (file, site) = (file.display().to_string(), site.display().to_string());
                process::output("python3", &["-m", "zipfile", "-e", &file, &site]);
                tar_folder(&tree, &tar);
                format!("PyPI wheel {}", file_name(Path::new(&file)))
            }
            None => self.local_files("/usr/share/doc", &tar, platform),
        };
        self.finish_layer(tar, source)
    }

    /// Up to a few MiB of this machine's files, with a marker so that layers differ.
    fn local_files(&self, from: &str, tar: &Path, marker: &str) -> String {
        let tree = self.workshop.join(format!("{marker}-local"));
        fs::create_dir_all(&tree).expect("a folder for local files");
        fs::write(tree.join(".layer"), marker).expect("the marker is written");
        let copied: u64 = copy_some(Path::new(from), &tree, 4 << 20);
        tar_folder(&tree, tar);
        format!("{STAND_IN} for {marker}: {copied} bytes of this machine's {from}")
    }

    fn finish_layer(&mut self, tar: PathBuf, source: String) -> Layer {
        let diff_id = digest_of(&fs::read(&tar).expect("the tar is there"));
        // -n: no name and no time in the header, so the same tar gives the same blob.
        let packed = Command::new(tools::require("gzip")).args(["-n", "-c"]).arg(&tar).output().expect("gzip runs");
        let descriptor = self.add_blob(LAYER_TYPE, &packed.stdout);
        self.sources.push(format!("{} {source}", text(&descriptor["digest"])));
        Layer { tar, diff_id, descriptor, source }
    }

    fn manifest(&self, architecture: &str, layers: &[Layer]) -> Value {
        let epoch = "1970-01-01T00:00:00Z";
        let history: Vec<Value> =
            layers.iter().map(|layer| json!({ "created": epoch, "created_by": layer.source })).collect();
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "created": epoch, "history": history,
            "config": { "Cmd": ["/bin/busybox", "echo", "ashore"], "Env": ["PATH=/bin:/usr/bin"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = self.add_blob(CONFIG_TYPE, config.to_string().as_bytes());
        let layers: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers });
        self.add_blob(MANIFEST_TYPE, manifest.to_string().as_bytes())
    }

    fn add_blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest_of(bytes);
        fs::write(self.pool().join(digest.replace(':', "/")), bytes).expect("the blob is written");
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Writes an OCI layout with what `root` reaches, and nothing else.
    fn layout(&self, name: &str, root: &Value) {
        let layout = self.built.join(name);
        fs::create_dir_all(layout.join("blobs/sha256")).expect("the layout");
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("the layout's version");
        let mut root = root.clone();
        self.link(&layout, &root);
        root["annotations"] = json!({ "org.opencontainers.image.ref.name": TAG });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [root] });
        fs::write(layout.join("index.json"), index.to_string()).expect("the layout's index");
    }

    fn link(&self, layout: &Path, descriptor: &Value) {
        let digest = text(&descriptor["digest"]);
        let from = self.pool().join(digest.replace(':', "/"));
        let to = blob_path(layout, &digest);
        if !to.exists() {
            fs::hard_link(&from, to).expect("the blob is linked");
        }
        let media_type = text(&descriptor["mediaType"]);
        if [MANIFEST_TYPE, INDEX_TYPE].contains(&media_type.as_str()) {
            let document = read_json(&from);
            let lists = ["manifests", "layers"].map(|list| document[list].as_array().cloned().unwrap_or_default());
            let config = document.get("config").cloned();
            for child in lists.into_iter().flatten().chain(config) {
                self.link(layout, &child);
            }
        }
    }

    fn docker_archive(&self, manifest: &Value, layers: &[Layer]) {
        let folder = self.workshop.join("docker");
        fs::create_dir(&folder).expect("a folder for the archive");
        let manifest = read_json(&self.pool().join(text(&manifest["digest"]).replace(':', "/")));
        let config = text(&manifest["config"]["digest"]);
        let config_name = format!("{}.json", config.trim_start_matches("sha256:"));
        fs::copy(self.pool().join(config.replace(':', "/")), folder.join(&config_name)).expect("the config");
        let mut names = Vec::new();
        for layer in layers {
            let name = format!("{}/layer.tar", layer.diff_id.trim_start_matches("sha256:"));
            fs::create_dir(folder.join(&name).parent().expect("a folder per layer")).expect("a folder per layer");
            fs::hard_link(&layer.tar, folder.join(&name)).expect("the layer");
            names.push(name);
        }
        let list = json!([{ "Config": config_name, "RepoTags": [LOADED_NAME], "Layers": names }]);
        fs::write(folder.join("manifest.json"), list.to_string()).expect("the archive's manifest");
        tar_folder(&folder, &self.built.join("single.docker.tar"));
    }
}

fn with_platform(descriptor: &Value, architecture: &str) -> Value {
    let mut descriptor = descriptor.clone();
    descriptor["platform"] = json!({ "architecture": architecture, "os": "linux" });
    descriptor
}

/// A tar whose bytes depend on the files alone: sorted, without owners, times or the umask's leftovers.
fn tar_folder(folder: &Path, tar: &Path) {
    let arguments = [
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--format=gnu",
        "--mode=u+rwX,go+rX,go-w",
        "--hard-dereference",
    ];
    let mut command = Command::new(tools::require("tar"));
    command.args(arguments).arg("-C").arg(folder).arg("-cf").arg(tar);
    let mut names: Vec<_> =
        fs::read_dir(folder).expect("the folder lists").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    command.args(names);
    assert!(command.status().is_ok_and(|status| status.success()), "tar of {} failed", folder.display());
}

/// Copies files from `from` until `budget` bytes are reached; gives how many were copied.
fn copy_some(from: &Path, to: &Path, budget: u64) -> u64 {
    let mut names: Vec<PathBuf> =
        fs::read_dir(from).map(|list| list.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    names.sort();
    let mut copied = 0;
    for path in names {
        let Some(name) = path.file_name() else { continue };
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            let folder = to.join(name);
            if fs::create_dir(&folder).is_ok() {
                copied += copy_some(&path, &folder, budget.saturating_sub(copied));
            }
        } else if meta.is_file() && copied + meta.len() <= budget {
            copied += fs::copy(&path, to.join(name)).unwrap_or(0);
        }
    }
    copied
}

/// Runs a fetch that may be refused; its noise would only hide the story's own.
fn quiet(program: &str, arguments: &[&str], folder: &Path) -> bool {
    let Some(program) = tools::locate(program) else { return false };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn first_file(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find(|path| path.is_file())
}

fn blob_path(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read_json(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}
