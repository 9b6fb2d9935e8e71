//! Where a run stands between two steps, so that it can be kept and gone on with.

use super::best::Best;
use super::guard::{OnNan, Skips};
use super::options::TrainOptions;
use super::report::Record;
use super::trainer::Trainer;
use crate::buffer::Buffer;
use crate::checkpoint::{BEST, Checkpoint, NamedTensor, OPTIMIZER, parameters, tensors};
use crate::data::source::Position;
use crate::error::{Error, Result};
use crate::nn::{Model, ShardedEmbeddings};
use crate::optim::Optimizer;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A name and a value of what a run's result depends on, such as `--batch-size` and `128`.
pub type Setting = (String, String);

/// Everything of a run that is no tensor. Random numbers are none of it: those of dropout are a function of the seed and
/// the step, and the order of rows one of the seed and the position.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunState {
    /// Of whoever runs the trainer, of the trainer, and of the sources and the schedule.
    pub settings: [Vec<Setting>; 3],
    pub steps: u64,
    /// Where the training rows go on.
    pub position: Position,
    pub pass: PassState,
    /// Time that steps have waited for batches.
    pub waited: Duration,
    pub records: Vec<Record>,
    pub best: Option<Record>,
    /// Tests since the best one.
    pub since_best: u64,
    pub skips: Skips,
}

/// The bookkeeping of a pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PassState {
    pub epoch: u64,
    pub rows: usize,
    /// Rows of steps that were left out.
    pub left_out: usize,
    pub loss_sum: f64,
    /// Time trained in earlier passes, and in this one.
    pub before: Duration,
    pub trained: Duration,
}

impl RunState {
    /// Whether a run may have come to its numbers, so that it can go on counting.
    fn is_sane(&self) -> bool {
        /// Steps, rows or seconds that no run takes.
        const MOST: u64 = 1 << 50;
        let PassState { epoch, rows, left_out, loss_sum, before, trained } = self.pass;
        let (Position { pass, rows: place }, Skips { total, in_a_row }) = (self.position, self.skips);
        let counts = [self.steps, self.since_best, epoch, rows as u64, left_out as u64, pass, place, total, in_a_row];
        let times = [before, trained, self.waited].map(|time| time.as_secs());
        epoch > 0 && loss_sum.is_finite() && counts.into_iter().chain(times).all(|count| count < MOST)
    }
}

/// What [`Trainer::resume`] has read, for the training loop to go on with.
#[derive(Debug)]
pub(super) struct Resumed {
    pub state: RunState,
    pub best: Best,
}

/// Compares what a run's result depends on, as it was and as it is.
///
/// # Errors
/// What is wrong, if anything is: the first name, and both values.
pub(super) fn check_settings(saved: &[Setting], now: &[Setting]) -> Result<(), String> {
    let value = |settings: &[Setting], name: &str| {
        settings.iter().find(|(other, _)| other == name).map_or("none".into(), |(_, value)| value.clone())
    };
    for (name, _) in now.iter().chain(saved) {
        let [saved, now] = [saved, now].map(|settings| value(settings, name));
        if saved != now {
            return Err(format!(
                "was saved with {name} {saved}, and this run has {now}: to go on it has to be the same"
            ));
        }
    }
    Ok(())
}

/// The optimizer's state as tensors. Its names are `optimizer.first.` and `optimizer.second.` before that of the
/// parameter; its shape is that of the parameter, or one number a row. A part says where it is: among the first and second
/// ones of [`Optimizer::states`].
fn state_tensors(
    params: &Parameters,
    shards: Option<&ShardedEmbeddings>,
    optimizer: &Optimizer,
) -> Vec<NamedTensor<usize>> {
    let dense = params.dense().len();
    let parameters = parameters(params, shards);
    let tables = parameters.len() - dense;
    let states = parameters.iter().enumerate().flat_map(|(i, parameter)| {
        let numbers = parameter.numbers();
        let lens = match i < tables {
            true => optimizer.rule().state_lens(true, numbers / parameter.width(), parameter.width()),
            false => optimizer.rule().state_lens(false, numbers, 1),
        };
        ["first", "second"].into_iter().zip(lens).enumerate().filter(|&(_, (_, len))| len > 0).map(
            move |(which, (name, len))| {
                let state = parameter.called(format!("{OPTIMIZER}{name}.{}", parameter.name), |&p| 2 * p + which);
                if len == numbers { state } else { state.of_rows() }
            },
        )
    });
    states.collect()
}

