//! The reference's flags, in its order and with its defaults (`run` of `dlrm_s_pytorch.py`).

use crate::support::Widths;
use crate::support::compression_flags::CompressionFlags;
use clap::{Args, ValueEnum};
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;

/// Samples of a batch at most, and ids drawn for a bag.
const MOST_SAMPLES: i64 = 1 << 20;
const MOST_IDS: i64 = 1 << 16;

/// The model.
#[derive(Args)]
pub struct ModelFlags {
    /// The length of an embedding.
    #[arg(long, value_name = "D", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    pub arch_sparse_feature_size: u32,
    /// Rows of each table.
    #[arg(long, value_name = "ROWS", default_value_t = TableRows(vec![4, 3, 2]))]
    pub arch_embedding_size: TableRows,
    /// Widths of the bottom MLP, from the dense features to the length of an embedding.
    #[arg(long, value_name = "WIDTHS", default_value_t = Widths(vec![4, 3, 2]))]
    pub arch_mlp_bot: Widths,
    /// Widths of the top MLP after the interaction.
    #[arg(long, value_name = "WIDTHS", default_value_t = Widths(vec![4, 2, 1]))]
    pub arch_mlp_top: Widths,
    /// How the vectors of a sample meet.
    #[arg(long, value_enum, default_value_t = InteractionOp::Dot)]
    pub arch_interaction_op: InteractionOp,
    /// With dot, each vector also meets itself.
    #[arg(long)]
    pub arch_interaction_itself: bool,
    /// A weight for each row of a table, 1 at first: `fixed`, or anything else for learned ones.
    #[arg(long, value_name = "fixed|learned")]
    pub weighted_pooling: Option<String>,
    #[command(flatten)]
    pub tables: CompressionFlags,
    /// What is learned from: mse, bce, or wbce with --loss-weights.
    #[arg(long, value_enum, default_value_t = LossFunction::Mse)]
    pub loss_function: LossFunction,
    /// The weight of a sample of class 0 and of class 1.
    #[arg(long, value_name = "W0-W1", default_value_t = LossWeights([1.0, 1.0]))]
    pub loss_weights: LossWeights,
    /// Limits probabilities to between this and 1 - this, in training and testing; outside of 0 to 1 it does nothing.
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = finite, allow_negative_numbers = true)]
    pub loss_threshold: f64,
    /// Labels 0 and 1 instead of numbers between; any value but none means yes.
    #[arg(long, value_name = "BOOL", default_value = "")]
    pub round_targets: Bool,
}

/// The data.
#[derive(Args)]
pub struct DataFlags {
    /// Samples in all.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32))]
    pub data_size: u32,
    /// So many full batches, whatever --data-size says; 0 for as many as it fills.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32))]
    pub num_batches: u32,
    /// Ids at random, or traces with the locality that --data-trace-file describes. (Criteo's rows:
    /// the examples criteo_kaggle and criteo_terabyte.)
    #[arg(long, value_enum, default_value_t = Generation::Random)]
    pub data_generation: Generation,
    /// How random ids are spread over a table.
    #[arg(long, value_enum, default_value_t = RandDist::Uniform)]
    pub rand_data_dist: RandDist,
    /// Lowest id of gaussian ones.
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    pub rand_data_min: f64,
    /// Highest id of gaussian ones.
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    pub rand_data_max: f64,
    /// Mean of gaussian ids; -1 for the middle between lowest and highest.
    #[arg(long, value_name = "X", default_value_t = -1.0, allow_negative_numbers = true)]
    pub rand_data_mu: f64,
    /// Standard deviation of gaussian ids.
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    pub rand_data_sigma: f64,
    /// Stack distances to make traces of; the last `j` of the file's name stands for the table's number.
    #[arg(long, value_name = "FILE", default_value = "./input/dist_emb_j.log")]
    pub data_trace_file: PathBuf,
    /// In a trace no new id once all have been; any value but none means yes.
    #[arg(long, value_name = "BOOL", default_value = "")]
    pub data_trace_enable_padding: Bool,
    /// Ids drawn for a table and sample at most; equal ones are merged.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=MOST_IDS))]
    pub num_indices_per_lookup: u32,
    /// Draw so many each time; any value but none means yes.
    #[arg(long, value_name = "BOOL", default_value = "")]
    pub num_indices_per_lookup_fixed: Bool,
}

