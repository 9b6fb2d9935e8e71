//! Linear layers of 8-bit and f16 weights.

use crate::common::Random;
use crate::pages::{Edged, everywhere};
use crate::{cases, unwritten};
use dlrm_kernels::Scratch;
use dlrm_kernels::gemm::Activation;
use dlrm_kernels::quantized::*;

/// M × N × K.
const SHAPES: [[usize; 3]; 14] = [
    [0, 3, 5],
    [1, 1, 1],
    [1, 16, 4],
    [2, 17, 3],
    [3, 31, 13],
    [4, 32, 64],
    [5, 33, 65],
    [12, 48, 30],
    [13, 64, 16],
    [23, 9, 127],
    [27, 40, 257],
    [128, 1, 256],
    [1, 512, 13],
    [37, 100, 1030],
];

#[test]
fn layers_of_fewer_bits_stay_inside() {
    for (isa, [m, n, k]) in cases(&SHAPES) {
        let mut random = Random(1);
        let (x, w, b) = (random.values(m * k), random.values(n * k), random.values(n));
        for (bias, activation) in [(false, Activation::None), (true, Activation::Relu)] {
            everywhere(format!("8-bit and f16 {m}x{n}x{k} {activation:?} on {}", isa.name()), |place| {
                let [x, w, b] = [&x, &w, &b].map(|values| Edged::new(place, values));
                let bias = bias.then_some(&b[..]);
                let (mut y8, mut y16) = (unwritten(place, m * n), unwritten(place, m * n));
                let mut packed = Edged::new(place, &vec![0xdead_beefu32; int8_len(isa, n, k)]);
                pack_int8(isa, &w, n, k, &mut packed);
                linear_int8(isa, &x, &packed, bias, activation, &mut y8, m, n, k, &mut Scratch::new());
                let mut packed = Edged::new(place, &vec![0x7e00u16; f16_len(isa, n, k)]);
                pack_f16(isa, &w, n, k, &mut packed);
                linear_f16(isa, &x, &packed, bias, activation, &mut y16, m, n, k, &mut Scratch::new());
                vec![y8, y16]
            });
        }
    }
}
