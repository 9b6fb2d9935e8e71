//! Memory for numbers: page-aligned, kept from step to step, on huge pages where it is large.

use memmap2::MmapMut;
use std::any::Any;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

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

/// Memory of a device that holds what a [`Buffer`] holds.
pub trait DeviceMemory: Any + Debug + Send + Sync {
    /// Copies the first numbers out, as many as `to` has room for. If the device has failed, something is there
    /// afterwards all the same: see [`Backend::status`](crate::backend::Backend::status).
    fn read(&self, to: &mut [f32]);
}

/// A resizable array of `f32`: in memory of this machine, in that of a device, or with a copy in both.
///
/// Whoever looks at the numbers here ([`as_slice`](Self::as_slice)) has them copied here if they are not, and whoever
/// changes them here makes the device's copy worthless; a backend on a device asks for [`on_device`](Self::on_device) and
/// does the same the other way round. So numbers move when someone needs them elsewhere, and everything outside a backend
/// works with every backend; between the operations of a training step nothing moves.
#[derive(Default)]
pub struct Buffer {
    /// The numbers, if they are here.
    here: OnceLock<Map>,
    /// Memory that was `here`, until it is needed again.
    spare: Mutex<Option<Map>>,
    /// Memory of a device, whether what it holds is of use or not.
    device: OnceLock<Box<dyn DeviceMemory>>,
    /// Whether the numbers are there.
    is_on_device: AtomicBool,
    /// Elements in use.
    len: usize,
    /// Elements that fit.
    capacity: usize,
}

/// An anonymous memory map.
///
/// Why not a `Vec`: (1) a map starts on a page, so that no 64-byte vector straddles two cache
/// lines; (2) from 2 MiB on it starts on a huge page and asks for them (`madvise`), which is
/// worth a factor of 1.8 and more for random rows of a table; (3) fresh pages are zero without
/// being written, so that a table of gigabytes is first touched by the threads that fill it.
struct Map {
    map: MmapMut,
    /// First byte used, a multiple of 64.
    start: usize,
}

impl Map {
    /// `len` zeros, which are not none.
    fn zeros(len: usize) -> Self {
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
        Map { map, start }
    }

    fn as_slice(&self, len: usize) -> &[f32] {
        bytemuck::cast_slice(&self.map[self.start..self.start + len * size_of::<f32>()])
    }

    fn as_mut_slice(&mut self, len: usize) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.map[self.start..self.start + len * size_of::<f32>()])
    }
}

impl Debug for Buffer {
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
        let here = OnceLock::new();
        if len > 0 {
            here.get_or_init(|| Map::zeros(len));
        }
        Buffer { here, len, capacity: len, ..Buffer::default() }
    }

    /// Elements in use.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Elements that there is memory for.
    pub fn capacity(&self) -> usize {
        self.capacity
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
        match self.capacity {
            0 => &[],
            _ => self.here.get_or_init(|| self.read_back()).as_slice(self.len),
        }
    }

    /// The elements, to write.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        self.as_slice();
        self.overwrite()
    }

    /// The elements, to write all of them: what is there before is unspecified.
    pub fn overwrite(&mut self) -> &mut [f32] {
        *self.is_on_device.get_mut() = false;
        if self.capacity == 0 {
            return &mut [];
        }
        if self.here.get().is_none() {
            let map = self.spare().unwrap_or_else(|| Map::zeros(self.capacity));
            self.here = OnceLock::from(map);
        }
        self.here.get_mut().expect("just made").as_mut_slice(self.len)
    }

    /// The numbers as the device has them.
    fn read_back(&self) -> Map {
        let mut map = self.spare().unwrap_or_else(|| Map::zeros(self.capacity));
        let device = self.device.get().expect("numbers are here or on a device");
        device.read(map.as_mut_slice(self.len));
        map
    }

    fn spare(&self) -> Option<Map> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The memory of a device, for a backend to read the numbers from: made by `make` for a number of elements if there is
    /// none yet, and filled by `write` if the numbers are not there.
    pub fn on_device(
        &self,
        make: impl FnOnce(usize) -> Box<dyn DeviceMemory>,
        write: impl FnOnce(&dyn DeviceMemory, &[f32]),
    ) -> &dyn DeviceMemory {
        let device = &**self.device.get_or_init(|| make(self.capacity));
        if !self.is_on_device.load(Ordering::Acquire) {
            write(device, self.as_slice());
            self.is_on_device.store(true, Ordering::Release);
        }
        device
    }

    /// The memory of a device, if there is some, whether what it holds is of use or not.
    pub fn device(&self) -> Option<&dyn DeviceMemory> {
        self.device.get().map(|device| &**device)
    }

    /// The memory of a device, for a backend to write there: made by `make` for a number of elements if there is none
    /// yet. From here on the numbers are there alone, and those that it does not write are unspecified, unless it asked
    /// for [`on_device`](Self::on_device) before.
    pub fn to_device(&mut self, make: impl FnOnce(usize) -> Box<dyn DeviceMemory>) -> &dyn DeviceMemory {
        *self.is_on_device.get_mut() = true;
        if let Some(map) = self.here.take() {
            *self.spare.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(map);
        }
        &**self.device.get_or_init(|| make(self.capacity))
    }

    /// Gives up the memory here, if the numbers are on a device too.
    pub fn leave(&mut self) {
        if *self.is_on_device.get_mut() {
            self.here.take();
            self.spare();
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

    #[derive(Debug, Default)]
    struct Device(Mutex<Vec<f32>>);

    impl Device {
        fn of(memory: &dyn DeviceMemory) -> &Device {
            (memory as &dyn Any).downcast_ref().unwrap()
        }
    }

    impl DeviceMemory for Device {
        fn read(&self, to: &mut [f32]) {
            to.copy_from_slice(&self.0.lock().unwrap()[..to.len()]);
        }
    }

    #[test]
    fn numbers_move_when_they_are_needed_elsewhere() {
        let make = |len| Box::new(Device(Mutex::new(vec![-1.0; len]))) as Box<dyn DeviceMemory>;
        let mut b = Buffer::zeros(3);
        b.as_mut_slice()[1] = 5.0;
        let mut moves = 0;
        let mut look = |b: &Buffer| {
            let write = |device: &dyn DeviceMemory, from: &[f32]| {
                Device::of(device).0.lock().unwrap()[..from.len()].copy_from_slice(from);
                moves += 1;
            };
            (Device::of(b.on_device(make, write)).0.lock().unwrap().clone(), moves)
        };
        assert_eq!(look(&b), (vec![0.0, 5.0, 0.0], 1));
        assert_eq!(look(&b), (vec![0.0, 5.0, 0.0], 1), "they are there already");
        assert_eq!(b.as_slice(), [0.0, 5.0, 0.0], "and here");
        b.as_mut_slice()[0] = 7.0;
        assert_eq!(look(&b), (vec![7.0, 5.0, 0.0], 2));
        let before = maps_made();
        Device::of(b.to_device(make)).0.lock().unwrap()[2] = 9.0;
        assert_eq!(b.as_slice(), [7.0, 5.0, 9.0]);
        b.overwrite().copy_from_slice(&[1.0, 2.0, 3.0]);
        assert_eq!(look(&b), (vec![1.0, 2.0, 3.0], 3));
        assert_eq!(maps_made(), before, "memory here stays");
        b.leave();
        assert_eq!(b.as_slice(), [1.0, 2.0, 3.0]);
        let mut grown = Buffer::default();
        grown.resize(2);
        grown.to_device(make);
        assert_eq!(grown.as_slice(), [-1.0, -1.0]);
    }
}
