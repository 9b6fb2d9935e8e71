//! Steps whose loss or gradient is not finite: what is said of them, that they change nothing, and how they are left out.

use dlrm::backend::{Cpu, Interaction, LossKind};
use dlrm::data::source::{BatchSource, Position};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::parameters::Parameters;
use dlrm::train::{MAX_SKIPS_IN_A_ROW, Observer, OnNan, Progress, Record, Schedule, Skips, TrainOptions, Trainer};
use dlrm::{Batch, Error, JaggedTensor, Stream};
use std::sync::Arc;

/// Four samples of `x = value` in each dense feature; row `b` of each table in sample `b`, but row 1 of the last in all.
fn batch(value: f32) -> Batch {
    let each = JaggedTensor::one_per_bag(vec![0, 1, 2, 3]);
    let sparse = vec![each.clone(), each, JaggedTensor::one_per_bag(vec![1; 4])];
    Batch { dense: vec![value; 8], dense_features: 2, sparse, labels: vec![0.0; 4] }
}

fn trainer(interaction: Interaction, options: TrainOptions) -> Trainer<Dlrm> {
    let config = DlrmConfig {
        dense_features: 2,
        embedding_dim: 4,
        bottom_mlp: vec![4],
        top_mlp: vec![3, 1],
        interaction,
        ..DlrmConfig::criteo_kaggle(vec![5, 6, 7])
    };
    let mut params = Parameters::new(Arc::new(Cpu::new(2)));
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(8)).unwrap();
    let trainer = Trainer::new(model, params, UpdateRule::ADAM, LrPolicy::constant(0.01), LossKind::BCE);
    trainer.with_options(options).unwrap()
}

/// A parameter, and what to do to its numbers.
type Change<'a> = (&'a str, &'a dyn Fn(&mut [f32]));

/// The trainer, with other numbers in its parameters.
fn changed(interaction: Interaction, changes: &[Change]) -> Trainer<Dlrm> {
    let mut trainer = trainer(interaction, TrainOptions::default());
    let mut params = Parameters::new(trainer.params().backend().clone());
    Dlrm::new(trainer.model().config(), &mut params, &mut Stream::native(8)).unwrap();
    for (name, change) in changes {
        if let Some(table) = params.tables_mut().iter_mut().find(|t| t.name() == *name) {
            change(table.values_mut());
            continue;
        }
        let id = params.find_dense(name).expect(name);
        params.update(id, |value| change(value.as_mut_slice()));
    }
    trainer.replace_params(params);
    trainer
}

fn bits(params: &Parameters) -> Vec<u32> {
    let dense = params.dense().iter().flat_map(|p| p.value().as_slice());
    dense.chain(params.tables().iter().flat_map(|t| t.values())).map(|x| x.to_bits()).collect()
}

