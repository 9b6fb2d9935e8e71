//! From flags to what runs.

use crate::Args;
use crate::flags::{Generation, InteractionOp, LossFunction, ModelFlags, OptimizerName, RandDist, RunFlags};
use crate::support::Widths;
use dlrm::backend::{Interaction, LossKind, Pooling};
use dlrm::data::random::{Distribution, RandomBatches, RandomConfig};
use dlrm::data::trace::StackDistribution;
use dlrm::nn::{Compression, DlrmConfig, QrOperation, WeightedPooling};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::{Error, Result, Stream};
use std::path::{Path, PathBuf};

/// Ids of a table in a batch at most: a gigabyte.
const MOST_IDS: u64 = 1 << 28;

pub fn config(flags: &ModelFlags) -> Result<DlrmConfig> {
    let (Widths(bottom), Widths(top)) = (&flags.arch_mlp_bot, &flags.arch_mlp_top);
    let (dim, out) = (flags.arch_sparse_feature_size as usize, bottom[bottom.len() - 1]);
    let compression = flags.tables.compression();
    // Quotients beside remainders are vectors of twice the length.
    let concat = matches!(compression, Some(Compression::QuotientRemainder { operation: QrOperation::Concat, .. }));
    let (expected, twice) = if concat { (2 * dim, "twice ") } else { (dim, "") };
    if out != expected {
        let bottom = &flags.arch_mlp_bot;
        return Err(Error::Config(format!(
            "--arch-mlp-bot {bottom}: the last width, {out}, is expected to be {twice}--arch-sparse-feature-size, {dim}"
        )));
    }
    if top[top.len() - 1] != 1 {
        let top = &flags.arch_mlp_top;
        return Err(Error::Config(format!("--arch-mlp-top {top}: the last width is expected to be 1, the logit")));
    }
    let config = DlrmConfig {
        dense_features: bottom[0],
        num_embeddings: flags.arch_embedding_size.0.clone(),
        embedding_dim: out,
        bottom_mlp: bottom[1..].to_vec(),
        top_mlp: top.clone(),
        interaction: match flags.arch_interaction_op {
            InteractionOp::Cat => Interaction::Cat,
            InteractionOp::Dot if flags.arch_interaction_itself => Interaction::DotItself,
            InteractionOp::Dot => Interaction::Dot,
        },
        pooling: Pooling::Sum,
        weighted_pooling: flags.weighted_pooling.as_deref().map(|kind| match kind {
            "fixed" => WeightedPooling::Fixed,
            _ => WeightedPooling::Learned,
        }),
        cross: None,
        compression,
    };
    config.validate()?;
    Ok(config)
}

pub fn policy(flags: &RunFlags) -> Result<LrPolicy> {
    let RunFlags { lr_num_warmup_steps: warmup, lr_decay_start_step: start, .. } = flags;
    if start < warmup {
        let message = format!("--lr-num-warmup-steps {warmup} must not exceed --lr-decay-start-step {start}");
        return Err(Error::Config(message));
    }
    Ok(LrPolicy {
        base: flags.learning_rate,
        warmup_steps: *warmup,
        decay_start_step: *start,
        decay_steps: flags.lr_num_decay_steps,
        stall: true, // the losses are to be the reference's
    })
}

pub fn rule(flags: &RunFlags) -> UpdateRule {
    match flags.optimizer {
        OptimizerName::Sgd => UpdateRule::Sgd,
        OptimizerName::Adagrad => UpdateRule::ADAGRAD,
        OptimizerName::Rwsadagrad => UpdateRule::ROW_WISE_ADAGRAD,
    }
}

pub fn loss(flags: &ModelFlags) -> LossKind {
    match flags.loss_function {
        LossFunction::Mse => LossKind::Mse,
        LossFunction::Bce => LossKind::BCE,
        LossFunction::Wbce => LossKind::Bce { class_weights: flags.loss_weights.0 },
    }
}

/// What the trainer takes: the reference ignores what is no share.
pub fn loss_threshold(flags: &ModelFlags) -> Result<f64> {
    match flags.loss_threshold {
        t if t <= 0.0 || t >= 1.0 => Ok(0.0),
        t if t < 0.5 => Ok(t),
        t => Err(Error::Config(format!("--loss-threshold {t}: nothing is between it and 1 - {t}, expected below 0.5"))),
    }
}

