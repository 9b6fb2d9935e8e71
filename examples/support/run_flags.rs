//! Flags about the checkpoints of a run, and how a run that has stopped goes on.

use super::checkpoint_flags::fits;
use super::flags::{Recipe, TrainFlags};
use super::model_flags::ModelConfig;
use super::ranks;
use clap::{Args, ValueEnum};
use dlrm::backend::Backend;
use dlrm::checkpoint::{Checkpoint, CheckpointDir};
use dlrm::comm::Communicator;
use dlrm::data::criteo::TimeSplit;
use dlrm::data::source::Samples;
use dlrm::nn::Model;
use dlrm::train::{Checkpoints, Setting};
use dlrm::{Batch, Error, Parameters, Result};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Args)]
pub struct RunFlags {
    /// Keep checkpoints of the run in this directory, for --resume: at the end of each pass, at each test that is the best
    /// so far, when interrupted, and every --save-every steps. They take a copy of the model in memory.
    #[arg(long, value_name = "DIR", conflicts_with = "inference_only")]
    pub checkpoint_dir: Option<PathBuf>,
    /// Save every so many steps as well.
    #[arg(long, value_name = "STEPS", requires = "checkpoint_dir")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub save_every: Option<u64>,
    /// How many checkpoints stay, the newest ones, beside that of the best test.
    #[arg(long, value_name = "N", default_value_t = 3, requires = "checkpoint_dir")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: u32,
    /// Go on from the newest good checkpoint, with the same flags (more --epochs train for longer), and end as if the run
    /// had never stopped; begin anew if there is none yet, so that one command serves for every start.
    #[arg(long, requires = "checkpoint_dir")]
    pub resume: bool,
}

/// A directory for checkpoints, and the one to go on from, if there is one.
pub struct Kept {
    dir: CheckpointDir,
    file: Option<Checkpoint>,
}

impl Kept {
    /// Steps that are done.
    pub fn step(&self) -> Result<u64> {
        self.file.as_ref().map_or(Ok(0), Checkpoint::step)
    }
}

/// What a run begins with.
pub struct Begun {
    pub config: ModelConfig,
    pub model: Box<dyn Model>,
    pub params: Parameters,
    pub checkpoints: Option<Checkpoints>,
    /// The checkpoint that it goes on from.
    pub file: Option<Checkpoint>,
}

impl RunFlags {
    /// What is wrong with the directory is said before any row is read.
    pub fn open(&self, comm: Option<&Arc<Communicator>>) -> Result<Option<Kept>> {
        let Some(path) = &self.checkpoint_dir else { return Ok(None) };
        let keep = NonZeroUsize::new(self.keep as usize).expect("1 or more");
        let dir = match comm {
            None => CheckpointDir::open(path, keep)?,
            Some(comm) => CheckpointDir::open_on_ranks(path, keep, comm.clone())?,
        };
        let is_first = ranks::is_first(comm);
        if !self.resume {
            return match dir.steps()?.last() {
                None => Ok(Some(Kept { dir, file: None })),
                Some(step) => Err(Error::file(
                    path,
                    format!(
                        "has checkpoints of a run until step {step}: --resume goes on from there, another directory begins anew"
                    ),
                )),
            };
        }
        let file = dir.newest(|e| {
            if is_first {
                eprintln!("warning: passed over {e}");
            }
        })?;
        if file.is_none() && is_first {
            eprintln!("no checkpoint in {} yet: beginning anew", path.display());
        }
        Ok(Some(Kept { dir, file }))
    }

    /// Tells what to do after a run was interrupted, if that is how it ended.
    pub fn tell(&self, error: &Error) {
        if let Error::Interrupted { .. } = error {
            eprintln!("{error}; {}", self.how_to_go_on());
        }
    }

    fn how_to_go_on(&self) -> String {
        let Some(dir) = &self.checkpoint_dir else {
            return "nothing was kept: --checkpoint-dir DIR keeps checkpoints to go on from".into();
        };
        let mut words: Vec<String> = std::env::args().map(|word| quoted(&word)).collect();
        if !self.resume {
            words.push("--resume".into());
        }
        format!("checkpoints are in {}; to go on:\n  {}", dir.display(), words.join(" "))
    }
}