#[test]
fn the_first_number_that_is_not_finite_is_named() {
    let zero: &dyn Fn(&mut [f32]) = &|x| x.fill(0.0);
    // One unit of the first layer is barely on, and what it goes into is huge: the loss is small, gradients are not.
    let barely: &dyn Fn(&mut [f32]) = &|x| x.copy_from_slice(&[1e-38, -1.0, -1.0]);
    let huge: &dyn Fn(&mut [f32]) = &|x| x.fill(3e38);
    let large: &dyn Fn(&mut [f32]) = &|x| x.fill(1e30);
    let tables = ["emb_l.0.weight", "emb_l.1.weight", "emb_l.2.weight"].map(|name| (name, zero));
    let bottom = [("bot_l.0.weight", zero), ("bot_l.0.bias", zero)];
    let off = [("top_l.0.weight", zero), ("top_l.0.bias", barely), ("top_l.2.weight", huge), ("top_l.2.bias", zero)];
    // Of the four vectors side by side, the last is that of the last table.
    let last: &dyn Fn(&mut [f32]) = &|x| (x.fill(0.0), x[12..16].fill(4.0)).0;
    let pairs: &dyn Fn(&mut [f32]) = &|x| (x.fill(0.0), x[4..].fill(1.0)).0;
    let (cat, dot) = (Interaction::Cat, Interaction::Dot);
    let cases: [(Interaction, Vec<Change>, f32, &str); 8] = [
        (dot, vec![], f32::INFINITY, "the batch: dense feature 0 of sample 0 is inf, expected finite numbers"),
        (
            dot,
            vec![("top_l.0.bias", large), ("top_l.2.weight", large)],
            1.0,
            "forward, Linear, top_l.2.weight: output [0, 0] is inf; a lower --lr, or --lr-warmup-steps, is the usual \
             remedy",
        ),
        (
            dot,
            vec![("top_l.0.bias", &|x| x[2] = f32::NAN)],
            1.0,
            "forward, Linear, top_l.0.bias: number [2] of it is NaN; ",
        ),
        (
            dot,
            vec![("emb_l.1.weight", &|x| x[2 * 4 + 1] = f32::NEG_INFINITY)],
            1.0,
            "forward, EmbeddingBags, emb_l.1.weight, row 2: output [2, 1, 1] is -inf; ",
        ),
        (
            cat,
            [&off[..], &[("bot_l.0.weight", &|x| x.fill(100.0))], &tables].concat(),
            1.0,
            "backward, Linear, top_l.0.weight: number [0, 0] of its gradient is inf; ",
        ),
        (
            cat,
            [&off[1..], &[("top_l.0.weight", last)], &tables, &bottom].concat(),
            1.0,
            "backward, EmbeddingBags, emb_l.2.weight, row 1: number 0 of its gradient is inf; ",
        ),
        (
            dot,
            // All vectors are zero but those of the first table, which the gradient of a pair is multiplied with.
            [&off[1..], &[("top_l.0.weight", pairs), ("emb_l.0.weight", &|x| x.fill(100.0))], &tables[1..], &bottom]
                .concat(),
            1.0,
            "backward, Interaction, emb_l.1.weight, row 0: gradient [0, 1, 0] of the output of EmbeddingBags is inf; ",
        ),
        (
            cat,
            // The layer's own weights take its gradient beyond what a number holds.
            [&off[1..], &[("top_l.0.weight", &|x| (x.fill(0.0), x[12..16].fill(1e5)).0)], &tables, &bottom].concat(),
            1.0,
            "backward, Linear, top_l.0.weight: gradient [0, 12] of the output of Interaction is inf; ",
        ),
    ];
    for (interaction, changes, value, expected) in cases {
        let mut trainer = changed(interaction, &changes);
        let before = bits(trainer.params());
        let error = trainer.step(&batch(value)).expect_err(expected);
        assert!(matches!(error, Error::Diverged { step: 1, skipped: 0, .. }), "{error}");
        assert!(error.to_string().starts_with(&format!("step 1: {expected}")), "{error}, expected {expected}");
        assert_eq!(bits(trainer.params()), before, "{error}");
    }
}

#[test]
fn a_test_of_a_broken_model_says_where_it_is_broken() {
    let mut trainer = changed(Interaction::Dot, &[("emb_l.0.weight", &|x| x[4] = f32::NAN)]);
    let error = trainer.evaluate(&mut Batches::new(vec![batch(1.0)])).unwrap_err().to_string();
    assert!(
        error.starts_with("step 0: forward, EmbeddingBags, emb_l.0.weight, row 1: output [1, 0, 0] is NaN"),
        "{error}"
    );
}

/// Batches in order.
struct Batches {
    batches: Vec<Batch>,
    at: Position,
}

impl Batches {
    fn new(batches: Vec<Batch>) -> Self {
        Batches { batches, at: Position::default() }
    }
}

impl BatchSource for Batches {
    fn rows(&self) -> usize {
        self.batches.iter().map(Batch::len).sum()
    }

    fn position(&self) -> Position {
        self.at
    }

    fn seek(&mut self, position: Position) -> dlrm::Result<()> {
        self.at = position;
        Ok(())
    }

    fn next_batch(&mut self, batch: &mut Batch) -> dlrm::Result<bool> {
        let next = self.batches.get(self.at.rows as usize / 4);
        next.inspect(|next| batch.clone_from(next));
        self.at.rows += 4;
        Ok(next.is_some())
    }
}

#[derive(Default)]
struct Watch {
    lines: Vec<String>,
    seen: Vec<usize>,
}

impl Observer for Watch {
    fn on_step(&mut self, progress: &Progress) {
        self.seen.push(progress.rows);
    }

    fn on_skip(&mut self, progress: &Progress, error: &Error, skips: Skips) {
        self.seen.push(progress.rows);
        self.lines.push(format!("{} {} {error}", skips.total, skips.in_a_row));
    }
}

fn run(mut trainer: Trainer<Dlrm>, batches: Vec<Batch>) -> (dlrm::Result<Vec<Record>>, Watch, Trainer<Dlrm>) {
    let (mut watch, mut test) = (Watch::default(), Batches::new(vec![batch(0.5)]));
    let schedule = Schedule { epochs: 1, test_freq: Some(2) };
    let records = trainer.train(&mut Batches::new(batches), &mut test, schedule, &mut watch);
    (records, watch, trainer)
}

