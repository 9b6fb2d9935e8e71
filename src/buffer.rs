//! Memory for numbers: page-aligned, kept from step to step, on huge pages where it is large.

use memmap2::MmapMut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A huge page of x86-64 and of most AArch64 systems, in bytes.
const HUGE_PAGE: usize = 2 << 20;

static MAPS: AtomicU64 = AtomicU64::new(0);

/// How many anonymous maps this process has made for [`Buffer`]s so far.
///
/// A steady training step makes none; a test compares this count before and after.
pub fn maps_made() -> u64 {
    MAPS.load(Ordering::Relaxed)
}

/// Bytes of memory that a [`Buffer`] of `len` numbers takes when all are in use: `4 · len`, in whole pages of 4 KiB, or
/// from 2 MiB on in huge ones, if the system gives them.
pub fn resident_bytes(len: usize) -> u64 {
    static HUGE_PAGES: OnceLock<bool> = OnceLock::new();
    let huge = || {
        let modes = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
        modes.is_ok_and(|modes| !modes.contains("[never]"))
    };
    let bytes = (len as u64).saturating_mul(size_of::<f32>() as u64);
    let page = if bytes >= HUGE_PAGE as u64 && *HUGE_PAGES.get_or_init(huge) { HUGE_PAGE as u64 } else { 4096 };
    bytes.checked_next_multiple_of(page).unwrap_or(u64::MAX)
}

/// A resizable array of `f32` in an anonymous memory map.
///
/// Why not a `Vec`: (1) a map starts on a page, so that no 64-byte vector straddles two cache
/// lines; (2) from 2 MiB on it starts on a huge page and asks for them (`madvise`), which is
/// worth a factor of 1.8 and more for random rows of a table; (3) fresh pages are zero without
/// being written, so that a table of gigabytes is first touched by the threads that fill it.
#[derive(Default)]
pub struct Buffer {
    map: Option<MmapMut>,
    /// First byte used, a multiple of 64.
    start: usize,
    /// Elements in use.
    len: usize,
    /// Elements that fit.
    capacity: usize,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} of {})", self.len, self.capacity)
    }
}

impl Buffer {
    /// `len` zeros.
    ///
    /// # Panics
    /// If the system has no memory left to map, with the number of bytes that were asked for.
    pub fn zeros(len: usize) -> Self {
        if len == 0 {
            return Buffer::default();
        }
        let bytes = len * size_of::<f32>();
        let huge = bytes >= HUGE_PAGE;
        let reserve = if huge { bytes.next_multiple_of(HUGE_PAGE) + HUGE_PAGE } else { bytes };
        let map = MmapMut::map_anon(reserve).unwrap_or_else(|e| panic!("no memory for a buffer of {bytes} bytes: {e}"));
        MAPS.fetch_add(1, Ordering::Relaxed);
        let start = if huge { map.as_ptr().addr().next_multiple_of(HUGE_PAGE) - map.as_ptr().addr() } else { 0 };
        #[cfg(target_os = "linux")]
        if huge {
            // A kernel without transparent huge pages says no; the buffer works all the same.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        Buffer { map: Some(map), start, len, capacity: len }
    }

    /// Elements in use.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no element is in use.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Becomes `len` long. What it holds afterwards is unspecified; memory is only mapped anew
    /// when `len` is larger than ever before.
    pub fn resize(&mut self, len: usize) {
        if len > self.capacity {
            *self = Buffer::zeros(len);
        }
        self.len = len;
    }

    /// The elements.
    pub fn as_slice(&self) -> &[f32] {
        match &self.map {
            Some(map) => bytemuck::cast_slice(&map[self.start..self.start + self.len * size_of::<f32>()]),
            None => &[],
        }
    }

    /// The elements, to write.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        match &mut self.map {
            Some(map) => bytemuck::cast_slice_mut(&mut map[self.start..self.start + self.len * size_of::<f32>()]),
            None => &mut [],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_huge_buffers_are_zero_and_aligned() {
        for (len, align) in [(0, 1), (1, 64), (1000, 64), (HUGE_PAGE / 4, HUGE_PAGE), (HUGE_PAGE, HUGE_PAGE)] {
            let mut b = Buffer::zeros(len);
            assert_eq!(b.len(), len);
            assert!(b.as_slice().iter().all(|&v| v == 0.0), "{len}");
            if len > 0 {
                assert_eq!(b.as_slice().as_ptr().addr() % align, 0, "{len}");
            }
            b.as_mut_slice().fill(1.0);
            assert!(b.as_slice().iter().all(|&v| v == 1.0), "{len}");
        }
    }

    #[test]
    fn shrinking_and_growing_back_maps_nothing() {
        let mut b = Buffer::zeros(1000);
        let at = b.as_slice().as_ptr().addr();
        for len in [10, 0, 1000] {
            b.resize(len);
            assert_eq!(b.len(), len);
        }
        assert_eq!(b.as_slice().as_ptr().addr(), at);
    }
}
