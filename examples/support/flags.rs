//! The flags of the examples that train.

use super::backend_flags::BackendFlags;
use super::change_flags::BucketFlag;
use super::checkpoint_flags::CheckpointFlags;
use super::files::check_apart;
use super::loss_flags::LossFlags;
use super::model_flags::ModelFlags;
use super::options::OptionFlags;
use super::profile::ProfileFlags;
use super::quantize::QuantizeFlags;
use super::ranks_flags::RanksFlags;
use super::run_flags::RunFlags;
use super::watch_flags::WatchFlags;
use super::{Widths, positive};
use clap::{Args, ValueEnum};
use dlrm::backend::Interaction;
use dlrm::data::criteo::{BadRows, DENSE_FEATURES};
use dlrm::data::source::Order;
use dlrm::nn::DlrmConfig;
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::{Error, Result};
use std::path::PathBuf;

/// What depends on more than one flag, and differs between the reference's runs.
pub struct Recipe {
    /// The bottom MLP's widths between the dense features and the embedding dim.
    pub hidden: &'static [usize],
    /// Learning rate of plain SGD.
    pub sgd_lr: f64,
}

/// How to train; the defaults are those of the reference's Kaggle run.
#[derive(Args)]
pub struct TrainFlags {
    /// How gradients change parameters.
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    pub optimizer: OptimizerName,
    /// Learning rate [default: 0.1 for sgd, 0.02 for adagrad and rowwise-adagrad, 0.001 for adam].
    #[arg(long, value_parser = positive)]
    pub lr: Option<f64>,
    /// Rows a batch.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub batch_size: u32,
    /// Passes over the training rows.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub epochs: u64,
    /// The length of an embedding.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    #[arg(conflicts_with = "load_model")]
    pub embedding_dim: u32,
    /// Widths of the bottom MLP from the 13 dense features to the embedding dim [default:
    /// 13-512-256-64-(embedding dim)].
    #[arg(long, value_name = "WIDTHS", conflicts_with = "load_model")]
    pub bottom_mlp: Option<Widths>,
    /// Widths of the top MLP after the interaction.
    #[arg(long, value_name = "WIDTHS", default_value_t = Widths(vec![512, 256, 1]))]
    #[arg(conflicts_with = "load_model")]
    pub top_mlp: Widths,
    /// How the vectors of a row meet.
    #[arg(long, value_enum, default_value_t = InteractionName::Dot, conflicts_with = "load_model")]
    pub interaction: InteractionName,
    #[command(flatten)]
    pub model: ModelFlags,
    #[command(flatten)]
    pub loss: LossFlags,
    /// What is shuffled, anew in each pass: nothing, the rows of each day, or all rows.
    #[arg(long, value_enum, default_value_t = Randomize::Total)]
    pub data_randomize: Randomize,
    /// Seed of initial values, of the order of rows and of generated rows.
    #[arg(long, default_value_t = 123)]
    pub seed: u64,
    /// Threads; 0 means one for each processor. The result does not depend on it.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub threads: u16,
    #[command(flatten)]
    pub backend: BackendFlags,
    #[command(flatten)]
    pub ranks: RanksFlags,
    /// Test every so many steps, besides at the end of each pass.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub test_freq: Option<u64>,
    /// Test on the whole last day, not on its first half as the reference does.
    #[arg(long)]
    pub full_test: bool,
    /// Steps in which the learning rate rises from 0.
    #[arg(long, default_value_t = 0)]
    pub lr_warmup_steps: u64,
    /// The step from which it falls.
    #[arg(long, default_value_t = 0, requires = "lr_decay_steps")]
    pub lr_decay_start_step: u64,
    /// Steps in which it falls, quadratically.
    #[arg(long, default_value_t = 0)]
    pub lr_decay_steps: u64,
    /// The share of all steps, the last ones, in which it falls instead, whatever their number [default: none].
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with_all = ["lr_decay_start_step", "lr_decay_steps"])]
    pub lr_decay_last: Option<f64>,
    /// Ids seen fewer times in the training days share a row of their table [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub min_count: Option<u32>,
    /// Pass over bad rows and count them, instead of stopping at the first.
    #[arg(long)]
    pub skip_bad_rows: bool,
    /// A file to write one JSON object a line to, for each evaluation.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Leave the last day alone, and test on the last training day instead: to choose a recipe by.
    #[arg(long)]
    pub validate: bool,
    #[command(flatten)]
    pub buckets: BucketFlag,
    #[command(flatten)]
    pub options: OptionFlags,
    #[command(flatten)]
    pub quantize: QuantizeFlags,
    #[command(flatten)]
    pub profile: ProfileFlags,
    #[command(flatten)]
    pub watch: WatchFlags,
    #[command(flatten)]
    pub checkpoint: CheckpointFlags,
    #[command(flatten)]
    pub run: RunFlags,
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|p| (0.0..=1.0).contains(p));
    number.ok_or_else(|| "expected a share from 0 to 1".into())
}

