//! What the system has left.

use super::process::kib;
use std::fs::read_to_string;
use std::path::Path;

/// Bytes that this process could still allocate: the least of Linux's `MemAvailable`, of what the limits of its control
/// groups leave (`memory.max`, or `memory.limit_in_bytes` of the older kind), and of what its limit of address space does
/// (`ulimit -v`). Other systems are not asked.
pub fn available() -> Option<u64> {
    let memory = kib(&read_to_string("/proc/meminfo").ok()?, "MemAvailable")?;
    let groups =
        read_to_string("/proc/self/cgroup").ok().and_then(|groups| in_groups(&groups, Path::new("/sys/fs/cgroup")));
    [Some(memory), groups, in_address_space()].into_iter().flatten().min()
}

/// What the limits of the groups that `/proc/self/cgroup` names leave, of which `root` has the files.
fn in_groups(groups: &str, root: &Path) -> Option<u64> {
    let rooms = groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (kinds, path) = (fields.next().unwrap_or(""), fields.next().unwrap_or("").trim_start_matches('/'));
        let (folder, files) = match kinds {
            "" => (root.to_owned(), ["memory.max", "memory.current", "inactive_file"]),
            _ if kinds.split(',').any(|kind| kind == "memory") => {
                (root.join("memory"), ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"])
            }
            _ => return Vec::new(),
        };
        // The limits of the groups around a group hold for it too. Within a container its path may lead nowhere.
        let around = Path::new(path).ancestors();
        around.filter_map(|group| room(&folder.join(group), files)).collect()
    });
    rooms.min()
}

/// What one group's limit leaves, if it has one. Pages of files that nobody has looked at for long can go.
fn room(folder: &Path, [limit, usage, inactive]: [&str; 3]) -> Option<u64> {
    let number = |name: &str| read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let stat = read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let inactive = stat.lines().find_map(|line| line.strip_prefix(inactive)?.trim().parse::<u64>().ok());
    Some((number(limit)? + inactive.unwrap_or(0)).saturating_sub(number(usage)?))
}

/// What the limit of address space leaves, if there is one.
fn in_address_space() -> Option<u64> {
    let limits = read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit = line.split_whitespace().next()?.parse::<u64>().ok()?;
    Some(limit.saturating_sub(kib(&read_to_string("/proc/self/status").ok()?, "VmSize")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group with these files.
    fn group(folder: &Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(folder).unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
    }

    #[test]
    fn the_tightest_group_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        group(&root.join("a/b"), &[("memory.max", "max\n"), ("memory.current", "5\n")]);
        group(
            &root.join("a"),
            &[("memory.max", "1000\n"), ("memory.current", "600\n"), ("memory.stat", "anon 7\ninactive_file 50\n")],
        );
        assert_eq!(in_groups("0::/a/b\n", root), Some(450));
        assert_eq!(in_groups("0::/c\n", root), None);
        let limit = |limit, usage| [("memory.limit_in_bytes", limit), ("memory.usage_in_bytes", usage)];
        group(&root.join("memory"), &limit("9223372036854771712", "9"));
        group(&root.join("memory/x"), &limit("300", "500"));
        assert_eq!(in_groups("4:cpu,cpuacct:/x\n3:memory:/x\n0::/\n", root), Some(0), "already above it");
        assert_eq!(in_groups("3:memory:/elsewhere\n", root), Some(9223372036854771712 - 9));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_some() {
        assert!(available().unwrap() > 1 << 20);
    }
}
