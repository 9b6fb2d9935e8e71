//! A slice from front to back: what the memory gives to a loop that asks for nothing unforeseen.

use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Vectors summed side by side, so that no load waits for an addition.
const SUMS: usize = 8;

/// The sum of `values`, in an order that depends on the instruction set.
pub fn read(isa: Isa, values: &[f32]) -> f32 {
    isa.run(Read(values))
}

/// Fills `values` with `x`, without reading them and without keeping them in a cache.
pub fn write(isa: Isa, values: &mut [f32], x: f32) {
    isa.run(Write(values, x));
}

struct Read<'a>(&'a [f32]);

impl Kernel for Read<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.zero(); SUMS];
        let blocks = self.0.chunks_exact(SUMS * S::LANES);
        let rest = blocks.remainder();
        for block in blocks {
            for (v, sum) in sums.iter_mut().enumerate() {
                // SAFETY: a block holds SUMS vectors.
                *sum = simd.add(*sum, unsafe { simd.load(block.as_ptr().add(v * S::LANES)) });
            }
        }
        for (sum, few) in sums.iter_mut().zip(rest.chunks(S::LANES)) {
            // SAFETY: few holds as many floats as it says, at most a vector.
            *sum = simd.add(*sum, unsafe { simd.load_partial(few.as_ptr(), few.len()) });
        }
        simd.reduce_sum(sums.into_iter().fold(simd.zero(), |all, sum| simd.add(all, sum)))
    }
}

struct Write<'a>(&'a mut [f32], f32);

impl Kernel for Write<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Write(values, x) = self;
        let head = values.as_ptr().align_offset(S::LANES * size_of::<f32>()).min(values.len());
        let (head, aligned) = values.split_at_mut(head);
        head.fill(x);
        let mut vectors = aligned.chunks_exact_mut(S::LANES);
        let v = simd.splat(x);
        for vector in &mut vectors {
            // SAFETY: a vector of the slice, the first of which is aligned to its size, and so all;
            // nobody looks at it before the fence below.
            unsafe { simd.stream(vector.as_mut_ptr(), v) }
        }
        vectors.into_remainder().fill(x);
        simd.fence();
    }
}