#[derive(Clone, Copy, ValueEnum)]
pub enum OptimizerName {
    Sgd,
    Adagrad,
    RowwiseAdagrad,
    Adam,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum InteractionName {
    Dot,
    DotItself,
    Cat,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Randomize {
    None,
    Day,
    Total,
}

impl Randomize {
    pub fn order(self, seed: u64) -> Order {
        match self {
            Randomize::None => Order::InOrder,
            Randomize::Day => Order::ShuffledByDay(seed),
            Randomize::Total => Order::Shuffled(seed),
        }
    }
}

impl TrainFlags {
    pub fn rule(&self) -> UpdateRule {
        match self.optimizer {
            OptimizerName::Sgd => UpdateRule::Sgd,
            OptimizerName::Adagrad => UpdateRule::ADAGRAD,
            OptimizerName::RowwiseAdagrad => UpdateRule::ROW_WISE_ADAGRAD,
            OptimizerName::Adam => UpdateRule::ADAM,
        }
    }

    /// The policy of a run over `rows` rows a pass.
    pub fn policy(&self, recipe: &Recipe, rows: usize) -> Result<LrPolicy> {
        let default = match self.optimizer {
            OptimizerName::Sgd => recipe.sgd_lr,
            OptimizerName::Adagrad | OptimizerName::RowwiseAdagrad => 0.02,
            OptimizerName::Adam => 0.001,
        };
        let mut policy = LrPolicy {
            base: self.lr.unwrap_or(default),
            warmup_steps: self.lr_warmup_steps,
            decay_start_step: self.lr_decay_start_step,
            decay_steps: self.lr_decay_steps,
            stall: false,
        };
        if let Some(share) = self.lr_decay_last {
            let steps = self.steps(rows);
            policy.decay_steps = (share * steps as f64) as u64;
            // The first step of the decay still has the whole rate.
            policy.decay_start_step = steps - policy.decay_steps;
        }
        policy.validate()?;
        Ok(policy)
    }

    /// What is wrong with the files of the flags is said before any row of `data` is read.
    pub fn check_files(&self, data: &[PathBuf]) -> Result<()> {
        let CheckpointFlags { save_model, load_model, .. } = &self.checkpoint;
        let written = [&self.json, &self.profile.profile, &self.watch.report, &self.watch.log]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path);
        let read = data.iter().chain(load_model).map(PathBuf::as_path);
        check_apart(read, written.clone())?;
        // A model may take the place of the one that it began as.
        check_apart(data.iter().map(PathBuf::as_path).chain(written), save_model.as_deref())
    }

    /// Steps of a run over `rows` rows a pass.
    fn steps(&self, rows: usize) -> u64 {
        let batches = (rows as u64).div_ceil(self.batch_size.into());
        self.epochs.saturating_mul(batches.div_ceil(self.options.grad_accum_iter))
    }

    pub fn order(&self) -> Order {
        self.data_randomize.order(self.seed)
    }

    pub fn bad_rows(&self) -> BadRows {
        if self.skip_bad_rows { BadRows::Skip } else { BadRows::Stop }
    }

    pub fn config(&self, recipe: &Recipe, num_embeddings: Vec<usize>) -> Result<DlrmConfig> {
        let dim = self.embedding_dim as usize;
        let bottom = match &self.bottom_mlp {
            Some(Widths(widths)) => widths.clone(),
            None => [&[DENSE_FEATURES], recipe.hidden, &[dim]].concat(),
        };
        if bottom[0] != DENSE_FEATURES {
            let widths = Widths(bottom);
            return Err(Error::Config(format!(
                "--bottom-mlp {widths}: the first width is expected to be {DENSE_FEATURES}, the dense features"
            )));
        }
        let config = DlrmConfig {
            embedding_dim: dim,
            bottom_mlp: bottom[1..].to_vec(),
            top_mlp: self.top_mlp.0.clone(),
            interaction: match self.interaction {
                InteractionName::Dot => Interaction::Dot,
                InteractionName::DotItself => Interaction::DotItself,
                InteractionName::Cat => Interaction::Cat,
            },
            ..DlrmConfig::criteo_kaggle(num_embeddings)
        };
        config.validate()?;
        Ok(config)
    }
}
