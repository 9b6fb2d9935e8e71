//! Times what checkpoints cost the training of a standard model: how long it stands still for each, and how long its steps
//! take while one is being written.
//!
//! `cargo run --release --example save_pause -- --config kaggle --directory /where/the/checkpoints/would/be`

mod support;

use clap::Parser;
use dlrm::backend::LossKind;
use dlrm::checkpoint::CheckpointDir;
use dlrm::data::source::{BatchSource, Position};
use dlrm::nn::Dlrm;
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{Checkpoints, Observer, Progress, Saved, Schedule, Trainer};
use dlrm::{Batch, Error, Parameters, Result, Stream};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use support::models::{Config, random_batches};
use support::{cpu, run_main};

/// Times what checkpoints cost the training of a standard model, on random batches in memory.
#[derive(Parser)]
struct Args {
    /// The model.
    #[arg(long, value_enum, default_value_t = Config::Tiny)]
    config: Config,
    /// Where to write: the speed of the disk matters. What is written is removed again [default: the folder for
    /// temporary files].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Adagrad, whose state is as large as the model, instead of plain SGD.
    #[arg(long)]
    adagrad: bool,
    /// Rows a batch.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch_size: u32,
    /// How many checkpoints to save.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    saves: u64,
    /// Steps between them.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    every: u64,
    /// Threads; 0 means one for each processor.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
}

/// The same few batches again and again, so many.
struct Repeated<'a> {
    batches: &'a [Batch],
    count: u64,
    next: u64,
}

impl BatchSource for Repeated<'_> {
    fn rows(&self) -> usize {
        self.count as usize * self.batches[0].len()
    }

    fn position(&self) -> Position {
        Position { pass: 0, rows: self.next * self.batches[0].len() as u64 }
    }

    fn seek(&mut self, position: Position) -> Result<()> {
        self.next = position.rows / self.batches[0].len() as u64;
        Ok(())
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        if self.next == self.count {
            return Ok(false);
        }
        batch.clone_from(&self.batches[self.next as usize % self.batches.len()]);
        self.next += 1;
        Ok(true)
    }
}

/// Times steps, those after which a checkpoint is being written apart.
struct Watch {
    every: u64,
    last: Instant,
    writing: bool,
    /// Seconds of all steps, and their number: alone, and beside writing.
    steps: [(f64, u64); 2],
    saved: Vec<Saved>,
    failure: Option<String>,
}

impl Observer for Watch {
    fn on_step(&mut self, progress: &Progress) {
        let seconds = self.last.elapsed().as_secs_f64();
        // The pause of a save comes before the step after it.
        if progress.step > 1 && progress.step % self.every != 1 {
            let (sum, steps) = &mut self.steps[usize::from(self.writing)];
            (*sum, *steps) = (*sum + seconds, *steps + 1);
        }
        self.writing |= progress.step.is_multiple_of(self.every);
        self.last = Instant::now();
    }

    fn on_save(&mut self, saved: &Saved) {
        self.writing = false;
        println!("{saved}");
        self.saved.push(saved.clone());
    }

    fn on_save_failure(&mut self, error: &Error) {
        self.failure.get_or_insert(error.to_string());
    }
}

fn run(args: &Args) -> Result<()> {
    let parent = args.directory.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::tempdir_in(&parent).map_err(|e| Error::io(&parent, e.kind().into()))?;
    let (config, lookups) = args.config.model();
    let mut stream = Stream::native(1);
    let mut params = Parameters::new(cpu(args.threads.into())?);
    let model = Dlrm::new(&config, &mut params, &mut stream)?;
    let batches = random_batches(4, args.batch_size as usize, &config, lookups, &mut stream);
    let rule = if args.adagrad { UpdateRule::ADAGRAD } else { UpdateRule::Sgd };
    let mut trainer = Trainer::new(model, params, rule, LrPolicy::constant(0.01), LossKind::BCE);
    let (millions, copy) = (1e-6 * trainer.params().count() as f64, 1e-6 * trainer.checkpoint_bytes() as f64);
    println!("{}: {millions:.1} million parameters, a copy of {copy:.1} MB for saving", args.config);
    let dir = CheckpointDir::open(folder.path(), NonZeroUsize::MIN)?;
    let mut checkpoints = Checkpoints::new(dir, &config, None, Vec::new()).every(args.every);
    // The end of the pass saves once more.
    let mut train = Repeated { batches: &batches, count: args.every * (args.saves + 1) - 1, next: 0 };
    let mut test = Repeated { batches: &batches[..1], count: 1, next: 0 };
    let (every, last) = (args.every, Instant::now());
    let mut watch = Watch { every, last, writing: false, steps: [(0.0, 0); 2], saved: Vec::new(), failure: None };
    let schedule = Schedule { epochs: 1, test_freq: None };
    trainer.train_with_checkpoints(&mut train, &mut test, schedule, &mut watch, &mut checkpoints)?;
    if let Some(failure) = watch.failure {
        return Err(Error::Config(failure));
    }
    let pause = watch.saved.iter().map(|saved| (saved.pause - saved.waited).as_secs_f64());
    let (first, later) = (pause.clone().next().unwrap_or(0.0), pause.skip(1).fold(0.0, f64::max));
    println!("pause for the copy: {first:.3} s the first time, at most {later:.3} s later");
    let [alone, beside] = watch.steps.map(|(sum, steps)| 1e3 * sum / steps as f64);
    println!("a step: {alone:.2} ms alone, {beside:.2} ms while a checkpoint is written");
    Ok(())
}

fn main() -> ExitCode {
    run_main(run)
}
