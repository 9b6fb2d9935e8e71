//! The probability of a click for each row, by a model that was kept; and how fast that is.
//!
//! ```sh
//! cargo run --release --example criteo_kaggle -- --data train.txt --save-model model.safetensors
//! cargo run --release --example predict -- --load-model model.safetensors --data test.txt --vocabulary train.txt.rows \
//!     --output probabilities.txt
//! head -1 test.txt | cargo run --release --example predict -- --load-model model.safetensors --data - \
//!     --vocabulary train.txt.rows
//! cargo run --release --example predict -- --latency
//! ```

mod support;

use clap::Parser;
use dlrm::backend::Backend;
use dlrm::checkpoint::Checkpoint;
use dlrm::nn::{DlrmConfig, KAGGLE_NUM_EMBEDDINGS, Model};
use dlrm::{Batch, Error, Parameters, Predictor, Result, Stream};
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use support::backend_flags::BackendFlags;
use support::checkpoint_flags::fits;
use support::files::check_apart;
use support::latency::{self, Latency};
use support::model_flags::ModelConfig;
use support::new_rows::{Rows, RowsFlags};
use support::whole::Whole;
use support::{Meter, run_main};

/// Rows of each table at most, of the model whose latency is measured where none is given.
const CAP: usize = 100_000;

/// Predicts the probability of a click for each row of a file, or measures how long that takes.
#[derive(Parser)]
struct Args {
    /// The model: what --save-model of the examples that train wrote.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["latency", "list_adapters"])]
    load_model: Option<PathBuf>,
    #[command(flatten)]
    rows: RowsFlags,
    /// A file to write one probability a line to [default: standard output].
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write logits instead, of which the probabilities are 1 / (1 + exp(-logit)).
    #[arg(long)]
    logits: bool,
    /// Rows at a time: only memory depends on it, and how long a row waits for those after it.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch_size: u32,
    /// Threads; 0 means one for each processor. The result does not depend on it.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    #[command(flatten)]
    backend: BackendFlags,
    /// Measure instead how long batches of 1, 64 and 2048 random rows take: those of the model, or of the reference's
    /// Kaggle model with at most 100,000 rows a table.
    #[arg(long, conflicts_with_all = ["data", "output", "logits"])]
    latency: bool,
    /// Print one JSON object for each batch size.
    #[arg(long)]
    json: bool,
}

/// Where predictions go: nothing has the name of a file before it is whole.
enum Output {
    Stdout,
    File(Whole, PathBuf),
}

impl Output {
    fn new(path: Option<&Path>) -> Result<Output> {
        let Some(path) = path else { return Ok(Output::Stdout) };
        Ok(Output::File(Whole::create(path)?, path.to_owned()))
    }

    fn write(&mut self, predictions: &[f32]) -> Result<()> {
        let lines = |out: &mut dyn Write| predictions.iter().try_for_each(|p| writeln!(out, "{p}"));
        match self {
            Output::Stdout => {
                let mut out = BufWriter::new(stdout().lock());
                lines(&mut out).and_then(|()| out.flush()).map_err(|e| Error::io("standard output", e))
            }
            Output::File(file, path) => lines(file).map_err(|e| Error::io(path, e)),
        }
    }

    fn finish(self) -> Result<()> {
        if let Output::File(file, _) = self { file.finish() } else { Ok(()) }
    }
}

fn predict(args: &Args, backend: &Arc<dyn Backend>) -> Result<()> {
    if args.json {
        return Err(Error::Config("--json: expected --latency beside it".into()));
    }
    let path = args.load_model.as_deref().expect("clap requires it");
    let RowsFlags { data, vocabulary, schema, .. } = &args.rows;
    let inputs = [data, vocabulary, schema].into_iter().flatten().map(PathBuf::as_path);
    check_apart(inputs.chain([path]), args.output.as_deref())?;
    let mut checkpoint = Checkpoint::open(path)?;
    let config = ModelConfig::of(&checkpoint)?;
    let mut output = Output::new(args.output.as_deref())?;
    args.rows.open(|rows: &mut Rows| {
        fits(path, &config, &rows.num_embeddings)?;
        checkpoint.check_vocabulary(rows.vocabulary_checksum)?;
        let mut predictor = read(&mut checkpoint, &config, backend)?;
        let (mut batch, mut done, mut meter) = (Batch::default(), 0, Meter::new("predicting", rows.count));
        while rows.fill(args.batch_size as usize, &mut batch)? > 0 {
            let predictions = if args.logits { predictor.logits(&batch)? } else { predictor.probabilities(&batch)? };
            output.write(predictions)?;
            done += batch.len() as u64;
            meter.update(done, String::new);
        }
        meter.finish();
        output.finish()
    })
}

/// The model of a file.
fn read(file: &mut Checkpoint, config: &ModelConfig, backend: &Arc<dyn Backend>) -> Result<Predictor<Box<dyn Model>>> {
    let (model, params) = file.read(backend.clone(), |params, stream| config.build(params, stream))?;
    Ok(Predictor::new(model, params))
}

fn measure(args: &Args, backend: &Arc<dyn Backend>) -> Result<()> {
    let (config, mut predictor) = match &args.load_model {
        Some(path) => {
            let mut file = Checkpoint::open(path)?;
            let config = ModelConfig::of(&file)?;
            let predictor = read(&mut file, &config, backend)?;
            (config, predictor)
        }
        None => {
            let rows = KAGGLE_NUM_EMBEDDINGS.map(|rows| rows.min(CAP)).to_vec();
            let config = ModelConfig::Dlrm(DlrmConfig::criteo_kaggle(rows));
            let mut params = Parameters::new(backend.clone());
            let model = config.build(&mut params, &mut Stream::native(1))?;
            (config, Predictor::new(model, params))
        }
    };
    let measured: Vec<Latency> = [1, 64, 2048].map(|b| latency::measure(&mut predictor, &config, b)).into();
    if args.json {
        let line = |latency| serde_json::to_string(latency).expect("numbers only");
        measured.iter().for_each(|latency| println!("{}", line(latency)));
    } else {
        println!("{}", backend.describe());
        latency::print(&measured);
    }
    Ok(())
}

fn run(args: &Args) -> Result<()> {
    let backend = args.backend.open(args.threads.into())?.backend();
    let mut result = Ok(());
    let work = if args.latency { measure } else { predict };
    backend.scope(&mut || result = work(args, &backend));
    result
}

fn main() -> ExitCode {
    run_main(run)
}
