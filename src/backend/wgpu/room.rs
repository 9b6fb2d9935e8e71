//! Memory of the device that an operation keeps from step to step.

use super::device::Device;
use super::memory::{Memory, Raw};
use std::sync::Arc;

/// Room for words, which grows.
#[derive(Debug, Default)]
pub(super) struct Room(Option<Memory>);

impl Room {
    /// Room for `words` words. If it has to grow, the first `keep` of what is there stay, and everything else is
    /// unspecified.
    pub fn at_least(&mut self, device: &Arc<Device>, words: usize, keep: usize) -> &Arc<Raw> {
        let has = self.0.as_ref().map_or(0, |memory| memory.len());
        if self.0.is_none() || has < words {
            let most = (device.max_binding / 4) as usize;
            let new = Memory::single(device, words.next_power_of_two().min(most).max(words));
            if let Some(old) = &self.0 {
                device.copy((old.raw(), 0), (new.raw(), 0), 4 * keep.min(has) as u64);
            }
            self.0 = Some(new);
        }
        self.0.as_ref().expect("just made").raw()
    }

    /// The first words.
    pub fn read(&self, device: &Arc<Device>, words: usize) -> Vec<u32> {
        let mut read = vec![0; words];
        if let (Some(memory), true) = (&self.0, words > 0) {
            device.read(memory.raw(), 0, bytemuck::cast_slice_mut(&mut read));
        }
        read
    }
}