/// Training, and what is printed.
#[derive(Args)]
pub struct RunFlags {
    /// Samples a batch.
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MOST_SAMPLES))]
    pub mini_batch_size: u32,
    /// Passes over the same data.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub nepochs: u32,
    /// The learning rate, before any policy.
    #[arg(long, value_name = "LR", default_value_t = 0.01, value_parser = finite, allow_negative_numbers = true)]
    pub learning_rate: f64,
    /// NumPy's seed, for data and initial values.
    #[arg(long, value_name = "SEED", default_value_t = 123)]
    pub numpy_rand_seed: u32,
    /// How gradients change parameters.
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    pub optimizer: OptimizerName,
    /// No training: the share of test samples that the initial values get right.
    #[arg(long)]
    pub inference_only: bool,
    /// A line every so many batches, besides after the last.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub print_freq: u32,
    /// Test every so many batches and after the last; no test from 0 down.
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    pub test_freq: i64,
    /// The mean time of a batch without making it; -1.00 is printed otherwise.
    #[arg(long)]
    pub print_time: bool,
    /// The time of day with each line.
    #[arg(long)]
    pub print_wall_time: bool,
    /// The shape of the model; and, as in the reference, all data is made before the initial values are drawn,
    /// which are others then.
    #[arg(long)]
    pub debug_mode: bool,
    /// A profile in a file that is named by the time: see --profile.
    #[arg(long)]
    pub enable_profiling: bool,
    /// Steps in which the learning rate rises from 0.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub lr_num_warmup_steps: u64,
    /// The step from which it falls.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub lr_decay_start_step: u64,
    /// Steps in which it falls, quadratically.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub lr_num_decay_steps: u64,
    /// Not in the reference: threads; 0 means one for each processor. The losses do not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub threads: u16,
    /// Not in the reference, where it is always so: testing moves the stream that the next training batches are drawn
    /// from. Without it they are what they would be without a test.
    #[arg(long)]
    pub shared_stream: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum InteractionOp {
    Dot,
    Cat,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum LossFunction {
    Mse,
    Bce,
    Wbce,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Generation {
    Random,
    Synthetic,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum RandDist {
    Uniform,
    Gaussian,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum OptimizerName {
    Sgd,
    Adagrad,
    Rwsadagrad,
}

/// Python's `bool` of a text: only the empty one is false.
#[derive(Clone)]
pub struct Bool {
    pub is_true: bool,
    /// A text that reads like no and means yes.
    pub looks_false: bool,
}

impl FromStr for Bool {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let looks_false = ["false", "no", "0"].contains(&text.to_lowercase().as_str());
        Ok(Bool { is_true: !text.is_empty(), looks_false })
    }
}

/// Rows of each table, with dashes between.
#[derive(Clone)]
pub struct TableRows(pub Vec<usize>);

impl FromStr for TableRows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rows = |w: &str| w.parse::<u64>().ok().filter(|&w| (1..=1 << 32).contains(&w)).map(|w| w as usize);
        let rows = text.split('-').map(rows).collect::<Option<Vec<_>>>();
        rows.map(TableRows)
            .ok_or_else(|| "expected rows from 1 to 4294967296 with dashes between, such as 1000-500".into())
    }
}

impl Display for TableRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(usize::to_string).collect::<Vec<_>>().join("-"))
    }
}

/// The weights of the two classes.
#[derive(Clone)]
pub struct LossWeights(pub [f32; 2]);

impl FromStr for LossWeights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let weights = text.split('-').map(|w| w.parse().ok().filter(|w: &f32| w.is_finite()));
        let weights = weights.collect::<Option<Vec<f32>>>().and_then(|weights| weights.try_into().ok());
        weights.map(LossWeights).ok_or_else(|| "expected two numbers with a dash between, such as 0.5-2.0".into())
    }
}

impl Display for LossWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [negative, positive] = self.0;
        write!(f, "{negative:?}-{positive:?}")
    }
}

fn finite(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(|| "expected a finite number".into())
}
