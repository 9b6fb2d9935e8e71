//! A product by the kernels, on one thread or more.

use crate::case::{Case, Form};
use dlrm::buffer::Buffer;
use dlrm_kernels::gemm::*;
use dlrm_kernels::{Isa, Scratch};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Rows of a batch that a piece has at most, and of what it has a multiple, as the `Cpu` backend cuts them.
const MAX_ROWS: usize = 264;
const GRAIN: usize = 4;

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

pub struct Ours {
    isa: Isa,
    /// Rows of the output that a piece has.
    rows: usize,
    /// The weight, for the products with it.
    packed: Buffer,
}

impl Ours {
    /// Packs the weight of `case`, and cuts the product for `threads` threads.
    pub fn new(isa: Isa, threads: usize, case: &Case) -> Ours {
        let [m, n, _] = case.shape;
        let rows = match (threads, case.form) {
            (1, Form::BackwardWeight) => n,
            (1, _) => m,
            (_, Form::BackwardWeight) => n.div_ceil(threads).next_multiple_of(GRAIN),
            _ => {
                let pieces = threads * m.div_ceil(threads).div_ceil(MAX_ROWS);
                m.div_ceil(pieces).next_multiple_of(GRAIN)
            }
        };
        Ours { isa, rows, packed: pack(isa, case) }
    }

    /// The product, on the threads of the pool that the caller is in.
    pub fn run(&self, case: &Case, out: &mut [f32]) {
        let cols = out.len() / case.operands()[0].nrows();
        let pieces = out.par_chunks_mut(self.rows * cols).enumerate();
        pieces.for_each(|(i, out)| {
            let rows = i * self.rows..i * self.rows + out.len() / cols;
            SCRATCH.with_borrow_mut(|scratch| self.piece(case, rows, out, scratch));
        });
    }

    fn piece(&self, case: &Case, rows: Range<usize>, out: &mut [f32], scratch: &mut Scratch) {
        let (isa, [m, n, k], len) = (self.isa, case.shape, rows.len());
        let (left, right, packed) = (case.left.as_slice(), case.right.as_slice(), self.packed.as_slice());
        match case.form {
            Form::Linear => {
                let x = &left[rows.start * k..rows.end * k];
                linear(isa, x, packed, None, Activation::None, out, len, n, k, scratch);
            }
            Form::BackwardInput => {
                let dy = &left[rows.start * n..rows.end * n];
                linear_backward_input(isa, dy, packed, out, len, n, k, Beta::Zero, scratch);
            }
            Form::BackwardWeight => {
                linear_backward_weight(isa, left, right, out, None, m, n, k, rows, Beta::Zero, scratch);
            }
        }
    }
}

/// All panels of the weight of `case`, for its form of product; none where no weight takes part.
fn pack(isa: Isa, case: &Case) -> Buffer {
    let ([_, n, k], w, width) = (case.shape, case.right.as_slice(), panel_width(isa));
    let (len, panel_len) = match case.form {
        Form::Linear => (packed_len(isa, n, k), k * width),
        Form::BackwardInput => (packed_backward_len(isa, n, k), n * width),
        Form::BackwardWeight => return Buffer::default(),
    };
    let mut packed = Buffer::zeros(len);
    for (i, panel) in packed.as_mut_slice().chunks_mut(panel_len).enumerate() {
        match case.form {
            Form::Linear => pack_forward_panel(isa, w, n, k, i, panel),
            _ => pack_backward_panel(isa, w, n, k, i, panel),
        }
    }
    packed
}
