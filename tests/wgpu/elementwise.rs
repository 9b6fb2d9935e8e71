use crate::support::{close, cpu, gpu, random, sound};
use dlrm::backend::{Backend, Beta};

const SHAPES: [[usize; 2]; 6] = [[1, 1], [1, 5], [7, 1], [3, 17], [33, 16], [257, 40]];

#[test]
fn add_to() {
    let Some(gpu) = gpu() else { return };
    for [m, n] in SHAPES {
        for x_shape in [[m, n], [1, n]] {
            for beta in [Beta::Zero, Beta::One] {
                let (x, mut y) = (random(&x_shape, 1), random(&[m, n], 2));
                let mut expected = y.clone();
                gpu.add_to(&x, &mut y, beta);
                cpu().add_to(&x, &mut expected, beta);
                close(&format!("{m}x{n}"), y.as_slice(), expected.as_slice(), 0.0);
            }
        }
    }
    sound(&gpu);
}
