//! The probes' answers. Values are small whole numbers or sums of few powers of two, so that
//! every order of additions is exact.

use crate::common::{Guarded, Random, assert_bits};
use dlrm_kernels::Isa;
use dlrm_kernels::probe::*;

fn whole_numbers(n: usize) -> Vec<f32> {
    let mut random = Random(1);
    (0..n).map(|_| random.below(16) as f32).collect()
}

#[test]
fn multiply_adds_do_what_they_count() {
    for isa in Isa::available() {
        for rounds in [1, 2, 9] {
            let Arithmetic { flops, sum } = multiply_adds(isa, 0.5, 3.0, rounds);
            let numbers = flops / (2 * rounds);
            let expected = (0..numbers).map(|i| (0..rounds).fold(i as f32, |v, _| v * 0.5 + 3.0)).sum::<f32>();
            assert!(numbers >= 48, "{} {rounds}: {numbers} numbers", isa.name());
            assert_eq!(sum, expected, "{} {rounds}", isa.name());
        }
        assert_eq!(multiply_adds(isa, 0.5, 3.0, 0).flops, 0, "{}", isa.name());
    }
}

#[test]
fn bf16_dot_products_do_what_they_count() {
    for isa in Isa::available() {
        for rounds in [1, 2, 9] {
            // A bf16 has 8 significant bits: 1 + 1/512 is rounded to 1.
            let Some(Arithmetic { flops, sum }) = dot_products_bf16(isa, 1.5, 1.0 + 1.0 / 512.0, rounds) else {
                continue; // not on this processor
            };
            let numbers = flops / (4 * rounds);
            let expected = (0..numbers).map(|i| i as f32 + 3.0 * rounds as f32).sum::<f32>();
            assert_eq!(sum, expected, "{} {rounds}", isa.name());
        }
    }
    assert_eq!(dot_products_bf16(Isa::scalar(), 1.0, 1.0, 1), None);
}

#[test]
fn reads_and_writes_every_length_from_any_start() {
    let values = whole_numbers(700);
    for isa in Isa::available() {
        for (start, len) in [(0, 0), (0, 1), (1, 8), (3, 15), (0, 16), (5, 64), (7, 129), (1, 300), (0, 640)] {
            let part = &values[start..start + len];
            assert_eq!(read(isa, part), part.iter().sum::<f32>(), "{} {start} {len}", isa.name());
            let mut out = Guarded::new(start + len);
            write(isa, &mut out[start..], 7.0);
            assert_bits("write", isa, &out[start..], &vec![7.0; len]);
            assert!(out[..start].iter().all(|v| v.is_nan()), "{} {start} {len}: wrote before", isa.name());
            out.check("write", isa);
        }
    }
}

#[test]
fn rows_are_summed_and_updated_in_any_order() {
    let mut random = Random(2);
    for isa in Isa::available() {
        for (dim, table_rows, n) in [(16, 50, 300), (32, 9, 33), (64, 20, 32), (128, 7, 40), (64, 1, 1), (16, 3, 0)] {
            let table = whole_numbers(table_rows * dim);
            let rows: Vec<u32> = (0..n).map(|_| random.below(table_rows) as u32).collect();
            let row = |r: u32| &table[r as usize * dim..][..dim];
            let expected = rows.iter().flat_map(|&r| row(r)).sum::<f32>();
            assert_eq!(read_rows(isa, &table, dim, RowList::new(&rows)), expected, "{} {dim} {n}", isa.name());

            let mut expected = table.clone();
            for &r in &rows {
                expected[r as usize * dim..][..dim].iter_mut().for_each(|w| *w -= 0.5);
            }
            let mut updated = Guarded::filled(&table);
            update_rows(isa, &mut updated, dim, RowList::new(&rows), 0.5);
            assert_bits("update_rows", isa, &updated, &expected);
            updated.check("update_rows", isa);
        }
    }
}