impl<M: Model> Trainer<M> {
    /// What the result depends on, as far as this trainer knows.
    pub(super) fn settings(&self) -> Vec<Setting> {
        // A run that a bad batch has stopped may go on without that batch.
        let options = TrainOptions { on_nan: OnNan::Stop, ..self.options };
        let setting = |name: &str, value: &dyn std::fmt::Debug| (name.into(), format!("{value:?}"));
        vec![
            setting("the optimizer's rule", &self.optimizer.rule()),
            setting("the learning-rate policy", &self.policy),
            setting("the loss", &self.loss),
            setting("the training options", &options),
        ]
    }

    /// Everything of a run that is made of numbers: the model under its own names, as other readers expect it, the
    /// optimizer's state, and the best parameters.
    pub(super) fn run_tensors<'a>(&'a self, best: &'a Best) -> Vec<NamedTensor<&'a [f32]>> {
        let (params, shards) = (&self.params, self.model.shards());
        let states: Vec<&[f32]> =
            self.optimizer.states().flat_map(|s| [&s.first, &s.second]).map(Buffer::as_slice).collect();
        let mut all = tensors(params, shards);
        all.extend(state_tensors(params, shards, &self.optimizer).iter().map(|tensor| tensor.map(|&i| states[i])));
        all.extend(best.tensors(&parameters(params, shards)));
        all
    }

    /// Bytes of the copy that is made of the parameters and the optimizer's state when a checkpoint is saved, and kept
    /// for the next save; with [`patience`](super::Stopping::patience) of the best parameters as well.
    pub fn checkpoint_bytes(&self) -> u64 {
        let bytes = |values: usize| (size_of::<f32>() * values) as u64;
        let parameters = bytes(self.params.count());
        let state: u64 = self.optimizer.states().map(|s| bytes(s.first.len() + s.second.len())).sum();
        let copies = if self.options.stopping.patience.is_some() { 2 } else { 1 };
        copies * parameters + state
    }

    /// Makes the next [`train`](Self::train) go on where the run in `file` was when it was saved. The parameters must
    /// have been [read](Checkpoint::read) from the same file.
    ///
    /// # Errors
    /// [`Error::File`] if the file is no checkpoint of a run, if that had another rule, learning-rate policy, loss or
    /// other options, or if the optimizer's state is damaged; [`Error::Io`].
    pub fn resume(&mut self, file: &mut Checkpoint) -> Result<()> {
        let state: RunState = file.run()?;
        if !state.is_sane() || state.steps != file.step()? {
            return Err(Error::file(file.path(), "the metadata's \"run\" has numbers that no run comes to"));
        }
        check_settings(&state.settings[1], &self.settings()).map_err(|message| Error::file(file.path(), message))?;
        let shards = self.model.shards();
        let comm = shards.map(|shards| &**shards.comm());
        let tensors = state_tensors(&self.params, shards, &self.optimizer);
        tensors.iter().try_for_each(|tensor| file.check_tensor(tensor))?;
        let mut buffers: Vec<_> =
            self.optimizer.states_mut().flat_map(|state| [&mut state.first, &mut state.second]).collect();
        file.fill(&tensors, comm, |i, fill| fill(buffers[i].as_mut_slice()))?;
        let mut best = Best::new(self.options.stopping);
        best.resume(file, (&self.model, &self.params), (state.best.clone(), state.since_best))?;
        (self.steps, self.skips) = (state.steps, state.skips);
        self.optimizer.set_steps(state.steps);
        self.resumed = Some(Box::new(Resumed { state, best }));
        Ok(())
    }
}

/// The name of a parameter's best value.
pub(super) fn best_name(parameter: &str) -> String {
    format!("{BEST}{parameter}")
}
