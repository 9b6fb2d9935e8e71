//! The reference's program on random data: its flags, its lines, its losses for the same NumPy seed.
//!
//! ```sh
//! cargo run --release --example random -- --mini-batch-size=2 --data-size=6
//! ```

#[path = "../support/mod.rs"]
mod support;

mod flags;
mod kept;
mod others;
mod setup;

use clap::Parser;
use dlrm::backend::Backend;
use dlrm::data::random::RandomBatches;
use dlrm::metrics::Evaluation;
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::train::{TrainOptions, Trainer};
use dlrm::{Batch, Error, Result, Stream};
use flags::{DataFlags, ModelFlags, RunFlags};
use kept::KeptFlags;
use others::OtherFlags;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::profile::{self, Profile, ProfileFlags};
use support::{cpu, run_main};

/// Trains a DLRM on random data with the flags of the public reference's dlrm_s_pytorch.py, and prints its lines: the
/// same losses for the same --numpy-rand-seed.
///
/// Flags are read as Python's argparse reads them: --flag=value or --flag value, the last one counts, the beginning of
/// a name is enough. Those of the reference that are not listed here are accepted or refused with a word why; the page
/// dlrm::guide::reference_flags of the documentation has all.
#[derive(Parser)]
#[command(infer_long_args = true, args_override_self = true)]
struct Args {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    run: RunFlags,
    #[command(flatten)]
    others: OtherFlags,
    #[command(flatten)]
    kept: KeptFlags,
    #[command(flatten)]
    profile: ProfileFlags,
}

/// Passes over the data, with the sums between two lines.
struct Run<'a> {
    args: &'a Args,
    data: RandomBatches,
    test: RandomBatches,
    trainer: Trainer<Dlrm>,
    best_accuracy: f64,
    time: Duration,
    /// In the precision of the reference, whose sum is a NumPy number of 32 bits: so the digits printed are the same.
    loss: f32,
    batches: u32,
    samples: usize,
}

impl Run<'_> {
    fn train(&mut self) -> Result<()> {
        let mut batch = Batch::default();
        for epoch in 0..self.args.run.nepochs {
            self.data.reset();
            let mut done = 0;
            while self.data.next_batch(&mut batch) {
                self.step(&batch)?;
                done += 1;
                let last = done == self.data.num_batches();
                let due = |freq: i64| freq > 0 && (last || (done as i64) % freq == 0);
                let test = due(self.args.run.test_freq);
                if due(self.args.run.print_freq.into()) || test {
                    self.print(done, epoch);
                }
                if test {
                    println!("Testing at - {done}/{} of epoch {epoch},", self.data.num_batches());
                    self.evaluate()?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, batch: &Batch) -> Result<()> {
        let start = Instant::now();
        let loss = self.trainer.step(batch).map_err(|e| match e {
            Error::Diverged { step, fault, .. } => Error::Config(format!(
                "step {step}: {fault}; a lower --learning-rate, or --lr-num-warmup-steps, is the usual remedy"
            )),
            e => e,
        })?;
        self.time += start.elapsed();
        self.loss += loss * batch.len() as f32;
        self.batches += 1;
        self.samples += batch.len();
        Ok(())
    }

    /// The line about the batches since the last one.
    fn print(&mut self, done: usize, epoch: u32) {
        let RunFlags { print_time, print_wall_time, .. } = self.args.run;
        let ms = if print_time { 1e3 * self.time.as_secs_f64() / f64::from(self.batches) } else { -1.0 };
        let now = if print_wall_time { chrono::Local::now().format(" (%H:%M)").to_string() } else { String::new() };
        let (of, loss) = (self.data.num_batches(), self.loss / self.samples as f32);
        println!("Finished training it {done}/{of} of epoch {epoch}, {ms:.2} ms/it, loss {loss:.6}{now}");
        (self.time, self.loss, self.batches, self.samples) = (Duration::ZERO, 0.0, 0, 0);
    }

    /// Tests on the data of the first pass, as the reference does, and prints the accuracy.
    fn evaluate(&mut self) -> Result<()> {
        let Run { args, trainer, test, .. } = self;
        let Evaluation { accuracy, .. } = match args.run.inference_only {
            true => args.kept.test(trainer, |trainer| trainer.evaluate(test))?,
            false => trainer.evaluate(test)?,
        };
        self.best_accuracy = self.best_accuracy.max(accuracy);
        println!(" accuracy {:3.3} %, best {:3.3} %", 100.0 * accuracy, 100.0 * self.best_accuracy);
        if self.args.run.shared_stream {
            self.data.set_stream(self.test.stream());
        }
        Ok(())
    }
}

/// The stream that initial values are drawn from: in debug mode what all data has left.
fn initial_stream(args: &Args, data: &mut RandomBatches, config: &DlrmConfig) -> Stream {
    if args.run.debug_mode {
        setup::print_model(config);
        let mut batch = Batch::default();
        while data.next_batch(&mut batch) {}
        return data.stream().clone();
    }
    Stream::numpy(args.run.numpy_rand_seed)
}

fn run(args: &Args) -> Result<()> {
    args.others.refuse()?;
    args.kept.check()?;
    let (config, policy) = (setup::config(&args.model)?, setup::policy(&args.run)?);
    let threshold = setup::loss_threshold(&args.model)?;
    let mut data = setup::data(args)?;
    let backend: Arc<dyn Backend> = cpu(args.run.threads.into())?;
    let mut notes = args.others.notes(args.model.tables.unused().map(|(flag, _)| flag));
    notes.extend(setup::notes(args));
    notes.extend(args.kept.notes(args.run.inference_only));
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    println!("Using CPU...");

    let mut stream = initial_stream(args, &mut data, &config);
    let (watched, profile) = profile::backend(&backend, setup::profile(args).as_deref())?;
    let (model, params) = args.kept.model(&config, watched, &mut stream)?;
    let trainer = Trainer::new(model, params, setup::rule(&args.run), policy, setup::loss(&args.model))
        .with_options(TrainOptions { loss_threshold: threshold, ..TrainOptions::default() })?;
    println!("time/loss/accuracy (if enabled):");
    let test = data.clone();
    let none = (0.0, Duration::ZERO, 0.0, 0, 0);
    let (best_accuracy, time, loss, batches, samples) = none;
    let mut run = Run { args, data, test, trainer, best_accuracy, time, loss, batches, samples };
    profile.iter().for_each(Profile::start);
    let mut result = Ok(());
    backend.scope(&mut || {
        result = if args.run.inference_only {
            println!("Testing for inference only");
            run.evaluate()
        } else {
            run.train()
        };
    });
    result?;
    args.kept.keep(&run.trainer, !args.run.inference_only)?;
    profile.map_or(Ok(()), Profile::finish)
}

fn main() -> ExitCode {
    run_main(run)
}
