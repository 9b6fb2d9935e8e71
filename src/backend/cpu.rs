//! The CPU: the kernels of `dlrm-kernels` on the threads of a rayon pool.
//!
//! Every operation is cut into pieces that write disjoint parts of its output, and each number of
//! the output is computed whole, in one fixed order, by whichever thread gets its piece. So the
//! bits do not depend on the number of threads.

mod adjust;
mod elementwise;
mod embedding;
mod interaction;
mod linear;
mod loss;
mod quantized;
mod row_grads;
mod update;

use super::{Activation, Backend, Beta, DenseGrads, Dropout, Interaction, LinearGrads, LossKind, Pooling};
use crate::backend::{DenseParameter, PackedWeight, RowFormat, State, Table, TableGrads, UpdateStep, WeightFormat};
use crate::jagged::JaggedTensor;
use crate::random::{FILL_CHUNK, Stream};
use crate::tensor::Tensor;
use dlrm_kernels::{Isa, Scratch};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder, Yield};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Below this much work (floating-point operations, or a few times the bytes moved) an operation
/// stays on the calling thread: waking another one takes about 10 µs on a virtual machine.
const MIN_PARALLEL_WORK: usize = 1 << 19;

/// The work of a lookup, in the same measure: a row of a table comes from memory in the time of some
/// hundred operations.
const LOOKUP_WORK: usize = 512;

/// Looks for work in vain, a fraction of a microsecond each, before a thread offers its processor
/// to others.
const IDLE_SPINS: u32 = 1000;

thread_local! {
    /// Room for what kernels pack and transpose, made once a thread.
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

/// Lends this thread's room to a kernel.
fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(f)
}

/// The backend of this machine's processor.
#[derive(Debug)]
pub struct Cpu {
    isa: Isa,
    threads: usize,
    pool: ThreadPool,
    /// The longest list of lookups that every thread's scratch has room for.
    sortable: AtomicUsize,
}

impl Cpu {
    /// `threads` threads (0: one for each processor) and the widest instruction set there is; the
    /// environment variable `DLRM_ISA` (`scalar`, `avx2`, `avx512`) can lower it.
    ///
    /// # Panics
    /// If the threads cannot be started, or `DLRM_ISA` holds something else.
    pub fn new(threads: usize) -> Self {
        Self::with_isa(threads, Isa::best())
    }

    /// As [`new`](Self::new), with a chosen instruction set.
    ///
    /// # Panics
    /// If the threads cannot be started.
    pub fn with_isa(threads: usize, isa: Isa) -> Self {
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("dlrm-{i}")).build();
        let pool = pool.unwrap_or_else(|e| panic!("Cpu: {threads} threads: {e}"));
        let cpu = Cpu { isa, threads: pool.current_num_threads(), pool, sortable: AtomicUsize::new(0) };
        // Room for matrix products. Left to the first of each thread, it would be made when that gets its first piece of
        // one, which on a busy machine may be any step.
        cpu.broadcast(|_| with_scratch(|scratch| scratch.reserve(0)));
        cpu
    }

    /// How many threads work.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The instruction set of the kernels.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Calls `f(thread's index)` on every thread, and returns the answers in that order.
    pub(crate) fn broadcast<R: Send>(&self, f: impl Fn(usize) -> R + Sync) -> Vec<R> {
        self.pool.broadcast(|thread| f(thread.index()))
    }

    /// Makes room for sorting `lookups` lookups on every thread, for the same reason: chance may give any thread the
    /// longest list.
    fn reserve_sort(&self, lookups: usize) {
        if lookups > self.sortable.load(Ordering::Relaxed) {
            self.broadcast(|_| with_scratch(|scratch| scratch.reserve(lookups)));
            self.sortable.store(lookups, Ordering::Relaxed);
        }
    }

    /// The length of the pieces that `0..n` is cut into for `work` in all: one piece if that is
    /// little, else as many for each thread as it takes to make them no longer than `most`, in multiples
    /// of `grain`.
    fn piece(&self, n: usize, work: usize, grain: usize, most: usize) -> usize {
        if self.threads == 1 || work < MIN_PARALLEL_WORK {
            return n.max(1);
        }
        let pieces = self.threads * n.div_ceil(self.threads).div_ceil(most);
        n.div_ceil(pieces.max(1)).next_multiple_of(grain).max(1)
    }

    /// Calls `f(piece's index, piece)` for each run of `len` numbers of `out`, on all threads.
    fn for_each_piece(&self, out: &mut [f32], len: usize, f: impl Fn(usize, &mut [f32]) + Send + Sync) {
        if out.is_empty() {
            return; // a batch of no sample
        }
        if out.len() <= len {
            return f(0, out);
        }
        self.pool.install(|| out.par_chunks_mut(len).enumerate().for_each(|(i, piece)| f(i, piece)));
    }

    /// Calls `f(piece's index, piece of a, piece of b)` for runs of two lists, each of a length of its
    /// own and as many of one as of the other, on all threads.
    fn for_each_pair(
        &self,
        (a, a_len): (&mut [f32], usize),
        (b, b_len): (&mut [f32], usize),
        f: impl Fn(usize, &mut [f32], &mut [f32]) + Send + Sync,
    ) {
        if a.len() <= a_len {
            return f(0, a, b);
        }
        self.pool.install(|| {
            let pieces = a.par_chunks_mut(a_len).zip(b.par_chunks_mut(b_len)).enumerate();
            pieces.for_each(|(i, (a, b))| f(i, a, b));
        });
    }
}

