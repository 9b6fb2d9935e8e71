//! The device's clock: when it began and ended each marked call.
//!
//! A timestamp can be taken where a compute pass begins and where it ends, so each call has passes of its own while it is
//! timed. What was taken in a submission is waited for at its end.

use crate::backend::DeviceSpan;
use std::time::Duration;
use wgpu::{
    Buffer, BufferDescriptor, BufferUsages, CommandEncoder, ComputePassTimestampWrites, Device, QuerySet, Queue,
};

/// Passes that are timed in a submission; WebGPU has so many timestamps for.
pub(super) const MOST_PASSES: usize = 2048;

const BYTES: u64 = 16 * MOST_PASSES as u64;

/// See the [module](self).
pub(super) struct Clock {
    queries: QuerySet,
    /// Timestamps as the device wrote them, and where they can be read.
    resolved: Buffer,
    staging: Buffer,
    /// Nanoseconds a tick.
    period: f64,
    /// The call of each pass of the submission that is being written.
    calls: Vec<u64>,
    spans: Vec<DeviceSpan>,
}

impl Clock {
    /// A clock, if the device has one.
    pub fn new(device: &Device, queue: &Queue) -> Option<Self> {
        device.features().contains(wgpu::Features::TIMESTAMP_QUERY).then(|| {
            let buffer = |label, usage| {
                device.create_buffer(&BufferDescriptor {
                    label: Some(label),
                    size: BYTES,
                    usage,
                    mapped_at_creation: false,
                })
            };
            Clock {
                queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("clock"),
                    ty: wgpu::QueryType::Timestamp,
                    count: 2 * MOST_PASSES as u32,
                }),
                resolved: buffer("timestamps", BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC),
                staging: buffer("timestamps to read", BufferUsages::MAP_READ | BufferUsages::COPY_DST),
                period: f64::from(queue.get_timestamp_period()),
                calls: Vec::new(),
                spans: Vec::new(),
            }
        })
    }

    /// Where the next pass, of `call`, leaves its timestamps.
    pub fn pass(&mut self, call: u64) -> ComputePassTimestampWrites<'_> {
        let first = 2 * self.calls.len() as u32;
        self.calls.push(call);
        ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// The end of what is written down for a submission.
    pub fn resolve(&self, encoder: &mut CommandEncoder) {
        let count = 2 * self.calls.len() as u32;
        if count > 0 {
            encoder.resolve_query_set(&self.queries, 0..count, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, 8 * u64::from(count));
        }
    }

    /// Waits for the submission, and reads what it left. Nothing if the device has failed.
    pub fn collect(&mut self, device: &Device) -> Option<()> {
        let calls = std::mem::take(&mut self.calls);
        if calls.is_empty() {
            return Some(());
        }
        let slice = self.staging.slice(..16 * calls.len() as u64);
        slice.map_async(wgpu::MapMode::Read, |_| ());
        device.poll(wgpu::PollType::Wait { submission_index: None, timeout: None }).ok()?;
        if let Ok(bytes) = slice.get_mapped_range() {
            let ticks: &[[u64; 2]] = bytemuck::cast_slice(&bytes);
            let nanos = |ticks: u64| Duration::from_nanos((ticks as f64 * self.period) as u64);
            for (&call, &[start, end]) in calls.iter().zip(ticks) {
                let (start, time) = (nanos(start), nanos(end.saturating_sub(start)));
                match self.spans.last_mut().filter(|last| last.call == call) {
                    // Copies between two passes part a call.
                    Some(last) => last.time += time,
                    None => self.spans.push(DeviceSpan { call, start, time }),
                }
            }
        }
        self.staging.unmap();
        Some(())
    }

    /// What was collected.
    pub fn take(&mut self) -> Vec<DeviceSpan> {
        std::mem::take(&mut self.spans)
    }
}
