//! Optimizer steps on the rows of tables that were looked up, a dispatch for each buffer that tables are in.

use super::device::{Device, grid};
use super::lookups::Constants;
use super::memory::{self, Memory, Raw};
use super::table_grads::{Group, Keys, WgpuTableGrads};
use super::{Wgpu, slabs};
use crate::backend::{State, Table, TableGrads, UpdateRule, UpdateStep};
use dlrm_kernels::wgsl::{self, LINEAR_GROUP, Shader};
use std::sync::Arc;

/// The buffers that rows and what is remembered of them are in, and the pieces there: key, rows, place.
type Slab = (Vec<Arc<Raw>>, Vec<[u32; 3]>);

pub(super) fn tables(
    gpu: &Wgpu,
    step: UpdateStep<'_>,
    tables: &mut [Table],
    grads: &dyn TableGrads,
    states: &mut [State],
) {
    let device = &gpu.device;
    let grads = WgpuTableGrads::of(grads);
    let unless = match step.unless {
        Some(found) => memory::input(device, found).clone(),
        None => gpu.zero.clone(),
    };
    for (g, group) in grads.groups().iter_mut().enumerate().filter(|(_, group)| group.len > 0) {
        group.sum(device);
        let touched: Vec<(usize, Keys)> = (0..tables.len()).filter_map(|t| Some((t, grads.keys(t)?))).collect();
        let touched: Vec<(usize, Keys)> = touched.into_iter().filter(|(_, keys)| keys.group == g).collect();
        let slabs = place(device, step.rule, group.dim, &touched, tables, states);
        let (shader, numbers) = shader(step, device.f16_storage);
        let (len, dim) = (group.len, group.dim);
        let groups = match step.rule {
            UpdateRule::RowWiseAdagrad { .. } => grid(len.div_ceil(LINEAR_GROUP / dim.min(LINEAR_GROUP))),
            _ => grid((len * dim).div_ceil(LINEAR_GROUP)),
        };
        for_each_slab(device, &gpu.constants, group, &slabs, |[keys, sums, pieces], rows, params| {
            let mut params = params.to_vec();
            params.extend(numbers.iter().map(|number| number.to_bits()));
            params.extend(device.f16_storage.then_some(step.t as u32));
            let mut buffers = vec![keys, sums, pieces, &unless];
            buffers.extend(rows);
            device.dispatch(shader, &buffers, &params, groups);
        });
    }
}

/// Calls `f` for each slab with keys, sums and pieces, the slab's buffers, and the first parameters of all shaders.
fn for_each_slab(
    device: &Arc<Device>,
    constants: &Constants,
    group: &mut Group,
    slabs: &[Slab],
    mut f: impl FnMut([&Arc<Raw>; 3], &[Arc<Raw>], [u32; 4]),
) {
    let words: Vec<u32> = slabs.iter().flat_map(|(_, pieces)| pieces.as_flattened()).copied().collect();
    let pieces = constants.get(device, &words);
    let (len, dim) = (group.len as u32, group.dim as u32);
    let keys = group.keys(device).clone();
    let sums = memory::change(device, group.sums.buffer_mut());
    let mut first = 0;
    for (rows, records) in slabs {
        let count = records.len() as u32;
        f([&keys, sums, &pieces], rows, [len, dim, first, count]);
        first += count;
    }
}

/// The shader of a rule, for rows of f16 or f32, and its numbers.
fn shader(step: UpdateStep<'_>, f16: bool) -> (&'static Shader, Vec<f32>) {
    let lr = step.lr;
    let of = |rows, rows_f16| if f16 { rows_f16 } else { rows };
    match step.rule {
        UpdateRule::Sgd => (of(&wgsl::SGD_ROWS, &wgsl::SGD_ROWS_F16), vec![lr]),
        UpdateRule::Adagrad { eps } => (of(&wgsl::ADAGRAD_ROWS, &wgsl::ADAGRAD_ROWS_F16), vec![lr, eps]),
        UpdateRule::RowWiseAdagrad { eps } => {
            (of(&wgsl::ROWWISE_ADAGRAD_ROWS, &wgsl::ROWWISE_ADAGRAD_ROWS_F16), vec![lr, eps])
        }
        UpdateRule::Adam { beta1, beta2, eps } => {
            // Lazy Adam adds `eps` before the correction: only the rate has it.
            let [rate, _] = step.adam(beta1, beta2, eps).rate_and_eps();
            (of(&wgsl::ADAM_ROWS, &wgsl::ADAM_ROWS_F16), vec![rate, eps, beta1, beta2])
        }
    }
}