pub fn data(args: &Args) -> Result<RandomBatches> {
    let (data, run, model) = (&args.data, &args.run, &args.model);
    let ids = u64::from(run.mini_batch_size) * u64::from(data.num_indices_per_lookup);
    if ids > MOST_IDS {
        return Err(Error::Config(format!(
            "--mini-batch-size {} times --num-indices-per-lookup {}: {ids} ids, expected at most {MOST_IDS}",
            run.mini_batch_size, data.num_indices_per_lookup
        )));
    }
    let config = RandomConfig {
        dense_features: model.arch_mlp_bot.0[0],
        num_embeddings: model.arch_embedding_size.0.clone(),
        num_samples: data.data_size as usize,
        batch_size: run.mini_batch_size as usize,
        num_batches: data.num_batches as usize,
        num_indices_per_lookup: data.num_indices_per_lookup as usize,
        fixed: data.num_indices_per_lookup_fixed.is_true,
        distribution: distribution(args)?,
        round_targets: model.round_targets.is_true,
    };
    RandomBatches::new(config, Stream::numpy(run.numpy_rand_seed))
}

fn distribution(args: &Args) -> Result<Distribution> {
    let data = &args.data;
    if data.data_generation == Generation::Synthetic {
        let tables = 0..args.model.arch_embedding_size.0.len();
        let tables =
            tables.map(|t| StackDistribution::read(of_table(&data.data_trace_file, t))).collect::<Result<_>>()?;
        return Ok(Distribution::Synthetic { tables, padding: data.data_trace_enable_padding.is_true });
    }
    let (min, max) = (data.rand_data_min, data.rand_data_max);
    Ok(match data.rand_data_dist {
        RandDist::Uniform => Distribution::Uniform,
        RandDist::Gaussian => {
            let mean = if data.rand_data_mu == -1.0 { (max + min) / 2.0 } else { data.rand_data_mu };
            Distribution::Gaussian { min, max, mean, sd: data.rand_data_sigma }
        }
    })
}

/// The file of one table: its number in place of the name's last `j`. (The reference puts it in place of every `j`,
/// those of the folders too.)
fn of_table(path: &Path, table: usize) -> PathBuf {
    let name = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, extension) = (name(path.file_stem()), name(path.extension()));
    match stem.rsplit_once('j') {
        None => path.to_owned(),
        Some((before, after)) => path.with_file_name(format!("{before}{table}{after}")).with_extension(extension),
    }
}

/// Where the profile goes, if there is to be one; as in the reference `--enable-profiling` names the file by the time.
pub fn profile(args: &Args) -> Option<PathBuf> {
    let of_now = || chrono::Local::now().format("random%Y-%m-%d_%H:%M:%S%.6f.json").to_string().into();
    args.profile.profile.clone().or_else(|| args.run.enable_profiling.then(of_now))
}

/// What a value may be taken for, and is not.
pub fn notes(args: &Args) -> Vec<String> {
    let bools = [
        ("--round-targets", &args.model.round_targets),
        ("--num-indices-per-lookup-fixed", &args.data.num_indices_per_lookup_fixed),
        ("--data-trace-enable-padding", &args.data.data_trace_enable_padding),
    ];
    let misread = bools.into_iter().filter(|(_, value)| value.looks_false);
    let misread =
        misread.map(|(flag, _)| format!("{flag}: any text means yes, as in the reference; leave it out for no"));
    let tests = args.run.test_freq > 0 && !args.run.inference_only && !args.run.shared_stream;
    let stream = tests.then(|| {
        "--test-freq: testing leaves the training batches as they are; in the reference it changes those that follow, \
         as it does here with --shared-stream"
            .to_owned()
    });
    misread.chain(stream).collect()
}

/// The shape of the model, in the reference's words.
pub fn print_model(config: &DlrmConfig) {
    let listed = |widths: &[usize]| widths.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    let (interactions, tables) = (config.interaction_width(), &config.num_embeddings);
    println!("model arch:");
    println!("mlp top arch {} layers, with input to output dimensions:", config.top_mlp.len());
    println!("[{}]", listed(&[&[interactions], &config.top_mlp[..]].concat()));
    println!("# of interactions\n{interactions}");
    println!("mlp bot arch {} layers, with input to output dimensions:", config.bottom_mlp.len());
    println!("[{}]", listed(&[&[config.dense_features], &config.bottom_mlp[..]].concat()));
    println!("# of features (sparse and dense)\n{}", tables.len() + 1);
    println!("dense feature size\n{}", config.dense_features);
    println!("sparse feature size\n{}", config.embedding_dim);
    println!(
        "# of embeddings (= # of sparse features) {}, with dimensions {}x:\n[{}]",
        tables.len(),
        config.embedding_dim,
        listed(tables)
    );
}