#[test]
fn a_step_left_out_is_as_if_it_had_never_been() {
    let good: Vec<Batch> = (0..6).map(|i| batch(0.1 * i as f32)).collect();
    let bad = batch(f32::NAN);
    for accumulate in [1, 2] {
        let options = TrainOptions { on_nan: OnNan::Skip, accumulate, dropout: 0.3, ..TrainOptions::default() };
        let (plain, _, expected) = run(trainer(Interaction::Dot, options), good.clone());
        // With two batches a step, the bad one takes the good one before with it.
        let mut batches = good.clone();
        batches.splice(2..2, if accumulate == 1 { vec![bad.clone()] } else { vec![batch(0.7), bad.clone()] });
        batches.push(bad.clone());
        let rows = 4 * batches.len();
        let (records, watch, trainer) = run(trainer(Interaction::Dot, options), batches);
        assert_eq!(bits(trainer.params()), bits(expected.params()), "{accumulate} batches a step");
        assert_eq!((trainer.steps(), trainer.skips()), (expected.steps(), Skips { total: 2, in_a_row: 1 }));
        assert_eq!(watch.lines.len(), 2);
        let first = 1 + 2 / accumulate;
        let line = format!("1 1 step {first}: the batch: dense feature 0 of sample 0 is NaN, expected finite numbers");
        assert_eq!(watch.lines[0], line);
        assert_eq!(*watch.seen.last().unwrap(), rows);
        let (plain, records) = (plain.unwrap(), records.unwrap());
        let last = records.last().unwrap();
        assert_eq!((last.skipped, last.evaluation), (2, plain.last().unwrap().evaluation));
    }
}

#[test]
fn too_many_in_a_row_end_the_run() {
    let skip = TrainOptions { on_nan: OnNan::Skip, ..TrainOptions::default() };
    let bad = vec![batch(f32::NAN); MAX_SKIPS_IN_A_ROW as usize];
    let one_more = [&[batch(1.0)], &bad[..], &[batch(f32::NAN), batch(1.0)]].concat();
    let (records, watch, _) = run(trainer(Interaction::Dot, skip), one_more);
    assert_eq!(
        records.unwrap_err().to_string(),
        "step 2: the batch: dense feature 0 of sample 0 is NaN, after 10 steps that were left out, expected finite \
         numbers"
    );
    assert_eq!(watch.lines.len() as u64, MAX_SKIPS_IN_A_ROW);
    let apart = [&bad[..], &[batch(1.0)], &bad[..], &[batch(1.0)]].concat();
    assert_eq!(run(trainer(Interaction::Dot, skip), apart).0.unwrap().last().unwrap().skipped, 2 * MAX_SKIPS_IN_A_ROW);
    // Without being asked, the first ends it.
    let (records, watch, _) = run(trainer(Interaction::Dot, TrainOptions::default()), vec![batch(1.0), bad[0].clone()]);
    assert!(records.is_err() && watch.lines.is_empty());
}

/// A binary dataset of one real and one categorical column, with word `word` of its rows put in the place of another.
fn damaged(folder: &std::path::Path, at: usize, word: u32) -> dlrm::Result<Batch> {
    use dlrm::data::table::{TableSchema, make_dataset};
    let (data, output) = (folder.join("a.csv"), folder.join("a.rows"));
    std::fs::write(&data, "x,c,y\n0.5,a,1\n1.5,b,0\n2.5,a,1\n").unwrap();
    let schema = "label.column = \"y\"\n[[dense]]\ncolumn = \"x\"\n[[categorical]]\ncolumn = \"c\"\n";
    make_dataset(&TableSchema::parse(schema, "schema")?, &[data], &output)?;
    let mut bytes = std::fs::read(&output).unwrap();
    bytes[64 + 4 * at..][..4].copy_from_slice(&word.to_le_bytes());
    std::fs::write(&output, bytes).unwrap();
    let mut batch = Batch::default();
    dlrm::data::binary::RowFile::open(&output)?.fill(0..3, &mut batch)?;
    Ok(batch)
}

#[test]
fn a_row_of_a_file_that_no_model_can_take_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // Three words a row: label, x, c.
    for (at, word, expected) in [
        (4, f32::NAN.to_bits(), "row 1: x is NaN, expected a finite number; make the dataset again"),
        (6, f32::INFINITY.to_bits(), "row 2: y is inf, expected a finite number; make the dataset again"),
        (5, 77, "row 1: c has id 77, but its table has 2 rows; make the dataset again"),
    ] {
        let error = damaged(folder.path(), at, word).unwrap_err().to_string();
        assert_eq!(error, format!("{}: {expected}", folder.path().join("a.rows").display()));
    }
    assert_eq!(damaged(folder.path(), 4, 7f32.to_bits()).unwrap().dense, [0.5, 7.0, 2.5]);
}