/// A word of a command as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A model for `rows`: that of the run that goes on, or the one that the flags of models say. `plan` is called with its
/// shape before memory is taken for it.
pub fn begin(
    flags: &TrainFlags,
    recipe: &Recipe,
    backend: Arc<dyn Backend>,
    (rows, split): (&dyn Samples, &TimeSplit),
    kept: Option<Kept>,
    comm: Option<&Arc<Communicator>>,
    plan: &mut dyn FnMut(&ModelConfig) -> Result<()>,
) -> Result<Begun> {
    let group = (comm, flags.batch_size as usize);
    let new = || flags.model.config(flags.config(recipe, rows.num_embeddings())?);
    let (dir, file) = kept.map_or((None, None), |Kept { dir, file }| (Some(dir), file));
    let Some(mut file) = file else {
        let config = flags.checkpoint.shape(rows, new)?;
        plan(&config)?;
        let (config, model, params) = flags.checkpoint.model(backend, rows, flags.seed, group, || Ok(config))?;
        let checkpoints = dir.map(|dir| saving(flags, recipe, dir, &config, (rows, split))).transpose()?;
        return Ok(Begun { config, model, params, checkpoints, file: None });
    };
    let config = match &flags.checkpoint.load_model {
        Some(_) => ModelConfig::of(&file)?,
        None => new()?,
    };
    let checkpoints = saving(flags, recipe, dir.expect("the file is from there"), &config, (rows, split))?;
    checkpoints.check(&file)?;
    fits(file.path(), &config, &rows.num_embeddings())?;
    plan(&config)?;
    if ranks::is_first(comm) {
        eprintln!("going on from step {}, {}", file.step()?, file.path().display());
    }
    let (model, params) = file.read(backend, |params, stream| ranks::build(&config, group, params, stream))?;
    Ok(Begun { config, model, params, checkpoints: Some(checkpoints), file: Some(file) })
}

fn saving(
    flags: &TrainFlags,
    recipe: &Recipe,
    dir: CheckpointDir,
    config: &ModelConfig,
    (rows, split): (&dyn Samples, &TimeSplit),
) -> Result<Checkpoints> {
    let settings = settings(flags, recipe, (rows, split))?;
    let checkpoints = Checkpoints::new(dir, config, Some(rows.vocabulary_checksum()), settings);
    Ok(flags.run.save_every.into_iter().fold(checkpoints, Checkpoints::every))
}

/// Every flag that the result depends on, as it is after defaults; those of the model are in its config.
fn settings(flags: &TrainFlags, recipe: &Recipe, (rows, split): (&dyn Samples, &TimeSplit)) -> Result<Vec<Setting>> {
    let (policy, options) = (flags.policy(recipe, split.train().len())?, &flags.options);
    let load_model = flags.checkpoint.load_model.as_ref().map(|path| path.display().to_string());
    let pairs = [
        ("the number of rows", Some(rows.rows().to_string())),
        ("the checksum of some rows", Some(format!("{:08x}", checksum(rows)?))),
        ("--seed", Some(flags.seed.to_string())),
        ("--backend", Some(value(flags.backend.backend))),
        ("--f16", Some(flags.backend.f16.to_string())),
        ("--batch-size", Some(flags.batch_size.to_string())),
        ("--data-randomize", Some(value(flags.data_randomize))),
        ("--optimizer", Some(value(flags.optimizer))),
        ("--lr", Some(policy.base.to_string())),
        ("--lr-warmup-steps", Some(policy.warmup_steps.to_string())),
        ("--lr-decay-start-step", Some(policy.decay_start_step.to_string())),
        ("--lr-decay-steps", Some(policy.decay_steps.to_string())),
        ("--sparse-lr", options.sparse_lr.map(|x| x.to_string())),
        ("--grad-accum-iter", Some(options.grad_accum_iter.to_string())),
        ("--clip-norm", options.clip_norm.map(|x| x.to_string())),
        ("--l2-embeddings", options.l2_embeddings.map(|x| x.to_string())),
        ("--dropout", options.dropout.map(|x| x.to_string())),
        ("--acc-threshold", options.acc_threshold.map(|x| x.to_string())),
        ("--auc-threshold", options.auc_threshold.map(|x| x.to_string())),
        ("--patience", options.patience.map(|x| x.to_string())),
        ("--on-nan", Some(value(options.on_nan))),
        ("--loss-function", Some(value(flags.loss.loss_function))),
        ("--loss-threshold", Some(flags.loss.loss_threshold.to_string())),
        ("--test-freq", flags.test_freq.map(|x| x.to_string())),
        ("--full-test", Some(flags.full_test.to_string())),
        ("--validate", Some(flags.validate.to_string())),
        ("--load-model", load_model),
    ];
    Ok(pairs.into_iter().map(|(name, value)| (name.into(), value.unwrap_or_else(|| "none".into()))).collect())
}

fn value(name: impl ValueEnum) -> String {
    name.to_possible_value().map_or_else(String::new, |value| value.get_name().into())
}

/// A checksum of rows from all over the data: other rows are hardly the same there.
fn checksum(rows: &dyn Samples) -> Result<u32> {
    let some = rows.rows().min(256);
    let chosen: Vec<u64> = (0..some).map(|i| i * rows.rows() / some).collect();
    let mut batch = Batch::default();
    rows.fill(&chosen, &mut batch)?;
    let numbers = batch.labels.iter().chain(&batch.dense).map(|x| x.to_bits());
    let ids = batch.sparse.iter().flat_map(|list| list.values().iter().copied());
    let bytes: Vec<u8> = numbers.chain(ids).flat_map(u32::to_le_bytes).collect();
    Ok(crc32fast::hash(&bytes))
}
