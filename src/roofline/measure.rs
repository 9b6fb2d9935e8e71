//! The probes of `dlrm-kernels`, timed on all threads together.

use super::{Roofline, RowRate};
use crate::backend::{Backend, Cpu};
use crate::buffer::Buffer;
use crate::random::Stream;
use dlrm_kernels::probe::{Arithmetic, RowList, dot_products_bf16, multiply_adds, read, read_rows, update_rows, write};
use std::array::from_fn;
use std::hint::black_box;
use std::ops::Range;
use std::sync::{Barrier, Mutex};
use std::time::Instant;

/// Times all probes are run, one after the other, of which each figure's median counts: someone
/// who takes a processor for a second spoils a pass or two and not all passes of one probe.
const PASSES: usize = 7;

/// Rounds of a probe of arithmetic: some 25 to 50 ms.
const ROUNDS: u64 = 1 << 24;

/// Bytes of the rows of a pass, each thread's.
const ROWS_BYTES: usize = 256 << 20;

/// Numbers a row, from one cache line to eight.
const DIMS: [usize; 4] = [16, 32, 64, 128];

/// Bytes that are probed: far more than any cache, and not more than a machine can spare.
const BYTES: Range<u64> = 16 << 20..4 << 30;

/// Memory to probe, written once before any clock starts: the first touch of a page is slow.
#[derive(Debug)]
pub struct Memory(Buffer);

impl Memory {
    /// A quarter of the memory that is available, at most 4 GiB, on huge pages if there are any.
    ///
    /// # Panics
    /// If the system does not give it.
    pub fn new(cpu: &Cpu) -> Self {
        let quarter = cpu.available_memory().unwrap_or(BYTES.end) / 4;
        Memory::of(quarter.clamp(BYTES.start, BYTES.end), cpu)
    }

    /// `bytes` of memory.
    fn of(bytes: u64, cpu: &Cpu) -> Self {
        let mut values = Buffer::zeros(bytes as usize / size_of::<f32>());
        on_each_thread(cpu, parts(&mut values, cpu), |part| part.fill(1.0));
        Memory(values)
    }
}

impl Roofline {
    /// Measures the threads and the instruction set of `cpu`, in some ten seconds; `watch` hears the
    /// number of each pass over all probes, from 1, and how many there will be. What `memory` holds
    /// afterwards is unspecified.
    pub fn measure(cpu: &Cpu, memory: &mut Memory, watch: &mut dyn FnMut(usize, usize)) -> Self {
        let passes = (1..=PASSES).map(|pass| {
            watch(pass, PASSES);
            one_pass(cpu, &mut memory.0, pass as u64)
        });
        median_of(&passes.collect::<Vec<_>>())
    }
}

/// Each figure from one run of its probe; `seed` is that of the rows.
fn one_pass(cpu: &Cpu, values: &mut Buffer, seed: u64) -> Roofline {
    let (isa, gigabytes) = (cpu.isa(), 1e-9 * size_of_val(values.as_slice()) as f64);
    let bf16 = |rounds| dot_products_bf16(isa, 1.0, 1.0, rounds);
    Roofline {
        isa: isa.name(),
        threads: cpu.threads(),
        f32_gflops: arithmetic(cpu, |rounds| multiply_adds(isa, 0.5, 1.0, rounds)),
        bf16_gflops: bf16(0).map(|_| arithmetic(cpu, |rounds| bf16(rounds).expect("a moment ago it could"))),
        write_gbs: gigabytes / seconds(cpu, parts(values, cpu), |part| write(isa, part, 1.0)),
        read_gbs: gigabytes / seconds(cpu, parts(values, cpu), |part| read(isa, part)),
        rows: DIMS.map(|dim| row_rate(cpu, values, dim, seed)),
        cache_bytes: last_level_cache().unwrap_or(32 << 20),
    }
}

