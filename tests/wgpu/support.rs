//! Backends to compare, tensors to compare them on.

use dlrm::backend::{Backend, Cpu, Wgpu, WgpuOptions};
use dlrm::{Stream, Tensor};
use std::sync::{Arc, LazyLock};

/// A device of its own, or nothing where there is no adapter and none is required.
pub fn open(options: &WgpuOptions) -> Option<Arc<Wgpu>> {
    match Wgpu::new(options) {
        Ok(gpu) => Some(Arc::new(gpu)),
        Err(error) if std::env::var("DLRM_WGPU").is_ok_and(|v| v == "required") => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// The device that tests share, which compiles each shader once.
pub fn gpu() -> Option<Arc<Wgpu>> {
    static SHARED: LazyLock<Option<Arc<Wgpu>>> = LazyLock::new(|| open(&WgpuOptions::default()));
    SHARED.clone()
}

/// A device of its own that stores what it may in f16, if the adapter can, and sees so many bytes of a buffer.
pub fn half(max_binding: Option<u64>) -> Option<Arc<Wgpu>> {
    gpu()?;
    Wgpu::new(&WgpuOptions { f16_storage: true, max_binding, ..WgpuOptions::default() }).ok().map(Arc::new)
}

pub fn cpu() -> Cpu {
    Cpu::new(1)
}

/// Numbers from -1 to 1.
pub fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut tensor = Tensor::zeros(shape);
    Stream::native(seed).fill_uniform(tensor.as_mut_slice(), -1.0, 1.0);
    tensor
}

/// Whether every number of `a` is within `tolerance · max(1, |b|)` of that of `b`.
#[track_caller]
pub fn close(what: &str, a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (&a, &b)) in a.iter().zip(b).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * b.abs().max(1.0) || a.to_bits() == b.to_bits(),
            "{what}: {i}: {a}, not {b}"
        );
    }
}

/// Checks that the device is as it was.
#[track_caller]
pub fn sound(gpu: &Wgpu) {
    gpu.status().unwrap_or_else(|e| panic!("{e}"));
}
