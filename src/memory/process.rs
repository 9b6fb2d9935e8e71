//! What this process holds.

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> Option<u64> {
    kib(&std::fs::read_to_string("/proc/self/status").ok()?, name)
}

/// A line such as `VmHWM:  812 kB`, in bytes.
pub(super) fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| 1024 * kib)
}

/// Bytes of memory that this process has for itself now: Linux's `RssAnon`. Pages of files that it looks at, such as the
/// program and a binary dataset, are not among them. Other systems are not asked.
pub fn anonymous() -> Option<u64> {
    status("RssAnon")
}

/// The most that this process has had for itself since [`reset_peak`]: Linux's `VmHWM`, the most that it had in memory,
/// without the pages of files that are there now. (Those of a binary dataset that were there at the time of the peak and are
/// not now would make it too large; they go only if the system is short of memory.)
pub fn peak() -> Option<u64> {
    let files = status("RssFile")? + status("RssShmem")?;
    status("VmHWM")?.checked_sub(files)
}

/// Lets [`peak`] begin anew from here, if the system does that.
pub fn reset_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Files and the like that this process has open, if the system tells.
pub fn open_handles() -> Option<u64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

/// Threads of this process, if the system tells.
pub fn threads() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok())
}

/// How much more the most of the last third of `samples` is than the most of the third before, as a share of that: what
/// leaks, however little at a time, is more in the end, and what only takes a while to be there at all is not. None of
/// fewer than six samples.
pub fn growth(samples: &[u64]) -> Option<f64> {
    let third = samples.len() / 3;
    let most = |part: &[u64]| part.iter().max().copied().filter(|&most| most > 0);
    let (before, last) = (most(samples.get(third..2 * third)?)?, most(&samples[2 * third..])?);
    (third > 1).then(|| last as f64 / before as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaks_grows_and_what_is_slow_to_begin_does_not() {
        let leak: Vec<u64> = (0..90).map(|i| 1000 + 4 * i).collect();
        assert!((growth(&leak).unwrap() - (1356.0 / 1236.0 - 1.0)).abs() < 1e-12);
        let settles: Vec<u64> = (0..90).map(|i| 1000 - 900 / (i + 1) + i % 3).collect();
        assert!(growth(&settles).unwrap() < 0.02);
        assert_eq!(growth(&[1, 1, 5, 5, 4, 5]), Some(0.0));
        assert_eq!([growth(&[1; 5]), growth(&[]), growth(&[0; 9])], [None; 3]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn handles_and_threads_are_counted() {
        let [handles, running] = [open_handles().unwrap(), threads().unwrap()];
        assert!(handles > 2 && running > 0, "{handles} handles, {running} threads");
    }

    #[test]
    fn lines_are_found_by_their_whole_name() {
        let text = "VmHWM:\t    1676 kB\nRssAnon:\t     116 kB\nThreads:\t1\n";
        assert_eq!(
            [kib(text, "RssAnon"), kib(text, "VmHWM"), kib(text, "Rss"), kib(text, "Threads")],
            [Some(116 << 10), Some(1676 << 10), None, None]
        );
    }
}