/// The median of each figure.
fn median_of(passes: &[Roofline]) -> Roofline {
    let median = |figure: &dyn Fn(&Roofline) -> f64| {
        let mut figures: Vec<f64> = passes.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let first = &passes[0];
    Roofline {
        f32_gflops: median(&|p| p.f32_gflops),
        bf16_gflops: first.bf16_gflops.map(|_| median(&|p| p.bf16_gflops.unwrap_or(0.0))),
        read_gbs: median(&|p| p.read_gbs),
        write_gbs: median(&|p| p.write_gbs),
        rows: from_fn(|i| RowRate {
            bytes: first.rows[i].bytes,
            read_gbs: median(&|p| p.rows[i].read_gbs),
            update_gbs: median(&|p| p.rows[i].update_gbs),
        }),
        ..*first
    }
}

/// GFLOP/s of `probe`, which takes its number of rounds.
fn arithmetic(cpu: &Cpu, probe: impl Fn(u64) -> Arithmetic + Sync) -> f64 {
    let flops = cpu.threads() as u64 * ROUNDS * probe(1).flops;
    1e-9 * flops as f64 / seconds(cpu, vec![(); cpu.threads()], |()| probe(black_box(ROUNDS)))
}

/// Threads read rows of all of `values`, and update rows of a part of it each.
fn row_rate(cpu: &Cpu, values: &mut Buffer, dim: usize, seed: u64) -> RowRate {
    let isa = cpu.isa();
    let row_bytes = dim * size_of::<f32>();
    let gigabytes = |lists: &[Vec<u32>]| 1e-9 * (lists.iter().map(Vec::len).sum::<usize>() * row_bytes) as f64;
    let streams = || (0..cpu.threads() as u64).map(|thread| Stream::native_at(seed, thread)).collect();
    let lists = |rows: usize| on_each_thread(cpu, streams(), |stream| random_rows(rows, dim, stream));

    let of_all = lists(values.len() / dim);
    let (table, work) = (values.as_slice(), of_all.iter().map(|list| RowList::new(list)));
    let read = seconds(cpu, work.collect(), |&mut list| read_rows(isa, table, dim, list));

    let parts = parts(values, cpu);
    let of_part = lists(parts.last().map_or(0, |part| part.len() / dim));
    let work = parts.into_iter().zip(of_part.iter().map(|list| RowList::new(list)));
    let update = seconds(cpu, work.collect(), |(part, list)| update_rows(isa, part, dim, *list, 1e-3));
    let [read_gbs, update_gbs] = [gigabytes(&of_all) / read, gigabytes(&of_part) / update];
    RowRate { bytes: row_bytes, read_gbs, update_gbs }
}

/// A pass's rows of `dim` numbers out of a table of `rows`, at most as many as it has.
fn random_rows(rows: usize, dim: usize, stream: &mut Stream) -> Vec<u32> {
    let count = ROWS_BYTES / (dim * size_of::<f32>());
    (0..count.min(rows)).map(|_| (stream.uniform() * rows as f64) as u32).collect()
}

/// A part of `values` for each thread of `cpu`, the last perhaps a little shorter.
fn parts<'a>(values: &'a mut Buffer, cpu: &Cpu) -> Vec<&'a mut [f32]> {
    let len = values.len().div_ceil(cpu.threads());
    values.as_mut_slice().chunks_mut(len).collect()
}

/// The seconds that `run` takes on all threads at once, from the first start to the last end.
fn seconds<P: Send, A>(cpu: &Cpu, parts: Vec<P>, run: impl Fn(&mut P) -> A + Sync) -> f64 {
    let barrier = Barrier::new(parts.len());
    let times = on_each_thread(cpu, parts, |part| {
        barrier.wait();
        let start = Instant::now();
        black_box(run(part));
        (start, Instant::now())
    });
    let all = times.into_iter().reduce(|all, t| (all.0.min(t.0), all.1.max(t.1)));
    all.map_or(0.0, |(start, end)| (end - start).as_secs_f64())
}

/// Runs `run` on every thread of `cpu`, each with the part of its own number.
fn on_each_thread<P: Send, R: Send>(cpu: &Cpu, parts: Vec<P>, run: impl Fn(&mut P) -> R + Sync) -> Vec<R> {
    let parts: Vec<Mutex<P>> = parts.into_iter().map(Mutex::new).collect();
    cpu.broadcast(|thread| run(&mut parts[thread].lock().expect("a part has one thread")))
}

/// The size of the last level of cache, as Linux tells it.
fn last_level_cache() -> Option<u64> {
    let level = |i: usize| {
        let size = std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{i}/size")).ok()?;
        size.trim().strip_suffix('K')?.parse::<u64>().ok().map(|kib| 1024 * kib)
    };
    (0..).map_while(level).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_measured() {
        for threads in [1, 2] {
            let cpu = Cpu::new(threads);
            let mut memory = Memory::of(1 << 20, &cpu);
            let mut heard = Vec::new();
            let r = Roofline::measure(&cpu, &mut memory, &mut |pass, of| heard.push((pass, of)));
            let rates = r.rows.iter().flat_map(|r| [r.read_gbs, r.update_gbs]);
            let figures = [r.f32_gflops, r.read_gbs, r.write_gbs].into_iter().chain(r.bf16_gflops).chain(rates);
            assert!(figures.into_iter().all(|f| f.is_finite() && f > 0.0), "{r:?}");
            assert_eq!((r.threads, r.isa, r.rows.map(|r| r.bytes)), (threads, cpu.isa().name(), [64, 128, 256, 512]));
            assert_eq!(heard, (1..=PASSES).map(|pass| (pass, PASSES)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn each_figure_has_its_own_median() {
        let passes = [[3.0, 10.0], [1.0, 30.0], [2.0, 20.0]].map(|[low, high]| Roofline {
            isa: "scalar",
            threads: 1,
            f32_gflops: low,
            bf16_gflops: Some(high),
            read_gbs: high,
            write_gbs: low,
            rows: DIMS.map(|dim| RowRate { bytes: dim, read_gbs: low, update_gbs: high }),
            cache_bytes: 1,
        });
        let m = median_of(&passes);
        assert_eq!([m.f32_gflops, m.write_gbs, m.rows[3].read_gbs], [2.0; 3]);
        assert_eq!([m.bf16_gflops.unwrap(), m.read_gbs, m.rows[0].update_gbs], [20.0; 3]);
        assert_eq!(m.rows.map(|r| r.bytes), DIMS);
    }

    #[test]
    fn random_rows_stay_in_their_table() {
        for rows in [1, 5, 1000] {
            let list = random_rows(rows, 128, &mut Stream::native(3));
            assert!(list.len() == rows && list.iter().all(|&r| (r as usize) < rows), "{rows}");
        }
    }
}
