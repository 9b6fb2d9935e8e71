//! Linear layers: products of tiles, and what they do for outputs of few numbers.

use super::device::{Device, grid};
use super::memory::Raw;
use super::room::Room;
use super::{Wgpu, memory};
use crate::backend::{Activation, Backend, Beta, DenseParameter, LinearGrads};
use crate::tensor::Tensor;
use dlrm_kernels::wgsl::{self, LINEAR_NARROW, LINEAR_TILE, Shader};
use std::sync::{Arc, Mutex, PoisonError};

/// Outputs of a layer up to which a tile would be nearly empty.
const NARROW: usize = 4;

/// Workgroups that keep an ordinary GPU busy: a few for each of its 30 to 100 processors.
const WORKGROUPS: usize = 256;

/// At most so many slices of a batch: what adds them up does it one by one.
const MAX_SLICES: usize = 64;

/// The fewest samples of a slice: eight steps of a tile.
const SLICE_ROWS: usize = 128;

/// The sums of each slice of a batch, for the weights and for the biases, on their way to the gradients.
#[derive(Debug, Default)]
pub(super) struct Slices(Mutex<[Room; 2]>);

/// How many slices a batch of `m` samples is cut into, of how many samples each, where a slice is so many workgroups: a
/// function of shapes alone, so that sums are the same on every device.
fn slices(m: usize, workgroups: usize) -> (usize, usize) {
    let count = (WORKGROUPS / workgroups).min(m / SLICE_ROWS).clamp(1, MAX_SLICES);
    let rows = m.div_ceil(count).next_multiple_of(LINEAR_TILE[2]).max(1);
    (m.div_ceil(rows).max(1), rows)
}

/// Workgroups that it takes for `rows × cols` in tiles, as a grid.
fn tiles(rows: usize, cols: usize) -> [u32; 3] {
    [cols.div_ceil(LINEAR_TILE[1]) as u32, rows.div_ceil(LINEAR_TILE[0]) as u32, 1]
}

fn flag(is: bool) -> u32 {
    u32::from(is)
}

pub(super) fn forward(
    gpu: &Wgpu,
    x: &Tensor,
    weight: &DenseParameter,
    bias: Option<&DenseParameter>,
    act: Activation,
    y: &mut Tensor,
) {
    if weight.format().is_some() {
        return gpu.fallback().linear(x, weight, bias, act, y);
    }
    let (m, n, k) = (x.rows(), weight.shape()[0], weight.shape()[1]);
    let fits = x.cols() == k && y.len() == m * n;
    assert!(fits, "linear: X {:?}, W {:?}, Y {:?}", x.shape(), weight.shape(), y.shape());
    let device = &gpu.device;
    let (shader, x) = forward_shader(device, n, x);
    let groups = if n <= NARROW { grid(m * n) } else { tiles(m, n) };
    let params = [m as u32, n as u32, k as u32, flag(bias.is_some()), flag(act == Activation::Relu)];
    let w = memory::input(device, weight.value());
    let b = bias.map_or(w, |b| memory::input(device, b.value()));
    let y = if n > NARROW && device.f16_storage { memory::half_output(device, y) } else { memory::output(device, y) };
    device.dispatch(shader, &[x, w, b, y], &params, groups);
}

/// What computes `Y`, and the `X` that it reads. Few outputs are always of f32.
fn forward_shader<'a>(device: &Arc<Device>, n: usize, x: &'a Tensor) -> (&'static Shader, &'a Arc<Raw>) {
    match (memory::half_input(device, x), n <= NARROW) {
        (Some(x), true) => (&wgsl::LINEAR_FORWARD_NARROW_F16, x),
        (Some(x), false) => (&wgsl::LINEAR_FORWARD_F16, x),
        (None, true) if device.has_subgroups() => (&wgsl::LINEAR_FORWARD_NARROW_SUBGROUPS, memory::input(device, x)),
        (None, true) => (&wgsl::LINEAR_FORWARD_NARROW, memory::input(device, x)),
        (None, false) if device.f16_storage => (&wgsl::LINEAR_FORWARD_TO_F16, memory::input(device, x)),
        (None, false) => (&wgsl::LINEAR_FORWARD, memory::input(device, x)),
    }
}

