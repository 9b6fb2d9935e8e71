//! A radix sort on the device: keys in rising order, stably, so that what comes of it is the same each run.

use super::device::Device;
use super::room::Room;
use dlrm_kernels::wgsl;
use std::sync::Arc;

/// Keys that a workgroup looks at side by side.
const WIDTH: usize = 256;

/// Bits of a pass.
const DIGIT: u32 = 8;

/// Room for keys and what they carry, twice: each pass moves all from one to the other.
#[derive(Debug, Default)]
pub(super) struct Sortable {
    pub keys: [Room; 2],
    /// Where each key was before.
    pub order: [Room; 2],
    counts: Room,
}

impl Sortable {
    /// Sorts the first `len` of `keys[0]`, which are below `end`; returns in which of both rooms they are afterwards, and
    /// where each was before.
    pub fn sort(&mut self, device: &Arc<Device>, len: usize, end: u64) -> usize {
        let bits = u64::BITS - end.saturating_sub(1).leading_zeros();
        let passes = bits.div_ceil(DIGIT).max(1);
        // At least 1024 keys a tile, and at most 256 tiles, since each tile adds the counts of all.
        let rounds = len.div_ceil(WIDTH * 256).max(4);
        let tiles = len.div_ceil(WIDTH * rounds);
        let counts = self.counts.at_least(device, tiles * 256, 0).clone();
        let [keys, order] = [&mut self.keys, &mut self.order]
            .map(|rooms| rooms.each_mut().map(|r| r.at_least(device, len, len).clone()));
        for pass in 0..passes {
            let (from, to) = (pass as usize % 2, (pass as usize + 1) % 2);
            let params = [len as u32, pass * DIGIT, rounds as u32, tiles as u32, u32::from(pass == 0)];
            let groups = [tiles as u32, 1, 1];
            device.dispatch(&wgsl::RADIX_COUNT, &[&keys[from], &counts], &params[..3], groups);
            let buffers = [&keys[from], &order[from], &counts, &keys[to], &order[to]];
            device.dispatch(&wgsl::RADIX_SCATTER, &buffers, &params, groups);
        }
        passes as usize % 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::wgpu::WgpuOptions;
    use crate::random::mix;

    #[test]
    fn keys_rise_and_equal_ones_keep_their_order() {
        let device = match Device::open(&WgpuOptions::default()) {
            Ok(device) => device,
            Err(error) if std::env::var("DLRM_WGPU").is_ok_and(|v| v == "required") => panic!("{error}"),
            Err(error) => return eprintln!("skipped: {error}"),
        };
        let mut sortable = Sortable::default();
        for len in [0, 1, 255, 256, 257, 10_000] {
            for end in [1, 7, 256, 257, 70_000, 1 << 24, 1 << 32] {
                let keys: Vec<u32> = (0..len).map(|i| (mix(i as u64) % end) as u32).collect();
                let room = sortable.keys[0].at_least(&device, len, 0).clone();
                device.write(&room, 0, bytemuck::cast_slice(&keys));
                let at = sortable.sort(&device, len, end);
                let mut expected: Vec<u32> = (0..len as u32).collect();
                expected.sort_by_key(|&i| keys[i as usize]);
                assert_eq!(sortable.order[at].read(&device, len), expected, "{len} below {end}");
                let sorted: Vec<u32> = expected.iter().map(|&i| keys[i as usize]).collect();
                assert_eq!(sortable.keys[at].read(&device, len), sorted, "{len} below {end}");
            }
        }
        device.status().unwrap();
    }
}
