//! The file system a path is on, from the text of `/proc/self/mountinfo` (format: proc_pid_mountinfo(5)).

use std::path::{Path, PathBuf};

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Its kind: `ext4`.
    pub kind: String,
    /// Options of the mount and of the file system.
    pub options: Vec<String>,
}

/// What a kind of file system is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suits {
    /// Keeps what was synced.
    Yes,
    /// Gone after a restart of the machine.
    Volatile,
    /// Keeps data, but what a sync or a lock means depends on others.
    Doubtful,
    /// Not one we know.
    Unknown,
}

impl Mount {
    /// What its kind is good for.
    #[must_use]
    pub fn suits(&self) -> Suits {
        match self.kind.as_str() {
            "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "zfs" | "f2fs" | "bcachefs" | "ubifs" => Suits::Yes,
            "tmpfs" | "ramfs" | "rootfs" => Suits::Volatile,
            "overlay" | "aufs" | "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "virtiofs" | "vboxsf" => Suits::Doubtful,
            kind if kind == "fuse" || kind.starts_with("fuse.") || kind == "fuseblk" => Suits::Doubtful,
            _ => Suits::Unknown,
        }
    }

    /// The option that switches write barriers off, if there is one.
    #[must_use]
    pub fn no_barriers(&self) -> Option<&str> {
        let off = |option: &&String| matches!(option.as_str(), "nobarrier" | "barrier=0" | "barrier=off");
        self.options.iter().find(off).map(String::as_str)
    }
}

/// The mount that `path`, absolute and without links, is on: the one with the longest mount point, and of those mounted
/// over each other the last.
#[must_use]
pub fn mount_of(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mounts = mountinfo.lines().filter_map(parse).filter(|mount| path.starts_with(&mount.point));
    mounts.max_by_key(|mount| mount.point.components().count())
}

fn parse(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(4);
    let point = unescape(mount.next()?);
    let options = mount.next()?;
    let mut file_system = file_system.split(' ');
    let kind = file_system.next()?.to_owned();
    let more = file_system.nth(1).unwrap_or_default();
    let options = options.split(',').chain(more.split(',')).filter(|option| !option.is_empty());
    Some(Mount { point: point.into(), kind, options: options.map(Into::into).collect() })
}

/// Spaces and the like are written as `\040`.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match escaped {
            Some(byte) if first == b'\\' => {
                out.push(byte);
                rest = &tail[3..];
            }
            Some(_) | None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
30 22 0:26 / /tmp rw,nosuid shared:5 - tmpfs tmpfs rw,size=1g
31 22 8:1 / /srv/with\\040space rw - xfs /dev/sda1 rw,nobarrier
32 22 8:2 / /srv rw - fuse.sshfs host:/ rw
33 22 8:3 / /srv rw - btrfs /dev/sdb rw
not a line
";

    fn kind(path: &str) -> String {
        mount_of(MOUNTS, Path::new(path)).unwrap().kind
    }

    #[test]
    fn the_longest_mount_point_wins_then_the_last() {
        assert_eq!(kind("/var/lib/portolan"), "ext4");
        assert_eq!(kind("/tmp/x"), "tmpfs");
        assert_eq!(kind("/tmpx"), "ext4");
        assert_eq!(kind("/srv/data"), "btrfs");
        assert_eq!(kind("/srv/with space/data"), "xfs");
        assert_eq!(mount_of("", Path::new("/")), None);
    }

    #[test]
    fn barriers_and_kinds() {
        let mount = |path: &str| mount_of(MOUNTS, Path::new(path)).unwrap();
        assert_eq!(mount("/srv/with space").no_barriers(), Some("nobarrier"));
        assert_eq!(mount("/").no_barriers(), None);
        assert_eq!((mount("/").suits(), mount("/tmp").suits()), (Suits::Yes, Suits::Volatile));
        let of = |kind: &str| Mount { point: "/".into(), kind: kind.into(), options: Vec::new() }.suits();
        assert_eq!((of("overlay"), of("fuse.sshfs"), of("nfs4"), of("odd")), {
            (Suits::Doubtful, Suits::Doubtful, Suits::Doubtful, Suits::Unknown)
        });
    }
}
