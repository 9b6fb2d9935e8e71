//! Numbers of tables that the device stores in f16: narrowed on their way there, widened on their way here.

use super::device::Device;
use super::memory::Piece;
use dlrm_kernels::quantized::{RowFormat, dequantize_rows, quantize_rows};

/// Numbers that are narrowed or widened before the next: 64 MiB of f16, of which [`Device::write`] lets the driver set
/// aside a part at a time.
const PART: usize = 32 << 20;

/// Numbers that are clamped before the next.
const CLAMPED: usize = 1024;

/// Puts `from` into a piece, each number rounded to the nearest of f16, halves to even; what is beyond the range of f16
/// becomes its end. The piece begins at a word of four bytes, and has its last word for itself.
pub(super) fn write(device: &Device, piece: &Piece, from: &[f32]) {
    let mut bytes = Vec::new();
    for (i, part) in from.chunks(PART).enumerate() {
        bytes.resize((2 * part.len()).next_multiple_of(4), 0);
        narrow(part, &mut bytes);
        device.write(&piece.raw, 2 * (piece.first + i * PART) as u64, &bytes);
    }
}

fn narrow(from: &[f32], to: &mut [u8]) {
    let most = RowFormat::F16.max_value();
    let mut room = [0.0; CLAMPED];
    for (from, to) in from.chunks(CLAMPED).zip(to.chunks_mut(2 * CLAMPED)) {
        let clamped = &mut room[..from.len()];
        clamped.iter_mut().zip(from).for_each(|(clamped, v)| *clamped = v.clamp(-most, most));
        quantize_rows(RowFormat::F16, clamped, clamped.len(), &mut to[..2 * from.len()]);
    }
}

/// Copies the first numbers of a piece out, as f32.
pub(super) fn read(device: &Device, piece: &Piece, to: &mut [f32]) {
    let mut words = Vec::new();
    for (i, part) in to.chunks_mut(PART).enumerate() {
        words.resize(part.len().div_ceil(2), 0.0);
        device.read(&piece.raw, 2 * (piece.first + i * PART) as u64, &mut words);
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        dequantize_rows(RowFormat::F16, &bytes[..2 * part.len()], part.len(), part);
    }
}
