//! Lookups in rows of fewer bits, and linear layers of fewer bits, beside f32: the kernels on one thread, on every
//! instruction set.
//!
//! Elements are rows looked up in `lookup`, and floating-point operations (those that f32 would make) in `linear`. A
//! scenario is called after D and the lookups a bag, or after M x N x K. Tables have 2²⁷ numbers, 512 MiB as f32.

mod common;

use common::lookups::{BATCH, Ids, Lookups, TABLE};
use common::{check, values};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dlrm::Stream;
use dlrm::buffer::Buffer;
use dlrm_kernels::embedding_bag::{Bags, Pooling, embedding_bag, embedding_bag_quantized};
use dlrm_kernels::gemm::{Activation, linear, pack_forward_panel, packed_len, panel_width};
use dlrm_kernels::quantized::*;
use dlrm_kernels::{Isa, Scratch, reference};
use std::cell::OnceCell;

/// Times `run` on lists of `lists`, after its answer to the first was compared with `expected`.
fn time_lookup(
    group: &mut BenchmarkGroup<WallTime>,
    [name, scenario]: [String; 2],
    dim: usize,
    lists: &mut Lookups,
    expected: impl Fn(Bags) -> Vec<f32>,
    run: impl Fn(Bags, &mut [f32]),
) {
    let mut out = OnceCell::new();
    group.bench_function(BenchmarkId::new(&name, scenario), |bencher| {
        out.get_or_init(|| {
            let mut out = Buffer::zeros(BATCH * dim);
            run(lists.list(0), out.as_mut_slice());
            check(&name, out.as_slice(), &expected(lists.list(0)), 0.0);
            out
        });
        let out = out.get_mut().expect("just made");
        bencher.iter(|| run(lists.next(), out.as_mut_slice()));
    });
}

/// The plain sum of dequantised rows.
fn plain(format: RowFormat, table: &[u8], dim: usize, bags: Bags) -> Vec<f32> {
    let (row_bytes, mut row, mut out) = (format.row_bytes(dim), vec![0.0; dim], vec![0.0; BATCH * dim]);
    for (b, out) in out.chunks_exact_mut(dim).enumerate() {
        for &index in &bags.indices[bags.slice(b..b + 1).lookups()] {
            dequantize_rows(format, &table[index as usize * row_bytes..][..row_bytes], dim, &mut row);
            out.iter_mut().zip(&row).for_each(|(sum, v)| *sum += v);
        }
    }
    out
}

fn lookup(c: &mut Criterion) {
    let mut group = c.benchmark_group("quantized/lookup");
    for (dim, lookups) in [(16, 1), (64, 1), (128, 1), (64, 100)] {
        let scenario = format!("D{dim}x{lookups}");
        group.throughput(Throughput::Elements((BATCH * lookups) as u64));
        let table = OnceCell::new();
        let table = || table.get_or_init(|| values(TABLE, &mut Stream::native(1))).as_slice();
        let mut lists = Lookups::new(Ids::Uniform, dim, lookups);
        for isa in Isa::available() {
            let id = [format!("f32-{}", isa.name()), scenario.clone()];
            let expected = |bags: Bags| {
                let mut out = vec![0.0; BATCH * dim];
                reference::embedding_bag(table(), dim, bags, Pooling::Sum, &mut out, dim);
                out
            };
            time_lookup(&mut group, id, dim, &mut lists, expected, |bags, out| {
                embedding_bag(isa, table(), dim, bags, Pooling::Sum, out, dim);
            });
        }
        for format in RowFormat::ALL {
            let bytes = OnceCell::new();
            let bytes = || -> &[u8] {
                let of_rows = bytes.get_or_init(|| {
                    // On huge pages, as the library's tables.
                    let mut rows = Buffer::zeros((TABLE / dim * format.row_bytes(dim)).div_ceil(4));
                    quantize_rows(format, table(), dim, bytemuck::cast_slice_mut(rows.as_mut_slice()));
                    rows
                });
                bytemuck::cast_slice(of_rows.as_slice())
            };
            for isa in Isa::available() {
                let id = [format!("{}-{}", format.name(), isa.name()), scenario.clone()];
                let expected = |bags: Bags| plain(format, bytes(), dim, bags);
                time_lookup(&mut group, id, dim, &mut lists, expected, |bags, out| {
                    embedding_bag_quantized(isa, format, bytes(), dim, bags, Pooling::Sum, out, dim);
                });
            }
        }
    }
    group.finish();
}

