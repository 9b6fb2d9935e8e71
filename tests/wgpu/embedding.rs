//! Pooled lookups: which rows, which bags, and tables that are cut over several buffers.

use crate::support::{close, cpu, gpu, open, random, sound};
use dlrm::backend::{Backend, Pooling, Wgpu, WgpuOptions};
use dlrm::{JaggedTensor, Parameters, Stream, Tensor};
use std::sync::Arc;

pub const DIMS: [usize; 6] = [1, 3, 16, 20, 64, 128];

/// Tables of so many rows and random numbers.
pub fn tables(backend: Arc<dyn Backend>, rows: &[usize], dim: usize) -> Parameters {
    let mut params = Parameters::new(backend);
    for (t, &rows) in rows.iter().enumerate() {
        params.add_table(format!("t{t}"), rows, dim);
        let values = params.tables_mut()[t].values_mut();
        Stream::native(7 + t as u64).fill_uniform(values, -1.0, 1.0);
    }
    params
}

/// `bags` bags of up to four ids for a table of `rows` rows: some empty, some with an id twice, one with the last row.
pub fn list(bags: usize, rows: usize, weighted: bool, seed: u64) -> JaggedTensor {
    let mut draws = vec![0.0f32; 6 * bags];
    Stream::native(seed).fill_uniform(&mut draws, 0.0, 1.0);
    let (mut ids, mut offsets) = (Vec::new(), vec![0]);
    for bag in draws.chunks(6) {
        let many = (5.0 * bag[0]) as usize;
        // Squared, so that low rows come often.
        ids.extend(bag[1..1 + many].iter().map(|d| ((d * d * rows as f32) as u32).min(rows as u32 - 1)));
        offsets.push(ids.len() as u32);
    }
    if let Some(last) = ids.last_mut() {
        *last = rows as u32 - 1;
    }
    let weights = weighted.then(|| (0..ids.len()).map(|i| 0.25 * (i % 7) as f32 - 0.5).collect());
    JaggedTensor::new(ids, offsets, weights).unwrap()
}

pub fn lists(bags: usize, rows: &[usize], weighted: bool) -> Vec<JaggedTensor> {
    rows.iter().enumerate().map(|(t, &rows)| list(bags, rows, weighted, 100 * bags as u64 + t as u64)).collect()
}

/// A device that sees few bytes of a buffer.
pub fn narrow(max_binding: u64) -> Option<Arc<Wgpu>> {
    open(&WgpuOptions { max_binding: Some(max_binding), ..WgpuOptions::default() })
}

fn check_forward(gpu: &Arc<Wgpu>, rows: &[usize], dim: usize, bags: usize) {
    let (theirs, ours) = (tables(Arc::new(cpu()), rows, dim), tables(gpu.clone(), rows, dim));
    for weighted in [false, true] {
        let lists = lists(bags, rows, weighted);
        for pooling in [Pooling::Sum, Pooling::Mean] {
            let mut expected = random(&[bags, rows.len(), dim], 1);
            let mut out = random(&[bags, rows.len(), dim], 2);
            cpu().embedding_bags(theirs.tables(), pooling, &lists, &mut expected);
            gpu.embedding_bags(ours.tables(), pooling, &lists, &mut out);
            close(&format!("{rows:?} x {dim}, {bags} bags"), out.as_slice(), expected.as_slice(), 1e-6);
        }
    }
    sound(gpu);
}

#[test]
fn forward() {
    let Some(gpu) = gpu() else { return };
    for dim in DIMS {
        for (rows, bags) in [(&[5, 700, 1][..], 33), (&[1], 1), (&[40, 3], 257), (&[9, 9], 0)] {
            check_forward(&gpu, rows, dim, bags);
        }
    }
}

/// At 16 KiB a buffer, 256 rows of 16 numbers: the second table is in four buffers, of which it shares two.
#[test]
fn forward_of_tables_that_are_cut() {
    let Some(gpu) = narrow(16 << 10) else { return };
    for dim in [16, 20] {
        check_forward(&gpu, &[100, 700, 50, 300], dim, 21);
    }
}

#[test]
fn lists_go_up_once() {
    // A device of its own, since it is counted what is done there.
    let Some(gpu) = open(&WgpuOptions::default()) else { return };
    let params = tables(gpu.clone(), &[50, 60], 4);
    let lists = lists(20, &[50, 60], false);
    let mut out = Tensor::zeros(&[20, 2, 4]);
    gpu.embedding_bags(params.tables(), Pooling::Sum, &lists, &mut out);
    gpu.submit();
    let before = gpu.counts();
    gpu.embedding_bags(params.tables(), Pooling::Sum, &lists, &mut out);
    gpu.submit();
    let params_bytes = gpu.counts().dispatches - before.dispatches;
    assert_eq!(gpu.counts().bytes_up - before.bytes_up, 256 * params_bytes);
    assert_eq!((gpu.counts().buffers, gpu.counts().bind_groups), (before.buffers, before.bind_groups));
}

#[test]
fn random_tables_are_those_of_the_cpu() {
    // A device of its own, since it is counted what is done there.
    let Some(gpu) = open(&WgpuOptions::default()) else { return };
    // The second is so large that it is sent when it is filled.
    for (rows, dim) in [(1000, 3), (600_000, 16)] {
        let (mut ours, mut theirs) = (Parameters::new(gpu.clone()), Parameters::new(Arc::new(cpu())));
        for params in [&mut ours, &mut theirs] {
            params.add_table("t", rows, dim);
            let backend = params.backend().clone();
            backend.fill_uniform(&mut params.tables_mut()[0], 5, -0.5, 0.5);
        }
        let before = gpu.counts().bytes_down;
        assert!(ours.tables()[0].values() == theirs.tables()[0].values(), "{rows}");
        let bytes = if rows == 1000 { 0 } else { ours.tables()[0].stored_bytes() as u64 };
        assert_eq!(gpu.counts().bytes_down - before, bytes, "{rows}: only there, or only here");
    }
    sound(&gpu);
}

#[test]
fn a_row_that_no_shader_can_see_is_said() {
    let Some(gpu) = narrow(256) else { return };
    let params = tables(gpu.clone(), &[3], 128);
    gpu.embedding_bags(params.tables(), Pooling::Sum, &lists(2, &[3], false), &mut Tensor::zeros(&[2, 1, 128]));
    let message = gpu.status().unwrap_err().to_string();
    let expected =
        "table t0 (1536 bytes, after 0 bytes of other tables), a piece of 512 bytes, and a shader sees at most 256";
    assert!(message.contains(expected), "{message}");
}

#[test]
#[should_panic(expected = "embedding bags: index 3, but the table has 3 rows of 2")]
fn an_id_beyond_the_table_panics() {
    let Some(gpu) = gpu() else { panic!("embedding bags: index 3, but the table has 3 rows of 2") };
    let params = tables(gpu.clone(), &[3], 2);
    let list = JaggedTensor::one_per_bag(vec![0, 3]);
    gpu.embedding_bags(params.tables(), Pooling::Sum, &[list], &mut Tensor::zeros(&[2, 1, 2]));
}
