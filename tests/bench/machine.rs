//! What the figures were measured on. Reads `/proc` and asks each program for its version; holds no state.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;
use std::process::Command;

use rustix::fs::{Advice, fadvise};

use crate::server::Ground;

/// Read at a time while the page cache is filled.
const FILL: usize = 1 << 20;

/// A markdown list: the machine, its system, the versions.
pub(crate) fn describe(ground: &Ground) -> String {
    let cpuinfo = read("/proc/cpuinfo");
    let model = value(&cpuinfo, "model name").unwrap_or("processor unknown");
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let memory = value(&read("/proc/meminfo"), "MemTotal")
        .and_then(|kib| kib.split(' ').next()?.parse::<f64>().ok())
        .map_or_else(|| "memory unknown".to_owned(), |kib| format!("{:.1} GiB of memory", kib / 1024.0 / 1024.0));
    let portolan = said(&ground.portolan, &["--version"]);
    let commit = said(Path::new("git"), &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"]);
    format!(
        "- Machine: {model}, {cores} cores, {memory}; Linux {}; the run's directory on {}\n\
         - Portolan: {portolan}, commit {commit}; {}; {}; {}\n\
         - Load average at the start: {}\n",
        read("/proc/sys/kernel/osrelease").trim(),
        file_system(&ground.dir),
        said(Path::new("/usr/sbin/nginx"), &["-v"]),
        said(Path::new("/usr/bin/docker-registry"), &["--version"]),
        said(Path::new("/usr/bin/skopeo"), &["--version"]),
        load(),
    )
}

/// The load averages of 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Fills the page cache, as it is on a machine that has been up for a while: with the holes of a sparse file, so that
/// nothing is written. Without it a contestant pays, by chance, for memory that the hypervisor has to hand out again:
/// a virtual machine may give free pages back after seconds, and taking one up costs more than filling it.
pub(crate) fn fill_page_cache(dir: &Path) -> io::Result<()> {
    let kib = |name| value(&read("/proc/meminfo"), name).and_then(|kib| kib.split(' ').next()?.parse::<u64>().ok());
    let (Some(total), Some(available)) = (kib("MemTotal"), kib("MemAvailable")) else { return Ok(()) };
    let path = dir.join("page-cache");
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
    file.set_len(available.saturating_sub(total / 20) * 1024)?;
    fadvise(&file, 0, None, Advice::Sequential)?;
    io::copy(&mut BufReader::with_capacity(FILL, &file), &mut io::sink())?;
    Ok(())
}

/// Whether `dir` lies in memory: what is written there is not on a disk, so nothing durable could be measured.
pub(crate) fn in_memory(dir: &Path) -> bool {
    matches!(file_system(dir).as_str(), "tmpfs" | "ramfs")
}

/// The type of the file system `dir` lies on: the mount with the longest path that leads to it.
fn file_system(dir: &Path) -> String {
    let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf());
    read("/proc/self/mounts")
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
        })
        .filter(|(mount, _)| dir.starts_with(mount))
        .max_by_key(|(mount, _)| mount.len())
        .map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| kind)
}

/// The first line a program answers, on either output.
fn said(program: &Path, arguments: &[&str]) -> String {
    let answer = Command::new(program).args(arguments).output().ok().map(|output| {
        let bytes = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned()
    });
    answer.filter(|line| !line.is_empty()).unwrap_or_else(|| "not available".to_owned())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(key)?.split_once(':')?.1.trim()))
}