pub(super) fn backward(
    gpu: &Wgpu,
    [x, y]: [&Tensor; 2],
    dy: &Tensor,
    weight: &DenseParameter,
    act: Activation,
    grads: LinearGrads<'_>,
) {
    weight.check_f32();
    let (m, n, k) = (x.rows(), weight.shape()[0], weight.shape()[1]);
    let fits = dy.rows() == m && dy.cols() == n && x.cols() == k && y.shape() == dy.shape();
    assert!(fits, "linear backward: X {:?}, Y {:?}, dY {:?}, W {:?}", x.shape(), y.shape(), dy.shape(), weight.shape());
    let device = &gpu.device;
    let relu = flag(act == Activation::Relu);
    let dy = memory::input(device, dy);
    if let Some((dx, beta)) = grads.x {
        let (shader, y) = match half_output_of(device, n, y) {
            Some(y) => (&wgsl::LINEAR_BACKWARD_INPUT_F16, y),
            None => (&wgsl::LINEAR_BACKWARD_INPUT, memory::input(device, y)),
        };
        let params = [m as u32, n as u32, k as u32, relu, flag(beta == Beta::One)];
        let buffers = [y, dy, memory::input(device, weight.value()), memory::into(device, dx, beta)];
        device.dispatch(shader, &buffers, &params, tiles(m, k));
    }
    let (dw, beta) = grads.weight;
    assert!(dw.rows() == n && dw.cols() == k, "linear backward: dW {:?} of {n} x {k}", dw.shape());
    let (shader, [x, y]) = weight_shader(device, n, [x, y]);
    let product = Product { gpu, m, n, k, relu };
    product.backward_parameters(shader, [y, dy, x], (dw, beta), grads.bias);
}

/// The `Y` of a layer in f16, if it is stored so; few outputs are always of f32.
fn half_output_of<'a>(device: &Arc<Device>, n: usize, y: &'a Tensor) -> Option<&'a Arc<Raw>> {
    if n > NARROW { memory::half_input(device, y) } else { None }
}

/// What computes `dW` and `db`, and the `X` and `Y` that it reads.
fn weight_shader<'a>(device: &Arc<Device>, n: usize, [x, y]: [&'a Tensor; 2]) -> (&'static Shader, [&'a Arc<Raw>; 2]) {
    let wide = |tensor| memory::input(device, tensor);
    match (half_output_of(device, n, y), memory::half_input(device, x)) {
        (Some(y), Some(x)) => (&wgsl::LINEAR_BACKWARD_WEIGHT_F16, [x, y]),
        (Some(y), None) => (&wgsl::LINEAR_BACKWARD_WEIGHT_TO_F16, [wide(x), y]),
        (None, Some(x)) if n <= NARROW => (&wgsl::LINEAR_BACKWARD_WEIGHT_NARROW_F16, [x, wide(y)]),
        (None, _) if n <= NARROW => (&wgsl::LINEAR_BACKWARD_WEIGHT_NARROW, [wide(x), wide(y)]),
        (None, _) => (&wgsl::LINEAR_BACKWARD_WEIGHT, [wide(x), wide(y)]),
    }
}

/// The sizes of a layer's products.
struct Product<'a> {
    gpu: &'a Wgpu,
    m: usize,
    n: usize,
    k: usize,
    relu: u32,
}

impl Product<'_> {
    /// `dW` and `db`, at once or by slices of the batch.
    fn backward_parameters(
        &self,
        shader: &'static Shader,
        [y, dy, x]: [&Arc<Raw>; 3],
        (dw, dw_beta): (&mut Tensor, Beta),
        db: Option<(&mut Tensor, Beta)>,
    ) {
        let Product { gpu, m, n, k, relu } = *self;
        let device = &gpu.device;
        // Held until both dispatches are called, so that no other thread's come between.
        let mut kept = gpu.slices.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [weights, biases] = &mut *kept;
        let [gx, gy, _] = self.groups();
        let (count, rows) = slices(m, (gx * gy) as usize);
        let groups = [gx, gy, count as u32];
        let has_bias = flag(db.is_some());
        let db_beta = db.as_ref().map_or(Beta::Zero, |(_, beta)| *beta);
        let db = db.map(|(db, beta)| memory::into(device, db, beta));
        let dw = memory::into(device, dw, dw_beta);
        let (dw_add, db_add) = (flag(dw_beta == Beta::One), flag(db_beta == Beta::One));
        let params = |dw_add, db_add| [m as u32, n as u32, k as u32, relu, has_bias, rows as u32, dw_add, db_add];
        // Where there is no bias, something else has to be bound in its place.
        let partial_biases = biases.at_least(device, if count == 1 { 1 } else { count * n }, 0);
        if count == 1 {
            let buffers = [y, dy, x, dw, db.unwrap_or(partial_biases)];
            return device.dispatch(shader, &buffers, &params(dw_add, db_add), groups);
        }
        let partial_weights = weights.at_least(device, count * n * k, 0);
        device.dispatch(shader, &[y, dy, x, partial_weights, partial_biases], &params(0, 0), groups);
        let add_up = |from, to, len: usize, add| {
            let params = [len as u32, count as u32, add];
            device.dispatch_linear(&wgsl::LINEAR_SUM_SLICES, &[from, to], &params, len);
        };
        add_up(partial_weights, dw, n * k, dw_add);
        if let Some(db) = db {
            add_up(partial_biases, db, n, db_add);
        }
    }

    /// The workgroups of a slice. Where outputs are few, the biases are a column more.
    fn groups(&self) -> [u32; 3] {
        match self.n {
            0..=NARROW => [(self.k + 1).div_ceil(LINEAR_NARROW) as u32, self.n as u32, 1],
            _ => tiles(self.n, self.k),
        }
    }
}