/// Times `run` after its answer was compared with `expected`.
fn time_linear(
    group: &mut BenchmarkGroup<WallTime>,
    [name, scenario]: [String; 2],
    (expected, tolerance): (&[f32], f32),
    mut run: impl FnMut(&mut [f32], &mut Scratch),
) {
    let (mut scratch, mut y) = (Scratch::new(), vec![f32::NAN; expected.len()]);
    group.bench_function(BenchmarkId::new(&name, scenario), |bencher| {
        run(&mut y, &mut scratch);
        check(&name, &y, expected, tolerance);
        bencher.iter(|| run(&mut y, &mut scratch));
    });
}

fn linears(c: &mut Criterion) {
    let mut group = c.benchmark_group("quantized/linear");
    for [m, n, k] in [[2048, 512, 367], [2048, 256, 512], [2048, 1024, 1024], [1, 512, 367], [1, 1024, 1024]] {
        group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
        let mut stream = Stream::native(1);
        let (x, w) = (values(m * k, &mut stream), values(n * k, &mut stream));
        let (x, w) = (x.as_slice(), w.as_slice());
        let id = |format: &str, isa: Isa| [format!("{format}-{}", isa.name()), format!("{m}x{n}x{k}")];
        // The scalar f32 layer, whose own tests are with the kernels: the plain loop would take seconds.
        let mut expected = [vec![0.0; m * n], vec![0.0; m * n]];
        let (mut bytes, mut rounded) = (vec![0; 2 * w.len()], vec![0.0; w.len()]);
        quantize_rows(RowFormat::F16, w, w.len(), &mut bytes);
        dequantize_rows(RowFormat::F16, &bytes, w.len(), &mut rounded);
        for (w, y) in [w, &rounded[..]].into_iter().zip(&mut expected) {
            f32_layer(Isa::scalar(), &f32_panels(Isa::scalar(), w, n, k), x, y, [m, n, k], &mut Scratch::new());
        }
        let rounding = k as f32 * f32::EPSILON * k as f32 / 2.0;
        for isa in Isa::available() {
            let panels = f32_panels(isa, w, n, k);
            time_linear(&mut group, id("f32", isa), (&expected[0], rounding), |y, scratch| {
                f32_layer(isa, &panels, x, y, [m, n, k], scratch);
            });
            let mut panels = Buffer::zeros(f16_len(isa, n, k) / 2);
            pack_f16(isa, w, n, k, bytemuck::cast_slice_mut(panels.as_mut_slice()));
            time_linear(&mut group, id("f16", isa), (&expected[1], rounding), |y, scratch| {
                linear_f16(
                    isa,
                    x,
                    bytemuck::cast_slice(panels.as_slice()),
                    None,
                    Activation::None,
                    y,
                    m,
                    n,
                    k,
                    scratch,
                );
            });
            let mut panels = Buffer::zeros(int8_len(isa, n, k));
            pack_int8(isa, w, n, k, bytemuck::cast_slice_mut(panels.as_mut_slice()));
            // Each product of numbers in [-1, 1) is off by 0.012 at most, and their errors cancel.
            time_linear(&mut group, id("int8", isa), (&expected[0], 0.1 * (k as f32).sqrt()), |y, scratch| {
                linear_int8(
                    isa,
                    x,
                    bytemuck::cast_slice(panels.as_slice()),
                    None,
                    Activation::None,
                    y,
                    m,
                    n,
                    k,
                    scratch,
                );
            });
        }
    }
    group.finish();
}

fn f32_panels(isa: Isa, w: &[f32], n: usize, k: usize) -> Buffer {
    let mut panels = Buffer::zeros(packed_len(isa, n, k));
    for (i, panel) in panels.as_mut_slice().chunks_mut(k * panel_width(isa)).enumerate() {
        pack_forward_panel(isa, w, n, k, i, panel);
    }
    panels
}

fn f32_layer(isa: Isa, panels: &Buffer, x: &[f32], y: &mut [f32], [m, n, k]: [usize; 3], scratch: &mut Scratch) {
    linear(isa, x, panels.as_slice(), None, Activation::None, y, m, n, k, scratch);
}

criterion_group! { name = benches; config = common::criterion(); targets = lookup, linears }
criterion_main!(benches);
