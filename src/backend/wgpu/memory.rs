//! Memory of the device: a buffer for each tensor, and pieces of large ones for tables.

use super::device::Device;
use crate::buffer::{Buffer, DeviceMemory};
use crate::tensor::Tensor;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A buffer of the device.
#[derive(Debug)]
pub(super) struct Raw {
    pub buffer: wgpu::Buffer,
    /// No other buffer ever has it.
    pub id: u64,
    /// The last submission that it is used in.
    pub used: AtomicU64,
}

/// A run of numbers in a buffer of the device.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub raw: Arc<Raw>,
    /// The first of them, in numbers from the buffer's beginning.
    pub first: usize,
    /// How many there are.
    pub len: usize,
}

/// What a [`Buffer`] of this crate holds on the device: its numbers in one piece, or those of a table in several.
#[derive(Debug)]
pub(super) struct Memory {
    device: Arc<Device>,
    pieces: Vec<Piece>,
}

impl Memory {
    /// Room for `len` numbers in a buffer of its own.
    pub fn single(device: &Arc<Device>, len: usize) -> Self {
        let raw = device.create("a tensor", 4 * len as u64);
        Memory { device: device.clone(), pieces: vec![Piece { raw, first: 0, len }] }
    }

    /// The numbers of `pieces`, one after the other.
    pub fn of_pieces(device: &Arc<Device>, pieces: Vec<Piece>) -> Self {
        Memory { device: device.clone(), pieces }
    }

    pub fn of(memory: &dyn DeviceMemory) -> &Self {
        let any: &dyn Any = memory;
        any.downcast_ref().unwrap_or_else(|| panic!("Wgpu: memory that another backend made"))
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The one buffer of a tensor.
    pub fn raw(&self) -> &Arc<Raw> {
        &self.pieces[0].raw
    }

    pub fn write(&self, from: &[f32]) {
        let mut left = from;
        for piece in &self.pieces {
            let (now, later) = left.split_at(piece.len.min(left.len()));
            self.device.write(&piece.raw, 4 * piece.first as u64, bytemuck::cast_slice(now));
            left = later;
        }
    }
}

impl DeviceMemory for Memory {
    fn read(&self, to: &mut [f32]) {
        let mut left = to;
        for piece in &self.pieces {
            let (now, later) = left.split_at_mut(piece.len.min(left.len()));
            self.device.read(&piece.raw, 4 * piece.first as u64, now);
            left = later;
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for piece in self.pieces.drain(..) {
            if let Some(raw) = Arc::into_inner(piece.raw) {
                self.device.forget(raw.id);
            }
        }
    }
}

/// The device's buffer with the numbers of `buffer`, to read.
pub(super) fn read<'a>(device: &Arc<Device>, buffer: &'a Buffer) -> &'a Arc<Raw> {
    let make = |len| Box::new(Memory::single(device, len)) as Box<dyn DeviceMemory>;
    Memory::of(buffer.on_device(make, |memory, from| Memory::of(memory).write(from))).raw()
}

/// The device's buffer for `buffer`, to write all numbers of.
pub(super) fn write<'a>(device: &Arc<Device>, buffer: &'a mut Buffer) -> &'a Arc<Raw> {
    Memory::of(buffer.to_device(|len| Box::new(Memory::single(device, len)))).raw()
}

/// The device's buffer with the numbers of `buffer`, to change some or all.
pub(super) fn change<'a>(device: &Arc<Device>, buffer: &'a mut Buffer) -> &'a Arc<Raw> {
    read(device, buffer);
    write(device, buffer)
}

/// [`read`] of a tensor.
pub(super) fn input<'a>(device: &Arc<Device>, tensor: &'a Tensor) -> &'a Arc<Raw> {
    read(device, tensor.buffer())
}

/// [`write`] of a tensor.
pub(super) fn output<'a>(device: &Arc<Device>, tensor: &'a mut Tensor) -> &'a Arc<Raw> {
    write(device, tensor.buffer_mut())
}

/// [`output`], or [`change`] if it is added to.
pub(super) fn into<'a>(device: &Arc<Device>, tensor: &'a mut Tensor, beta: crate::backend::Beta) -> &'a Arc<Raw> {
    match beta {
        crate::backend::Beta::Zero => output(device, tensor),
        crate::backend::Beta::One => change(device, tensor.buffer_mut()),
    }
}
