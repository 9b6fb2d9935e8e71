//! Memory of the device: a buffer for each tensor, and pieces of large ones for tables.

use super::device::Device;
use super::halves;
use crate::buffer::{Buffer, DeviceMemory};
use crate::tensor::Tensor;
use dlrm_kernels::wgsl;
use std::any::Any;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

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

/// In which form the numbers of a [`Memory`] are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    F32,
    F16,
    /// The same numbers in both: those of f16, widened.
    Both,
}

/// What a [`Buffer`] of this crate holds on the device: its numbers in one piece, or those of a table in several.
///
/// A tensor that a shader has written in f16 is kept so, and is widened for the first that reads f32. Memory for either
/// form is made when it is first needed: that of f32 never, where every reader knows f16.
#[derive(Debug)]
pub(super) struct Memory {
    device: Arc<Device>,
    /// Room in numbers.
    len: usize,
    pieces: OnceLock<Vec<Piece>>,
    /// Whether the numbers of `pieces` are of f16: those of tables, if what may be stored so is.
    of_f16: bool,
    half: OnceLock<Arc<Raw>>,
    form: Mutex<Form>,
}

impl Memory {
    /// Room for `len` numbers in a buffer of its own.
    pub fn single(device: &Arc<Device>, len: usize) -> Self {
        Memory::with(device, len, OnceLock::new(), false)
    }

    /// The numbers of `pieces`, one after the other, of f16 or f32.
    pub fn of_pieces(device: &Arc<Device>, pieces: Vec<Piece>, of_f16: bool) -> Self {
        Memory::with(device, pieces.iter().map(|piece| piece.len).sum(), OnceLock::from(pieces), of_f16)
    }

    fn with(device: &Arc<Device>, len: usize, pieces: OnceLock<Vec<Piece>>, of_f16: bool) -> Self {
        Memory { device: device.clone(), len, pieces, of_f16, half: OnceLock::new(), form: Mutex::new(Form::F32) }
    }

    pub fn of(memory: &dyn DeviceMemory) -> &Self {
        let any: &dyn Any = memory;
        any.downcast_ref().unwrap_or_else(|| panic!("Wgpu: memory that another backend made"))
    }

    /// Room in numbers.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn pieces(&self) -> &[Piece] {
        self.pieces.get_or_init(|| {
            let raw = self.device.create("a tensor", 4 * self.len as u64);
            vec![Piece { raw, first: 0, len: self.len }]
        })
    }

    /// The one buffer of a tensor.
    pub fn raw(&self) -> &Arc<Raw> {
        &self.pieces()[0].raw
    }

    /// The one buffer of a tensor in f16.
    fn half(&self) -> &Arc<Raw> {
        let bytes = (2 * self.len as u64).next_multiple_of(4);
        self.half.get_or_init(|| self.device.create("a tensor of f16", bytes))
    }

    fn form(&self) -> MutexGuard<'_, Form> {
        self.form.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the numbers be there in f32.
    fn widen(&self) {
        let mut form = self.form();
        if *form == Form::F16 {
            let buffers = [self.half(), self.raw()];
            self.device.dispatch_linear(&wgsl::WIDEN, &buffers, &[self.len as u32], self.len);
            *form = Form::Both;
        }
    }

    pub fn write(&self, from: &[f32]) {
        *self.form() = Form::F32;
        let mut left = from;
        for piece in self.pieces() {
            let (now, later) = left.split_at(piece.len.min(left.len()));
            match self.of_f16 {
                true => halves::write(&self.device, piece, now),
                false => self.device.write(&piece.raw, 4 * piece.first as u64, bytemuck::cast_slice(now)),
            }
            left = later;
        }
    }
}

impl DeviceMemory for Memory {
    fn read(&self, to: &mut [f32]) {
        self.widen();
        let mut left = to;
        for piece in self.pieces() {
            let (now, later) = left.split_at_mut(piece.len.min(left.len()));
            match self.of_f16 {
                true => halves::read(&self.device, piece, now),
                false => self.device.read(&piece.raw, 4 * piece.first as u64, now),
            }
            left = later;
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let pieces = self.pieces.take().into_iter().flatten().map(|piece| piece.raw);
        for raw in pieces.chain(self.half.take()) {
            if let Some(raw) = Arc::into_inner(raw) {
                self.device.forget(raw.id);
            }
        }
    }
}

fn make(device: &Arc<Device>, len: usize) -> Box<dyn DeviceMemory> {
    Box::new(Memory::single(device, len))
}

/// The memory with the numbers of `buffer`, in whichever form.
fn held<'a>(device: &Arc<Device>, buffer: &'a Buffer) -> &'a Memory {
    Memory::of(buffer.on_device(|len| make(device, len), |memory, from| Memory::of(memory).write(from)))
}

/// The device's buffer with the numbers of `buffer`, to read.
pub(super) fn read<'a>(device: &Arc<Device>, buffer: &'a Buffer) -> &'a Arc<Raw> {
    let memory = held(device, buffer);
    memory.widen();
    memory.raw()
}

/// The device's buffer for `buffer`, to write all numbers of.
pub(super) fn write<'a>(device: &Arc<Device>, buffer: &'a mut Buffer) -> &'a Arc<Raw> {
    let memory = Memory::of(buffer.to_device(|len| make(device, len)));
    *memory.form() = Form::F32;
    memory.raw()
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

/// The device's buffer with the numbers of `tensor` in f16, if they are stored so.
pub(super) fn half_input<'a>(device: &Arc<Device>, tensor: &'a Tensor) -> Option<&'a Arc<Raw>> {
    let memory = held(device, tensor.buffer());
    let stored = *memory.form() != Form::F32;
    stored.then(|| memory.half())
}

/// The device's buffer for `tensor` in f16, to write all numbers of.
pub(super) fn half_output<'a>(device: &Arc<Device>, tensor: &'a mut Tensor) -> &'a Arc<Raw> {
    let memory = Memory::of(tensor.buffer_mut().to_device(|len| make(device, len)));
    *memory.form() = Form::F16;
    memory.half()
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
