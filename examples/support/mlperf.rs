//! Lines of MLPerf's log, in the format of its package `mllog`: the keys that the reference's
//! `dlrm_s_pytorch.py --mlperf-logging` has, and `eval_accuracy`, the AUC of each test, by MLPerf's rules. What a submission
//! alone can say (whose it is, that caches were cleared) is left out. The run begins with the first step: rows are read
//! before.

use super::flags::TrainFlags;
use dlrm::optim::schedule::LrPolicy;
use dlrm::train::{Observer, Progress, Record, Skips, Stopping};
use dlrm::{Error, Result};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Prints the lines of a run.
pub struct MlPerf {
    epochs: u64,
    target: Stopping,
    /// Rows of a pass, those of it that are done, and the pass that has begun, if one has.
    rows_in_epoch: usize,
    rows: usize,
    epoch: Option<u64>,
    /// Whether the last pass is over, and whether a test has reached what it was to reach.
    done: bool,
    reached: bool,
}

const POINT: &str = "POINT_IN_TIME";
const START: &str = "INTERVAL_START";
const END: &str = "INTERVAL_END";

/// Milliseconds since 1970.
fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// Milliseconds since 1970, `seconds` ago.
fn ago(seconds: f64) -> u64 {
    millis(SystemTime::now()).saturating_sub((1e3 * seconds) as u64)
}

fn print(time: u64, event: &str, key: &str, value: &Value, metadata: &Value) {
    println!(
        ":::MLLOG {{\"namespace\": \"\", \"time_ms\": {time}, \"event_type\": \"{event}\", \"key\": \"{key}\", \
         \"value\": {value}, \"metadata\": {metadata}}}"
    );
}

impl MlPerf {
    /// The lines before the first step of a run that was called at `began`.
    pub fn new(flags: &TrainFlags, policy: &LrPolicy, began: SystemTime) -> Self {
        let now = ago(0.0);
        let interval = |time, event, key| print(time, event, key, &Value::Null, &json!({}));
        interval(millis(began), START, "init_start");
        let batch_size = u64::from(flags.batch_size) * flags.options.grad_accum_iter;
        let settings = [
            ("submission_benchmark", json!("dlrm")),
            ("seed", json!(flags.seed)),
            ("global_batch_size", json!(batch_size)),
            ("opt_base_learning_rate", json!(policy.base)),
            ("opt_learning_rate_warmup_steps", json!(policy.warmup_steps)),
            ("sgd_opt_base_learning_rate", json!(policy.base)),
            ("lr_decay_start_steps", json!(policy.decay_start_step)),
            ("sgd_opt_learning_rate_decay_steps", json!(policy.decay_steps)),
            ("sgd_opt_learning_rate_decay_poly_power", json!(2)),
        ];
        settings.iter().for_each(|(key, value)| print(now, POINT, key, value, &json!({})));
        interval(now, END, "init_stop");
        interval(now, START, "run_start");
        let (epochs, target) = (flags.epochs, flags.options.options(flags.seed, &flags.loss).stopping);
        MlPerf { epochs, target, rows_in_epoch: 0, rows: 0, epoch: None, done: false, reached: false }
    }

    fn end_epoch(&mut self) {
        let Some(epoch) = self.epoch.take() else { return };
        print(ago(0.0), END, "epoch_stop", &Value::Null, &json!({ "epoch_num": epoch }));
        print(ago(0.0), END, "block_stop", &Value::Null, &json!({ "first_epoch_num": epoch }));
    }
}

impl Observer for MlPerf {
    fn on_step(&mut self, p: &Progress) {
        (self.rows, self.rows_in_epoch) = (p.rows, p.rows_in_epoch);
        if self.epoch == Some(p.epoch) {
            return;
        }
        self.end_epoch();
        self.epoch = Some(p.epoch);
        // This is its first batch, and the clock was read before it.
        let time = ago(p.rows as f64 / p.rows_per_s);
        let block = json!({ "first_epoch_num": p.epoch, "epoch_count": 1 });
        print(time, START, "block_start", &Value::Null, &block);
        print(time, START, "epoch_start", &Value::Null, &json!({ "epoch_num": p.epoch }));
    }

    fn on_skip(&mut self, p: &Progress, _: &Error, _: Skips) {
        self.rows = p.rows;
    }

    fn on_evaluation(&mut self, record: &Record) -> Result<()> {
        let share = self.rows as f64 / self.rows_in_epoch.max(1) as f64;
        let epoch = json!({ "epoch_num": record.epoch as f64 + share });
        print(ago(record.test_seconds), START, "eval_start", &Value::Null, &epoch);
        print(ago(0.0), POINT, "eval_accuracy", &json!(record.evaluation.auc), &epoch);
        print(ago(0.0), END, "eval_stop", &Value::Null, &epoch);
        let is_over = self.rows == self.rows_in_epoch;
        let Stopping { accuracy, auc, .. } = self.target;
        self.reached |= accuracy.is_some_and(|least| record.evaluation.accuracy >= least);
        self.reached |= auc.is_some_and(|least| record.evaluation.auc.is_some_and(|auc| auc >= least));
        self.done |= is_over && record.epoch == self.epochs;
        if is_over {
            self.end_epoch();
        }
        Ok(())
    }
}

impl Drop for MlPerf {
    /// The run is over, one way or another.
    fn drop(&mut self) {
        self.end_epoch();
        let has_target = self.target.accuracy.or(self.target.auc).is_some();
        let success = self.reached || (self.done && !has_target);
        let status = json!({ "status": if success { "success" } else { "aborted" } });
        print(ago(0.0), END, "run_stop", &Value::Null, &status);
    }
}