fn send(device: &Arc<Device>, touched: &[(usize, Keys)], tables: &[Table]) {
    slabs::send(device, &touched.iter().map(|&(t, _)| &tables[t]).collect::<Vec<_>>());
}

/// Has the tables that have a gradient and what is remembered of them on the device, there alone from now on.
fn place(
    device: &Arc<Device>,
    rule: UpdateRule,
    dim: usize,
    touched: &[(usize, Keys)],
    tables: &mut [Table],
    states: &mut [State],
) -> Vec<Slab> {
    send(device, touched, tables);
    // Numbers of both states a row.
    let widths = rule.state_lens(true, 1, dim);
    let memories: Vec<&Memory> = touched.iter().map(|&(t, _)| slabs::memory(&tables[t])).collect();
    let buffers: Vec<_> = touched.iter().map(|&(t, _)| [&states[t].first, &states[t].second]).collect();
    let mut besides = Vec::new();
    for (i, width) in widths.into_iter().enumerate().filter(|(_, width)| *width > 0) {
        let states = buffers.iter().map(|buffers| buffers[i]).collect::<Vec<_>>();
        besides.push(slabs::beside(device, &memories, &states, dim, width));
    }
    let slabs = group(&memories, &besides, touched, dim);
    for &(t, _) in touched {
        let State { first, second } = &mut states[t];
        let all = [(tables[t].buffer_mut(), dim), (first, widths[0]), (second, widths[1])];
        for (buffer, _) in all.into_iter().filter(|(_, width)| *width > 0) {
            slabs::changed(buffer);
        }
    }
    slabs
}

/// The pieces of all tables by the buffers that they are in.
fn group(tables: &[&Memory], besides: &[Vec<&Memory>], touched: &[(usize, Keys)], dim: usize) -> Vec<Slab> {
    let mut slabs: Vec<Slab> = Vec::new();
    for (i, &(_, keys)) in touched.iter().enumerate() {
        let mut key = keys.first;
        for (p, piece) in tables[i].pieces().iter().enumerate().filter(|(_, piece)| piece.len > 0) {
            let mut raws = vec![piece.raw.clone()];
            raws.extend(besides.iter().map(|states| states[i].pieces()[p].raw.clone()));
            let same = |raws: &[Arc<Raw>], other: &[Arc<Raw>]| raws.iter().zip(other).all(|(a, b)| a.id == b.id);
            let at = slabs.iter().position(|(other, _)| same(&raws, other)).unwrap_or_else(|| {
                slabs.push((raws, Vec::new()));
                slabs.len() - 1
            });
            let rows = (piece.len / dim) as u32;
            slabs[at].1.push([key, rows, (piece.first / dim) as u32]);
            key = key.wrapping_add(rows);
        }
    }
    slabs.iter_mut().for_each(|(_, pieces)| pieces.sort_unstable());
    slabs
}

pub(super) fn add_l2(gpu: &Wgpu, l2: f32, tables: &[Table], grads: &mut dyn TableGrads) {
    let device = &gpu.device;
    let shader = if device.f16_storage { &wgsl::ADD_L2_ROWS_F16 } else { &wgsl::ADD_L2_ROWS };
    let grads = WgpuTableGrads::of_mut(grads);
    for (g, group) in grads.groups().iter_mut().enumerate().filter(|(_, group)| group.len > 0) {
        assert!(group.is_summed(), "add_l2: gradients that are not summed");
        let touched = (0..tables.len()).filter_map(|t| Some((t, grads.keys(t)?)));
        let touched: Vec<(usize, Keys)> = touched.filter(|(_, keys)| keys.group == g).collect();
        send(device, &touched, tables);
        let memories: Vec<&Memory> = touched.iter().map(|&(t, _)| slabs::memory(&tables[t])).collect();
        let slabs = self::group(&memories, &[], &touched, group.dim);
        let numbers = group.len * group.dim;
        for_each_slab(device, &gpu.constants, group, &slabs, |[keys, sums, pieces], rows, [a, b, c, d]| {
            let params = [a, b, c, d, l2.to_bits()];
            device.dispatch_linear(shader, &[keys, pieces, &rows[0], sums], &params, numbers);
        });
    }
}