/// Looks for work until it is over, instead of going to sleep: a step hands out some thirty
/// pieces of work, microseconds apart, and waking a thread takes longer than most of them last.
fn stay_awake(busy: &AtomicBool) {
    let mut idle = 0;
    while busy.load(Ordering::Relaxed) {
        if let Some(Yield::Executed) = rayon::yield_now() {
            idle = 0;
        } else if idle < IDLE_SPINS {
            idle += 1;
            std::hint::spin_loop();
        } else {
            // Someone else may need the processor.
            std::thread::yield_now();
        }
    }
}

/// Says so when it goes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Backend for Cpu {
    fn describe(&self) -> String {
        let threads = if self.threads == 1 { "thread" } else { "threads" };
        format!("CPU, {} {threads}, {}", self.threads, self.isa.name())
    }

    fn available_memory(&self) -> Option<u64> {
        crate::memory::available()
    }

    fn scope(&self, work: &mut (dyn FnMut() + Send)) {
        if self.threads == 1 {
            return self.pool.install(work);
        }
        let busy = AtomicBool::new(true);
        self.pool.scope(|scope| {
            let (caller, busy) = (rayon::current_thread_index(), &busy);
            scope.spawn_broadcast(move |_, thread| {
                if Some(thread.index()) != caller {
                    stay_awake(busy);
                }
            });
            // Also when `work` panics, the others must not wait for it.
            let _over = Over(busy);
            work();
        });
    }

    fn table_grads(&self, tables: usize) -> Box<dyn TableGrads> {
        Box::new(row_grads::CpuTableGrads::new(tables))
    }

    fn fill_uniform(&self, table: &mut Table, key: u64, low: f64, high: f64) {
        self.pool.install(|| {
            table.values_mut().par_chunks_mut(FILL_CHUNK).enumerate().for_each(|(i, chunk)| {
                Stream::native_at(key, i as u64).fill_uniform(chunk, low, high);
            });
        });
    }

    fn quantize_table(&self, table: &Table, format: Option<RowFormat>) -> Table {
        embedding::quantize(self, table, format)
    }

    fn pack(&self, weight: &Tensor, packed: &mut PackedWeight) {
        linear::pack(self, weight, packed);
    }

    fn packed_lens(&self, n: usize, k: usize) -> [usize; 2] {
        linear::packed_lens(self, n, k)
    }

    fn pack_quantized(&self, weight: &Tensor, format: WeightFormat, packed: &mut PackedWeight) {
        quantized::pack(self, weight, format, packed);
    }

    fn linear(
        &self,
        x: &Tensor,
        weight: &DenseParameter,
        bias: Option<&DenseParameter>,
        act: Activation,
        y: &mut Tensor,
    ) {
        linear::forward(self, x, weight, bias, act, y);
    }

    fn linear_backward(
        &self,
        x: &Tensor,
        y: &Tensor,
        dy: &mut Tensor,
        weight: &DenseParameter,
        act: Activation,
        grads: LinearGrads<'_>,
    ) {
        linear::backward(self, [x, y], dy, weight, act, grads);
    }

    fn sigmoid(&self, x: &Tensor, y: &mut Tensor) {
        loss::sigmoid(x, y);
    }

    fn sigmoid_backward(&self, y: &Tensor, dy: &Tensor, dx: &mut Tensor, beta: Beta) {
        loss::sigmoid_backward(y, dy, dx, beta);
    }

    fn clamp(&self, x: &Tensor, bound: f32, y: &mut Tensor) {
        loss::clamp(x, bound, y);
    }

    fn clamp_backward(&self, x: &Tensor, bound: f32, dy: &Tensor, dx: &mut Tensor, beta: Beta) {
        loss::clamp_backward(x, bound, dy, dx, beta);
    }

    fn add_to(&self, x: &Tensor, y: &mut Tensor, beta: Beta) {
        elementwise::add_to(self, x, y, beta);
    }

    fn mul(&self, a: &Tensor, b: &Tensor, y: &mut Tensor, beta: Beta) {
        elementwise::mul(self, [a, b], y, beta);
    }

    fn dot_rows(&self, a: &Tensor, b: &Tensor, y: &mut Tensor, beta: Beta) {
        elementwise::dot_rows(self, [a, b], y, beta);
    }

    fn sum_rows(&self, x: &Tensor, y: &mut Tensor, beta: Beta) {
        elementwise::sum_rows(self, x, y, beta);
    }

    fn put_columns(&self, x: &Tensor, first: usize, out: &mut Tensor) {
        elementwise::put_columns(self, x, first, out);
    }

    fn take_columns(&self, from: &Tensor, first: usize, x: &mut Tensor, beta: Beta) {
        elementwise::take_columns(self, from, first, x, beta);
    }

    fn embedding_bags(&self, tables: &[Table], pooling: Pooling, bags: &[JaggedTensor], out: &mut Tensor) {
        embedding::forward(self, tables, pooling, bags, out);
    }

    fn embedding_bags_backward(
        &self,
        tables: &[Table],
        pooling: Pooling,
        bags: &[JaggedTensor],
        grad_out: &mut Tensor,
        grads: &mut dyn TableGrads,
        first: usize,
    ) {
        embedding::backward(self, tables, pooling, bags, grad_out, grads, first);
    }

    fn gather_weights(&self, row_weights: &[Table], bags: &mut [JaggedTensor]) {
        embedding::gather_weights(row_weights, bags);
    }

    fn gather_weights_backward(
        &self,
        tables: &[Table],
        pooling: Pooling,
        bags: &[JaggedTensor],
        grad_out: &Tensor,
        grads: &mut dyn TableGrads,
        first: usize,
    ) {
        embedding::gather_weights_backward(self, tables, pooling, bags, grad_out, grads, first);
    }

    fn interaction(&self, kind: Interaction, dense: Option<&Tensor>, pooled: &Tensor, out: &mut Tensor) {
        interaction::forward(self, kind, dense, pooled, out);
    }

    fn interaction_backward(
        &self,
        kind: Interaction,
        dense: Option<&Tensor>,
        pooled: &Tensor,
        grad_out: &Tensor,
        grads: [Option<(&mut Tensor, Beta)>; 2],
    ) {
        interaction::backward(self, kind, dense, pooled, grad_out, grads);
    }

    fn loss(&self, kind: LossKind, logits: &Tensor, labels: &Tensor, out: &mut Tensor) {
        loss::forward(kind, logits, labels, out);
    }

    fn loss_backward(
        &self,
        kind: LossKind,
        logits: &Tensor,
        labels: &Tensor,
        grad_out: &Tensor,
        dx: &mut Tensor,
        beta: Beta,
    ) {
        loss::backward(kind, logits, labels, grad_out, dx, beta);
    }

    fn dropout(&self, mask: Dropout, x: &Tensor, y: &mut Tensor, beta: Beta) {
        adjust::dropout(self, mask, x, y, beta);
    }

    fn copy(&self, from: &[f32], to: &mut [f32]) {
        elementwise::copy(self, from, to);
    }

    fn copy_bags(&self, from: &[JaggedTensor], to: &mut [JaggedTensor]) {
        embedding::copy_bags(self, from, to);
    }

    fn scale(&self, a: f32, x: &mut Tensor) {
        adjust::scale(self, a, x);
    }

    fn sum_of_squares(&self, x: &Tensor) -> f64 {
        adjust::sum_of_squares(x)
    }

    fn check_finite(&self, factor: f32, x: &Tensor, found: &mut Tensor) {
        adjust::check_finite(self, factor, x, found);
    }

    fn sum_table_grads(&self, grads: &mut dyn TableGrads) {
        embedding::sum(self, grads);
    }

    fn add_l2(&self, l2: f32, tables: &[Table], grads: &mut dyn TableGrads) {
        embedding::add_l2(self, l2, tables, grads);
    }

    fn update_dense<'a>(
        &self,
        step: UpdateStep<'_>,
        parameters: &mut [DenseParameter],
        grads: &'a DenseGrads<'a>,
        states: &mut [State],
    ) {
        update::dense(self, step, parameters, grads, states);
    }

    fn update_tables(&self, step: UpdateStep<'_>, tables: &mut [Table], grads: &dyn TableGrads, states: &mut [State]) {
        update::tables(self, step, tables, grads, states);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_nest_and_end_whatever_happens_in_them() {
        for threads in [1, 2, 3] {
            let cpu = Cpu::new(threads);
            let (pooled, out) = (Tensor::zeros(&[1 << 10, 16, 64]), &mut Tensor::zeros(&[1 << 10, 1 << 10]));
            let mut inner = 0;
            cpu.scope(&mut || {
                cpu.scope(&mut || {
                    cpu.interaction(Interaction::Cat, None, &pooled, out);
                    inner += 1;
                });
                cpu.interaction(Interaction::Cat, None, &pooled, out);
            });
            assert_eq!(inner, 1);
            let panics = std::panic::AssertUnwindSafe(|| cpu.scope(&mut || panic!("from within")));
            let message = std::panic::catch_unwind(panics).unwrap_err();
            assert_eq!(message.downcast_ref(), Some(&"from within"));
            cpu.scope(&mut || inner += 1);
            assert_eq!(inner, 2, "the threads are there as before");
        }
    }
}
