//! Tables on the device, in a few large buffers.
//!
//! A shader sees at most [`max_binding`](Device::max_binding) bytes of a buffer (128 MiB unless the adapter offers more),
//! and a model has tables of three rows and of ten million. So tables of one width `D` lie in slabs: buffers of rows of
//! `D` numbers, none larger than a shader can see, in which a table has a piece, or several if it is cut between rows. A
//! dispatch a slab does the work of all tables in it.
//!
//! Tables that come to the device together share slabs, which are no larger than these tables: those of a model do, when
//! they are first looked up. Only those of [`LARGE`] bytes or more go there when they are filled, into slabs of their
//! own, so that the memory here is at no time more than one of them and all smaller tables.
//!
//! What an optimizer remembers of a row is in buffers beside the slabs, at the same row: a dispatch that sees a row sees
//! its state.
//!
//! Where storage in f16 is asked for, slabs are of f16, and states of f32 all the same. So a slab has as many rows as it
//! would have of f32, half of what a shader could see: as many numbers of state are to fit in a buffer.

use super::device::Device;
use super::memory::{Memory, Piece, Raw};
use crate::backend::Table;
use crate::buffer::{Buffer, DeviceMemory};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a table that is sent when it is filled.
pub(super) const LARGE: usize = 32 << 20;

/// Sends a table of [`LARGE`] bytes or more; its memory here is given up.
pub(super) fn send_large(device: &Arc<Device>, table: &mut Table) {
    if table.stored_bytes() >= LARGE {
        send(device, &[&*table]);
        table.buffer_mut().leave();
    }
}

/// Has all of `tables` on the device.
pub(super) fn send(device: &Arc<Device>, tables: &[&Table]) {
    let mut dims: Vec<usize> =
        tables.iter().filter(|t| t.buffer().device().is_none()).map(|t| t.embedding_dim()).collect();
    dims.sort_unstable();
    dims.dedup();
    for dim in dims {
        let new = tables.iter().copied().filter(|t| t.embedding_dim() == dim && t.buffer().device().is_none());
        cut(device, dim, &new.collect::<Vec<_>>());
    }
    for table in tables {
        memory(table);
    }
}

/// The memory on the device of a table that was [sent](send), with its numbers.
pub(super) fn memory(table: &Table) -> &Memory {
    on_device(table.buffer(), |_| unreachable!("table {} was not sent", table.name()))
}

fn on_device(buffer: &Buffer, make: impl FnOnce(usize) -> Memory) -> &Memory {
    let make = |len| Box::new(make(len)) as Box<dyn DeviceMemory>;
    Memory::of(buffer.on_device(make, |memory, from| Memory::of(memory).write(from)))
}

/// Bytes of a row of `dim` numbers of a table.
fn row_bytes(device: &Device, dim: usize) -> usize {
    dim * if device.f16_storage { 2 } else { size_of::<f32>() }
}

/// Cuts slabs into pieces for `tables` of width `dim`, and sends these.
fn cut(device: &Arc<Device>, dim: usize, tables: &[&Table]) {
    let row_bytes = row_bytes(device, dim);
    // What is copied begins and ends at words of four bytes, so pieces at even rows if rows of f16 do not.
    let unit = if row_bytes.is_multiple_of(4) { 1 } else { 2 };
    let most = (device.max_binding as usize / size_of::<f32>() / dim / unit).max(1) * unit;
    let mut left: usize = tables.iter().map(|table| table.num_embeddings().next_multiple_of(unit)).sum();
    let mut slab: Option<(Arc<Raw>, usize)> = None; // and rows that are taken
    let (mut taken, mut sent) = (0, 0);
    for table in tables {
        let mut pieces = Vec::new();
        let mut rows = table.num_embeddings();
        // A table without a row has a piece all the same, with nothing in it.
        while rows > 0 || pieces.is_empty() {
            let (raw, size) = slab.get_or_insert_with(|| {
                taken = 0;
                let (name, bytes) = (table.name(), table.num_embeddings() * row_bytes);
                let what = format!("table {name} ({bytes} bytes, after {sent} bytes of other tables), a piece");
                (device.create(&what, (left.min(most) * row_bytes) as u64), left.min(most))
            });
            let now = rows.min(*size - taken);
            pieces.push(Piece { raw: raw.clone(), first: taken * dim, len: now * dim });
            let used = now.next_multiple_of(unit);
            (taken, rows, left) = (taken + used, rows - now, left - used);
            if taken == *size {
                slab = None;
            }
        }
        on_device(table.buffer(), |_| Memory::of_pieces(device, pieces, device.f16_storage));
        sent += table.num_embeddings() * row_bytes;
    }
}

/// The memory of what an optimizer remembers of `tables` of width `dim`, `width` numbers a row, with its numbers: beside
/// the slabs, at the same rows.
pub(super) fn beside<'a>(
    device: &Arc<Device>,
    tables: &[&Memory],
    states: &[&'a Buffer],
    dim: usize,
    width: usize,
) -> Vec<&'a Memory> {
    let mut new: HashMap<u64, Arc<Raw>> = HashMap::new();
    let mut place = |piece: &Piece| {
        let raw = new.entry(piece.raw.id).or_insert_with(|| {
            let rows = piece.raw.buffer.size() / row_bytes(device, dim) as u64;
            let what = format!("what an optimizer remembers of {rows} rows of {dim} numbers, a piece");
            device.create(&what, rows * (size_of::<f32>() * width) as u64)
        });
        Piece { raw: raw.clone(), first: piece.first / dim * width, len: piece.len / dim * width }
    };
    let both = tables.iter().zip(states);
    both.map(|(table, state)| {
        on_device(state, |_| Memory::of_pieces(device, table.pieces().iter().map(&mut place).collect(), false))
    })
    .collect()
}

/// Numbers that are on the device are about to change there: they are there alone from now on, without memory here.
pub(super) fn changed(buffer: &mut Buffer) {
    buffer.to_device(|_| unreachable!("numbers that were not sent"));
    buffer.leave();
}

/// A run of rows of a table in a slab.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    /// Which of the tables it was asked for.
    pub table: usize,
    /// The table's row that is the first.
    pub first_row: usize,
    /// How many rows.
    pub rows: usize,
    /// Where they are in the slab, in rows.
    pub at: usize,
    /// Whether the table has rows before these, and after them.
    pub follows: bool,
    pub is_last: bool,
}

/// The pieces of `tables`, slab by slab, as rows of `dim`; the pieces of one table are in rising order.
pub(super) fn by_slab<'a>(tables: impl Iterator<Item = (usize, &'a Memory)>, dim: usize) -> Vec<(Arc<Raw>, Vec<Rows>)> {
    let mut slabs: Vec<(Arc<Raw>, Vec<Rows>)> = Vec::new();
    for (table, memory) in tables {
        let mut first_row = 0;
        for (i, piece) in memory.pieces().iter().enumerate() {
            let at = slabs.iter().position(|(raw, _)| raw.id == piece.raw.id).unwrap_or_else(|| {
                slabs.push((piece.raw.clone(), Vec::new()));
                slabs.len() - 1
            });
            let (rows, is_last) = (piece.len / dim, i + 1 == memory.pieces().len());
            slabs[at].1.push(Rows { table, first_row, rows, at: piece.first / dim, follows: i > 0, is_last });
            first_row += rows;
        }
    }
    slabs
}
