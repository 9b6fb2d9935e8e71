//! The model beside what ranks of this machine do.

use super::Args;
use super::support::columns::print_columns;
use super::support::exchanges::all_to_all_ms;
use super::support::machine;
use super::support::ranks_flags::RanksFlags;
use super::support::ranks_step::{Steps, Timed, median_ms};
use super::support::{check_memory, cpu};
use dlrm::roofline::Cost;
use dlrm::roofline::ranks::{Network, RanksStep, StepParts, Worker};
use dlrm::{Error, Result};
use serde::Serialize;

/// The part that a prediction may be off, on a machine that nobody else uses.
pub const TOLERANCE: f64 = 0.25;

/// Ranks that are tried.
const RANKS: u16 = 2;

#[derive(Serialize)]
pub struct Check {
    /// All threads as one rank.
    pub worker: Worker,
    /// What connects threads.
    network: Network,
    /// The step of one rank, which the efficiency is from, and the same through the exchanges, which the packing is from.
    one_rank_ms: f64,
    one_sharded_rank_ms: f64,
    tolerance: f64,
    runs: Vec<Run>,
}

/// A run on two ranks.
#[derive(Serialize)]
struct Run {
    scaling: &'static str,
    batch: usize,
    predicted: StepParts,
    measured_ms: f64,
    /// How often as many samples a second as one rank.
    predicted_speedup: f64,
    measured_speedup: f64,
    within_tolerance: bool,
}

impl Check {
    /// Measures, in half a minute.
    pub fn measure(args: &Args) -> Result<Check> {
        let all = cpu(args.threads.into())?;
        if all.threads() < usize::from(RANKS) {
            return Err(Error::Config(format!("--threads {}: expected one a rank at the least, 2", all.threads())));
        }
        let (model, lookups) = args.config.model();
        let [batch, iters] = [args.batch_size, args.iters].map(|n| n as usize);
        let steps = |batch| Steps { model: model.clone(), lookups, batch, distinct: 8, warmup: 5, iters };
        check_memory("the tables of two models", 8.0 * model.num_parameters() as f64, &*all)?;
        let roofline = machine::measure(&[&*all]).pop().expect("one processor was given");
        let one_rank_ms = median_ms(&steps(batch).alone(&all)?);
        let efficiency = (roofline.step_ms(&Cost::of_step(&model, batch, lookups)) / one_rank_ms).min(1.0);

        let on = |ranks: u16, batch: usize| -> Result<(f64, [f64; 2])> {
            let flags = RanksFlags { ranks: Some(ranks), mpi: false };
            let ran = flags.run(|comm| {
                let cpu = cpu(flags.threads(&comm, all.threads())?)?;
                let Timed { times, .. } = steps(batch).run(&comm, &cpu)?;
                Ok((median_ms(&times), [all_to_all_ms(&comm, SMALL)?, all_to_all_ms(&comm, LARGE)?]))
            })?;
            Ok(ran.expect("all ranks are here"))
        };
        let (one_sharded_rank_ms, _) = on(1, batch)?;
        let mut worker = Worker { roofline, efficiency, packing_gbs: 1.0 };
        let free = Network { latency_us: 0.0, gbs: f64::MAX, by_cores: true };
        let predict = |ranks: u16, batch: usize, worker: &Worker, network: &Network| {
            let ranks = usize::from(ranks);
            let (config, placement) = (&model, &steps(batch).placement(ranks));
            RanksStep { config, lookups, batch, ranks, placement }.predict(worker, network)
        };
        // What the exchanges cost one rank, which moves nothing to others, is packing.
        let packing_ms = (one_sharded_rank_ms - one_rank_ms).max(0.01 * one_rank_ms);
        worker.packing_gbs = predict(1, batch, &worker, &free).packing / packing_ms;

        let (strong_ms, [small, large]) = on(RANKS, batch)?;
        let (weak_ms, _) = on(RANKS, usize::from(RANKS) * batch)?;
        let network = Network::measured(RANKS.into(), [SMALL, small], [LARGE, large], true);
        let share = Worker { roofline: worker.roofline.share(RANKS.into()), ..worker.clone() };
        let run = |scaling, factor: usize, measured_ms: f64| {
            let predicted = predict(RANKS, factor * batch, &share, &network);
            let speedup = |ms: f64| factor as f64 * one_rank_ms / ms;
            Run {
                scaling,
                batch: factor * batch,
                predicted,
                measured_ms,
                predicted_speedup: speedup(predicted.step),
                measured_speedup: speedup(measured_ms),
                within_tolerance: (predicted.step / measured_ms - 1.0).abs() <= TOLERANCE,
            }
        };
        let runs = vec![run("strong", 1, strong_ms), run("weak", RANKS.into(), weak_ms)];
        Ok(Check { worker, network, one_rank_ms, one_sharded_rank_ms, tolerance: TOLERANCE, runs })
    }

    pub fn print(&self) {
        let Worker { roofline, efficiency, packing_gbs } = &self.worker;
        println!(
            "this machine, {}: {:.0} GFLOP/s, {:.1} GB/s front to back; a step of one rank reaches {:.0} % of it; packing \
             {packing_gbs:.1} GB/s",
            machine::threads(roofline.threads),
            roofline.f32_gflops,
            roofline.read_gbs,
            100.0 * efficiency,
        );
        let Network { latency_us, gbs, .. } = self.network;
        println!("between its threads: {latency_us:.0} µs a message and {gbs:.1} GB/s a rank");
        println!(
            "one rank {:.3} ms a step, and {:.3} ms through the exchanges",
            self.one_rank_ms, self.one_sharded_rank_ms
        );
        println!();
        let header =
            ["2 ranks", "batch", "predicted, ms", "measured, ms", "off by", "speed-up, predicted", "measured", ""];
        let line = |run: &Run| {
            let off = format!("{:+.0} %", 100.0 * (run.predicted.step / run.measured_ms - 1.0));
            let verdict = if run.within_tolerance { "within" } else { "beyond" };
            vec![
                run.scaling.into(),
                run.batch.to_string(),
                format!("{:.3}", run.predicted.step),
                format!("{:.3}", run.measured_ms),
                off,
                format!("{:.2}", run.predicted_speedup),
                format!("{:.2}", run.measured_speedup),
                format!("{verdict} {:.0} %", 100.0 * self.tolerance),
            ]
        };
        print_columns(&header, &self.runs.iter().map(line).collect::<Vec<_>>());
        println!();
        let header = ["predicted parts, ms", "strong", "weak"];
        let part = |name: &str, ms: &dyn Fn(&StepParts) -> f64| {
            let figures = self.runs.iter().map(|run| format!("{:.3}", ms(&run.predicted)));
            std::iter::once(name.to_owned()).chain(figures).collect::<Vec<_>>()
        };
        let parts = [
            part("bottom MLP, both ways", &|p| p.bottom_forward + p.bottom_backward),
            part("interaction and top MLP, both ways", &|p| p.dense_forward + p.dense_backward),
            part("lookups", &|p| p.lookups),
            part("updates", &|p| p.update_tables + p.update_dense),
            part("ids", &|p| p.ids),
            part("vectors", &|p| p.vectors),
            part("gradients", &|p| p.gradients),
            part("all-reduce", &|p| p.all_reduce),
            part("packing", &|p| p.packing),
        ];
        print_columns(&header, &parts);
    }
}

/// Bytes of the two all-to-alls that a network is measured by.
const SMALL: f64 = 4096.0;
const LARGE: f64 = 4e6;
