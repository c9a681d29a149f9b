//! What Linux says about processes, read from `/proc`. Holds no state. A process that has just ended counts as nothing.

use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

/// `pid` and its children.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|child| stat_field(*child, 1) == Some(u64::from(pid)));
    std::iter::once(pid).chain(children).collect()
}

/// User and system time the processes have used.
pub(crate) fn cpu(pids: &[u32]) -> Duration {
    let ticks: u64 = pids
        .iter()
        .map(|pid| stat_field(*pid, 11).unwrap_or_default() + stat_field(*pid, 12).unwrap_or_default())
        .sum();
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}

/// Anonymous memory the processes hold now, in bytes.
pub(crate) fn anonymous(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| keyed(&format!("/proc/{pid}/status"), "RssAnon:")).sum::<u64>() * 1024
}

/// Bytes the processes had fetched from storage: what the page cache did not have.
pub(crate) fn disk_read(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| keyed(&format!("/proc/{pid}/io"), "read_bytes:")).sum()
}

/// Numeric field `n` of `/proc/PID/stat`, counted from the state behind the command's name (which may hold spaces).
fn stat_field(pid: u32, n: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(n)?.parse().ok()
}

/// The first number behind `key` in a file of lines.
fn keyed(path: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_belongs_to_its_own_family() {
        let own = std::process::id();
        assert_eq!(family(own).first(), Some(&own));
        assert!(anonymous(&[own]) > 0);
    }
}
