//! A matrix product from the naive loop to the library's kernel, each step timed: the figures of the chapter
//! `dlrm::guide::ch07_gemm`.
//!
//! ```sh
//! cargo run --release --example gemm_steps
//! ```

#[path = "../support/mod.rs"]
mod support;

mod steps;

use clap::Parser;
use dlrm::buffer::Buffer;
use dlrm::{Result, Stream};
use dlrm_kernels::probe::multiply_adds;
use dlrm_kernels::{Isa, Scratch, gemm};
use serde::Serialize;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;
use support::columns::print_columns;
use support::{cpu, run_main};

/// Times a product of two square matrices of f32 on one thread, from the naive loop over plain Rust in five loops to the
/// library's kernel, beside the peak of the processor's multiply-adds, measured in between. Each result is checked.
#[derive(Parser)]
struct Args {
    /// Rows and columns of the matrices, a multiple of 64.
    #[arg(long, default_value_t = 1024, value_parser = size)]
    size: usize,
    /// Times each step is run, in turn, of which the fastest counts; the naive loop is run once.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

fn size(text: &str) -> std::result::Result<usize, String> {
    let expected = format!("expected a multiple of {} up to 8192", steps::MULTIPLE);
    let size = text.parse().map_err(|_| expected.clone())?;
    if size % steps::MULTIPLE == 0 && (1..=8192).contains(&size) { Ok(size) } else { Err(expected) }
}

#[derive(Serialize)]
struct Outcome {
    system: String,
    /// Instruction set of the peak and of the library's kernel.
    isa: &'static str,
    size: usize,
    /// Multiply-adds in registers, GFLOP/s; the most of all rounds.
    peak_gflops: f64,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    name: &'static str,
    /// The fastest run.
    ms: f64,
    gflops: f64,
    percent_of_peak: f64,
}

/// `C = A · B` for `n × n` matrices.
type Product<'a> = Box<dyn FnMut(&[f32], &[f32], &mut [f32], usize) + 'a>;

fn run(args: &Args) -> Result<()> {
    let outcome = measure(cpu(1)?.isa(), args.size, args.rounds);
    if args.json {
        println!("{}", serde_json::to_string(&outcome).expect("numbers and strings"));
        return Ok(());
    }
    let line = |step: &Step| {
        let percent = format!("{:.1} %", step.percent_of_peak);
        vec![step.name.into(), format!("{:.1}", step.ms), format!("{:.1}", step.gflops), percent]
    };
    print_columns(&["step", "ms", "GFLOP/s", "of peak"], &outcome.steps.iter().map(line).collect::<Vec<_>>());
    println!("\npeak {:.1} GFLOP/s, one thread, {}; {n} x {n} x {n}", outcome.peak_gflops, outcome.isa, n = args.size);
    Ok(())
}

fn measure(isa: Isa, n: usize, rounds: u32) -> Outcome {
    let mut stream = Stream::native(1);
    // Whole numbers, whose sums are exact in any order: every step must give the same bits.
    let mut numbers = || (0..n * n).map(|_| (9.0 * stream.uniform()).floor() as f32 - 4.0).collect::<Vec<f32>>();
    let (a, b) = (numbers(), numbers());
    let mut expected = vec![0.0; n * n];
    let naive = seconds(|| steps::naive(black_box(&a), black_box(&b), &mut expected, n));
    let mut library = Library::new(isa, n);
    let mut products: [(&'static str, Product<'_>); 5] = [
        ("loop order", Box::new(steps::loop_order)),
        ("register tile", Box::new(steps::register_tile)),
        ("packed panels", Box::new(steps::packed_panels)),
        ("blocks: five loops", Box::new(steps::five_loops)),
        ("the library's kernel", Box::new(|a, b, c, n| library.product(a, b, c, n))),
    ];
    // Round by round, so that a moment in which somebody else has the machine spoils one run of each and not all of one.
    let (mut least, mut peak) = ([f64::INFINITY; 5], 0.0f64);
    for _ in 0..rounds {
        peak = peak.max(peak_gflops(isa));
        for ((name, product), least) in products.iter_mut().zip(&mut least) {
            let mut c = vec![f32::NAN; n * n];
            *least = least.min(seconds(|| product(black_box(&a), black_box(&b), &mut c, n)));
            let wrong = c.iter().zip(&expected).position(|(c, expected)| c != expected);
            assert_eq!(wrong, None, "{name}: an element that is not the naive loop's");
        }
    }
    let step = |(name, seconds): (&'static str, f64)| {
        let gflops = 1e-9 * 2.0 * (n as f64).powi(3) / seconds;
        Step { name, ms: 1e3 * seconds, gflops, percent_of_peak: 100.0 * gflops / peak }
    };
    let all = std::iter::once(("naive", naive)).chain(products.iter().map(|(name, _)| *name).zip(least));
    Outcome {
        system: format!("dlrm-{}", env!("CARGO_PKG_VERSION")),
        isa: isa.name(),
        size: n,
        peak_gflops: peak,
        steps: all.map(step).collect(),
    }
}

/// The library's product with what it needs, B packed as a layer packs its weight once a step.
struct Library {
    isa: Isa,
    panels: Buffer,
    scratch: Scratch,
}

impl Library {
    fn new(isa: Isa, n: usize) -> Self {
        Library { isa, panels: Buffer::zeros(gemm::packed_backward_len(isa, n, n)), scratch: Scratch::new() }
    }

    fn product(&mut self, a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
        let panels = self.panels.as_mut_slice();
        for (panel, out) in panels.chunks_exact_mut(n * gemm::panel_width(self.isa)).enumerate() {
            gemm::pack_backward_panel(self.isa, b, n, n, panel, out);
        }
        gemm::linear_backward_input(self.isa, a, panels, c, n, n, n, gemm::Beta::Zero, &mut self.scratch);
    }
}

/// Multiply-adds in registers, in some 10 ms.
fn peak_gflops(isa: Isa) -> f64 {
    const ROUNDS: u64 = 1 << 22;
    let flops = (ROUNDS * multiply_adds(isa, 0.5, 1.0, 1).flops) as f64;
    let time = seconds(|| {
        black_box(multiply_adds(isa, 0.5, 1.0, black_box(ROUNDS)));
    });
    1e-9 * flops / time
}

fn seconds(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

fn main() -> ExitCode {
    run_main(run)
}
