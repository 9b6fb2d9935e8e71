//! A run on ranks: what is left to each, and what to the first.

use super::backend_flags::BackendName;
use super::flags::TrainFlags;
use super::given_flags;
use super::model_flags::{ModelConfig, ModelName};
use dlrm::comm::Communicator;
use dlrm::nn::{Dlrm, Model, Placement, PlanOptions, TableLoad};
use dlrm::train::Observer;
use dlrm::{Error, Parameters, Result, Stream};
use std::sync::Arc;

/// Whether this is the rank that prints and writes: there is one always.
pub fn is_first(comm: Option<&Arc<Communicator>>) -> bool {
    comm.is_none_or(|comm| comm.rank() == 0)
}

/// The number of this rank, and how many there are.
pub fn of(comm: Option<&Arc<Communicator>>) -> [usize; 2] {
    comm.map_or([0, 1], |comm| [comm.rank(), comm.size()])
}

/// What is wrong with the flags beside those of ranks, if those are given.
pub fn check(flags: &TrainFlags) -> Result<()> {
    let Some(ranks) = flags.ranks.given() else { return Ok(()) };
    let others = [
        ("--backend wgpu", flags.backend.backend == BackendName::Wgpu),
        ("--model dcn", flags.model.model == ModelName::Dcn),
        ("--qr-flag", flags.model.tables.qr_flag),
        ("--md-flag", flags.model.tables.md_flag),
        ("--quantize-emb-with-bit, --quantize-mlp-with-bit", flags.quantize.quantization().is_some()),
        ("--profile", flags.profile.profile.is_some()),
        ("--report", flags.watch.report.is_some()),
        ("--histograms", flags.watch.histograms),
    ];
    match others.into_iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Error::Config(format!("{flag}: expected no {ranks} beside it"))),
        None => Ok(()),
    }
}

/// The ranks, if there are any, and the samples of a batch.
pub type Group<'a> = (Option<&'a Arc<Communicator>>, usize);

/// This rank's part of a model, or a whole one if there are no ranks.
pub fn build(
    config: &ModelConfig,
    (comm, batch): Group<'_>,
    params: &mut Parameters,
    stream: &mut Stream,
) -> Result<Box<dyn Model>> {
    let Some(comm) = comm else { return config.build(params, stream) };
    let ModelConfig::Dlrm(dlrm) = config else {
        return Err(Error::Config(format!("{}: expected a DLRM or DCN-v2 on ranks", config.title())));
    };
    // What they are told apart from that does not matter.
    let flags = given_flags().iter().filter(|(flag, _)| !["--threads", "--log"].contains(&flag.as_str()));
    let lines: Vec<_> = flags.map(|(flag, value)| format!("{flag} {value}")).collect();
    comm.agree("command", &lines.join("\n"))?;
    // Rows in Criteo's format have an id in each column.
    let load = |&num_embeddings: &usize| TableLoad { num_embeddings, lookups: 1.0 };
    let loads: Vec<_> = dlrm.num_embeddings.iter().map(load).collect();
    let options = PlanOptions { samples: batch / comm.size(), ..PlanOptions::default() };
    let placement = Placement::plan_with(&loads, dlrm.embedding_dim, comm.size(), &options)?;
    Ok(Box::new(Dlrm::sharded(dlrm, placement, comm.clone(), params, stream)?))
}

/// Prints what the ranks exchanged.
pub fn print_traffic(comm: &Communicator) {
    for (kind, traffic) in comm.traffic() {
        let [time, waited] = [traffic.time, traffic.waited].map(|time| time.as_secs_f64());
        eprintln!(
            "rank 0 of {}: {} times {kind}, {:.1} MB to others, {time:.1} s, of that {waited:.1} s waited for",
            comm.size(),
            traffic.exchanges,
            1e-6 * traffic.bytes as f64
        );
    }
}

/// Watches a run on a rank that is not the first: asked for the end, it says so.
pub struct Quiet;

impl Observer for Quiet {
    fn interrupted(&self) -> bool {
        super::signals::interrupted()
    }
}
