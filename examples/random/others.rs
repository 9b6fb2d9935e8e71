//! Flags of the reference that do nothing for random data, or nothing here: accepted with a word about it, or
//! refused with what to do instead.

use clap::Args;
use dlrm::{Error, Result};

/// Flags that are elsewhere, or nowhere.
#[derive(Args)]
pub struct OtherFlags {
    #[arg(long, hide = true)]
    activation_function: Option<String>,
    #[arg(long, hide = true)]
    data_set: Option<String>,
    #[arg(long, hide = true)]
    raw_data_file: Option<String>,
    #[arg(long, hide = true)]
    processed_data_file: Option<String>,
    #[arg(long, hide = true)]
    data_randomize: Option<String>,
    #[arg(long, hide = true, allow_negative_numbers = true)]
    max_ind_range: Option<i64>,
    #[arg(long, hide = true)]
    data_sub_sample_rate: Option<f64>,
    #[arg(long, hide = true)]
    num_workers: Option<i64>,
    #[arg(long, hide = true)]
    memory_map: bool,
    #[arg(long, hide = true)]
    print_precision: Option<i64>,
    #[arg(long, hide = true)]
    sync_dense_params: Option<String>,
    #[arg(long, hide = true)]
    dataset_multiprocessing: bool,
    #[arg(long, hide = true)]
    use_gpu: bool,
    #[arg(long = "local_rank", hide = true, allow_negative_numbers = true)]
    local_rank: Option<i64>,
    #[arg(long, hide = true)]
    dist_backend: Option<String>,
    #[arg(long, hide = true, allow_negative_numbers = true)]
    test_mini_batch_size: Option<i64>,
    #[arg(long, hide = true, allow_negative_numbers = true)]
    test_num_workers: Option<i64>,
    #[arg(long, hide = true)]
    plot_compute_graph: bool,
    #[arg(long, hide = true)]
    tensor_board_filename: Option<String>,
    #[arg(long, hide = true)]
    mlperf_logging: bool,
    #[arg(long, hide = true)]
    mlperf_acc_threshold: Option<f64>,
    #[arg(long, hide = true)]
    mlperf_auc_threshold: Option<f64>,
    #[arg(long, hide = true)]
    mlperf_bin_loader: bool,
    #[arg(long, hide = true)]
    mlperf_bin_shuffle: bool,
    #[arg(long, hide = true)]
    mlperf_grad_accum_iter: Option<i64>,
}

impl OtherFlags {
    /// Refuses what would change the result and is not done.
    pub fn refuse(&self) -> Result<()> {
        let refused = [
            (
                self.mlperf_logging,
                "--mlperf-logging: random's ids have no quality to reach; criteo_kaggle and criteo_terabyte print MLPerf's \
                 log",
            ),
            (
                self.plot_compute_graph,
                "--plot-compute-graph: no graph is drawn, nor by the reference's PyTorch program; --debug-mode shows \
                 the model's shape",
            ),
        ];
        match refused.into_iter().find(|&(given, _)| given) {
            Some((_, message)) => Err(Error::Config(message.into())),
            None => Ok(()),
        }
    }

    /// Lines about what was accepted and does nothing, or not what someone may expect; `unused` are flags of the model
    /// that do nothing either.
    pub fn notes(&self, unused: impl Iterator<Item = &'static str>) -> Vec<String> {
        let mut notes = Vec::new();
        let others = self.without_effect().into_iter().filter(|&(given, _)| given).map(|(_, flag)| flag);
        let without_effect: Vec<&str> = unused.chain(others).collect();
        if !without_effect.is_empty() {
            notes.push(format!("no effect on random data, as in the reference: {}", without_effect.join(", ")));
        }
        let told = [
            (self.use_gpu, "--use-gpu: this runs on the processor, on --threads threads; others have --backend wgpu"),
            (
                self.dist_backend.is_some() || self.local_rank.is_some(),
                "--dist-backend, --local_rank: one process does all the work, on --threads threads",
            ),
            (
                self.tensor_board_filename.is_some(),
                "--tensor-board-filename: nothing is written for TensorBoard; the lines printed have all figures",
            ),
        ];
        notes.extend(told.into_iter().filter(|&(given, _)| given).map(|(_, note)| note.to_owned()));
        notes
    }

    /// Whether each of the flags was given that mean nothing in the reference's random mode.
    fn without_effect(&self) -> [(bool, &'static str); 19] {
        [
            (self.activation_function.as_ref().is_some_and(|name| name != "relu"), "--activation-function"),
            (self.data_set.is_some(), "--data-set"),
            (self.raw_data_file.is_some(), "--raw-data-file"),
            (self.processed_data_file.is_some(), "--processed-data-file"),
            (self.data_randomize.is_some(), "--data-randomize"),
            (self.max_ind_range.is_some(), "--max-ind-range"),
            (self.data_sub_sample_rate.is_some(), "--data-sub-sample-rate"),
            (self.num_workers.is_some(), "--num-workers"),
            (self.memory_map, "--memory-map"),
            (self.print_precision.is_some(), "--print-precision"),
            (self.sync_dense_params.is_some(), "--sync-dense-params"),
            (self.dataset_multiprocessing, "--dataset-multiprocessing"),
            (self.test_mini_batch_size.is_some(), "--test-mini-batch-size"),
            (self.test_num_workers.is_some(), "--test-num-workers"),
            (self.mlperf_acc_threshold.is_some(), "--mlperf-acc-threshold"),
            (self.mlperf_auc_threshold.is_some(), "--mlperf-auc-threshold"),
            (self.mlperf_bin_loader, "--mlperf-bin-loader"),
            (self.mlperf_bin_shuffle, "--mlperf-bin-shuffle"),
            (self.mlperf_grad_accum_iter.is_some(), "--mlperf-grad-accum-iter"),
        ]
    }
}
