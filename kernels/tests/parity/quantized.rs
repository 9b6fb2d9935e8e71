//! Rows in fewer bytes: the bytes of PyTorch's rows, and lookups with the bits of the plain loop on every
//! instruction set.

use crate::common::{Guarded, Random, assert_bits};
use crate::embedding_bag::{ROWS, for_each};
use dlrm_kernels::embedding_bag::embedding_bag_quantized;
use dlrm_kernels::quantized::{RowFormat, dequantize_rows, quantize_rows};
use dlrm_kernels::reference;

fn quantized(format: RowFormat, values: &[f32], dim: usize) -> Vec<u8> {
    let mut bytes = vec![0xa5; values.len() / dim * format.row_bytes(dim)];
    quantize_rows(format, values, dim, &mut bytes);
    bytes
}

#[test]
fn lookups_have_the_bits_of_the_plain_loop() {
    for_each(|isa, what, bags, pooling, dim| {
        for format in RowFormat::ALL {
            let what = format!("{what}, {}", format.name());
            let bytes = quantized(format, &Random(1).values(ROWS * dim), dim);
            let mut table = vec![0.0; ROWS * dim];
            dequantize_rows(format, &bytes, dim, &mut table);
            for stride in [dim, dim + 5] {
                let len = bags.num_bags().checked_sub(1).map_or(0, |last| last * stride + dim);
                let mut expected = vec![f32::NAN; len];
                reference::embedding_bag(&table, dim, bags, pooling, &mut expected, stride);
                let mut out = Guarded::new(len);
                embedding_bag_quantized(isa, format, &bytes, dim, bags, pooling, &mut out, stride);
                out.check(&what, isa);
                assert_bits(&what, isa, &out, &expected);
            }
        }
    });
}

/// Every number comes back within half a step of its row; 4 bits have a minimum and a scale of f16 besides.
#[test]
fn rows_come_back_within_half_a_step() {
    for dim in [1, 2, 3, 16, 33, 64] {
        let values: Vec<f32> = Random(5).values(50 * dim).iter().map(|v| 0.01 * v + 0.3).collect();
        for format in RowFormat::ALL {
            let mut back = vec![f32::NAN; values.len()];
            dequantize_rows(format, &quantized(format, &values, dim), dim, &mut back);
            for (row, back) in values.chunks(dim).zip(back.chunks(dim)) {
                let (min, max) = row.iter().fold((f32::MAX, f32::MIN), |(a, b), &v| (a.min(v), b.max(v)));
                let off = row.iter().zip(back).map(|(v, b)| (v - b).abs()).fold(0.0, f32::max);
                let allowed = match format {
                    RowFormat::F16 => max * 2f32.powi(-11),
                    RowFormat::Bf16 => max * 2f32.powi(-8),
                    RowFormat::Int8 => (max - min) / 255.0 / 2.0 + max * f32::EPSILON * 2.0,
                    RowFormat::Int4 => (max - min) / 15.0 * (0.5 + 15.0 * 2f32.powi(-11)) + max * 2f32.powi(-11),
                };
                assert!(off <= allowed, "{} D {dim}: {off:e} off, {allowed:e} allowed", format.name());
            }
        }
    }
}

#[test]
fn rows_of_equal_numbers_come_back_as_they_are() {
    for format in RowFormat::ALL {
        for v in [0.0, 0.5, -1.25] {
            let mut back = [f32::NAN; 10];
            dequantize_rows(format, &quantized(format, &[v; 10], 5), 5, &mut back);
            assert_eq!(back, [v; 10], "{}", format.name());
        }
    }
}

/// Rows of six numbers, and their bytes as PyTorch 2.15 packs them (8 bits, 4 bits): by
/// `torch.ops.quantized.embedding_bag_byte_prepack` and `embedding_bag_4bit_prepack`.
const GOLDEN: [([f32; 6], &str, &str); 5] = [
    ([0.5; 6], "000000000000000000000000003f", "000000003c0038"),
    ([0.0; 6], "0000000000000000000000000000", "000000003c0000"),
    ([-1.0, 1.0, 0.25, -0.25, 0.125, 0.999], "00ff9f608fff8180003c000080bf", "f069f8443000bc"),
    // Below the smallest f16: the scale is then 1.
    ([1e-9, -1e-9, 0.0, 2e-9, 5e-10, 1e-9], "2700143b1d2786f74e2d5f7089b0", "000000003c0080"),
    ([1000.5, -3.25, 17.0, 250.125, 999.0, 3.0], "ff000540ff02eceb7b40000050c0", "0f400f2f5480c2"),
];

#[test]
fn the_bytes_are_pytorch_s() {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    for (row, int8, int4) in GOLDEN {
        assert_eq!(hex(quantized(RowFormat::Int8, &row, 6)), int8, "{row:?}");
        assert_eq!(hex(quantized(RowFormat::Int4, &row, 6)), int4, "{row:?}");
    }
}

/// FNV-1a of what PyTorch makes of 200 random rows: D, 8 bits, 4 bits.
const GOLDEN_HASHES: [(usize, u64, u64); 3] = [
    (6, 0x68b0_b691_c61b_0bf5, 0x8113_3a5e_7e09_be42),
    (16, 0xd401_744a_d8dc_1d2b, 0x5cea_768b_ff1f_a588),
    (64, 0x596d_a4c1_a38b_63df, 0x5c48_fe98_2e6b_32bd),
];

#[test]
fn many_random_rows_have_pytorch_s_bytes() {
    for (dim, int8, int4) in GOLDEN_HASHES {
        let values = Random(77).values(200 * dim);
        for (format, expected) in [(RowFormat::Int8, int8), (RowFormat::Int4, int4)] {
            let hash = quantized(format, &values, dim)
                .iter()
                .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
            assert_eq!(hash, expected, "{} D {dim}", format.name());
        }
    }
}

/// Of two numbers in a byte the first is the lower half, and an odd row ends with an empty upper half
/// (PyTorch refuses odd rows).
#[test]
fn an_odd_row_of_four_bits() {
    assert_eq!(quantized(RowFormat::Int4, &[0.0, 15.0, 7.0], 3), [0xf0, 0x07, 0x00, 0x3c, 0x00, 0x00]);
}
