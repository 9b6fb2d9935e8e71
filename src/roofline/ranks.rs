//! The time of a training step on several ranks, from what each can compute and what connects them.
//!
//! `N` ranks train on `B` samples a step, `b = ⌈B / N⌉` of them on the rank that has most. `W` is the multiply-adds of the
//! layers a sample (`W_bottom`, `W_top`; cross layers count to the top), `I` those of the interaction, `P` the numbers the
//! layers learn. Rank `r` has shards of widths `w_s`, of which a sample looks up `l_s` rows. With the rates of a
//! [`Worker`] (flop/s, bytes of rows a second, bytes a second front to back) and of a [`Network`], the parts are
//!
//! ```text
//! bottom forward   2 b W_bottom / flops                  backward twice that
//! dense forward    2 b (W_top + I) / flops               backward twice that
//! lookups          max over r of  B Σ l_s 4 w_s / rows read
//! table update     max over r of  B Σ l_s 4 w_s / rows updated
//! dense update     5 · 4 P / read                        weight, gradient, two packed copies, weight
//! ids              A(max over r of what it sends)        4 bytes an id and a bag, 8 a shard, 4 a rank
//! vectors          A(max over r of  4 (B − b) Σ w_s  and  4 b (all ranks' Σ w_s − its own))
//! gradients        the same bytes, the other way
//! all-reduce       Σ over buckets of  2 A(4 p (N − 1) / N)   p numbers: sums of a rank's share, then the sums to all
//! packing          what a rank writes to send and reads of what came, itself included, / packing rate
//! ```
//!
//! where `A(n)` is an all-to-all in which a rank sends or gets `n` bytes, the faster of two ways (Thakur, Rabenseifner and
//! Gropp 2005): a message to each, or `log₂ N` rounds (Bruck et al. 1997) that each move the parts of half the ranks,
//!
//! ```text
//! A(n) = min( (N − 1) α + n / β,   ⌈log₂ N⌉ (α + N / (2 (N − 1)) · n / β) )      α: latency, β: bytes a second
//! ```
//!
//! A step is then
//!
//! ```text
//! ids + lookups + max(vectors, bottom forward) + dense forward
//!     + dense backward + max(bottom backward, gradients, all-reduce + gradients − dense backward) + updates + packing
//! ```
//!
//! The gradients of vectors begin to travel when the backward pass comes to the bottom MLP, the buckets of the all-reduce
//! when the first layers are back; the network does one after the other. Between ranks whose own cores move the bytes
//! nothing is hidden, as they compute nothing meanwhile: each `max` is a sum.
//!
//! Imbalance is in the maxima over ranks. What is left out: ranks that wait for a slow one, traffic of others, that small
//! tables stay in a cache, and the exchanges of [replicated](Placement) tables.

use super::Roofline;
use super::cost::{interaction, layer_weights, layers};
use crate::gradients::BUCKET;
use crate::nn::{DlrmConfig, Placement, Shard};
use serde::Serialize;

/// What one rank can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Worker {
    /// The peaks of its threads.
    pub roofline: Roofline,
    /// The part of them that a step of one rank reaches: `limit / time`.
    pub efficiency: f64,
    /// GB (10⁹ bytes) a second in which it writes what it sends, and reads what it got.
    pub packing_gbs: f64,
}

/// What connects the ranks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Network {
    /// Of a message, in microseconds, `α`.
    pub latency_us: f64,
    /// GB a second that a rank sends, and at the same time gets, `β`.
    pub gbs: f64,
    /// Whether the bytes are moved by the cores that compute, as between threads of one machine.
    pub by_cores: bool,
}

impl Network {
    /// 100 Gb/s for each rank and 2 µs: what an Omni-Path or InfiniBand adapter of that rate is sold as. An assumption,
    /// not a machine.
    pub const GIGABIT_100: Network = Network { latency_us: 2.0, gbs: 12.5, by_cores: false };

    /// `A(bytes)` in milliseconds, among `ranks`.
    pub fn all_to_all_ms(&self, ranks: usize, bytes: f64) -> f64 {
        if ranks < 2 {
            return 0.0;
        }
        let (latency, moved) = (1e-3 * self.latency_us, bytes / self.gbs / 1e6);
        let rounds = f64::from(ranks.next_power_of_two().ilog2());
        let others = (ranks - 1) as f64;
        f64::min(others * latency + moved, rounds * (latency + moved * ranks as f64 / (2.0 * others)))
    }

    /// The network through which all-to-alls of `small` and of `large` bytes among `ranks` ranks, at least two, took so many
    /// milliseconds.
    pub fn measured(ranks: usize, small: [f64; 2], large: [f64; 2], by_cores: bool) -> Self {
        let ms_a_byte = ((large[1] - small[1]) / (large[0] - small[0])).max(f64::MIN_POSITIVE);
        let latency_ms = (small[1] - small[0] * ms_a_byte).max(0.0) / (ranks.max(2) - 1) as f64;
        Network { latency_us: 1e3 * latency_ms, gbs: 1e-6 / ms_a_byte, by_cores }
    }
}

/// What is trained, and where its tables are.
#[derive(Debug, Clone, Copy)]
pub struct RanksStep<'a> {
    /// The model.
    pub config: &'a DlrmConfig,
    /// Lookups a table and sample.
    pub lookups: usize,
    /// Samples of all ranks, `B`.
    pub batch: usize,
    /// How many ranks, `N`.
    pub ranks: usize,
    /// Whose the tables are.
    pub placement: &'a Placement,
}

/// The parts of a step in milliseconds, as the module's page has them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepParts {
    /// The bottom MLP.
    pub bottom_forward: f64,
    /// And back.
    pub bottom_backward: f64,
    /// Interaction and top MLP.
    pub dense_forward: f64,
    /// And back.
    pub dense_backward: f64,
    /// Of the rank with most to look up.
    pub lookups: f64,
    /// Of the rank with most to look up, over the mean of all.
    pub imbalance: f64,
    /// Of that rank's tables.
    pub update_tables: f64,
    /// Of all layers.
    pub update_dense: f64,
    /// Ids to the owners.
    pub ids: f64,
    /// Pooled vectors from the owners.
    pub vectors: f64,
    /// Their gradients to the owners.
    pub gradients: f64,
    /// Gradients of all layers.
    pub all_reduce: f64,
    /// Writing what is sent and reading what came.
    pub packing: f64,
    /// The part of the exchanges that nothing is computed beside.
    pub exposed: f64,
    /// The whole step.
    pub step: f64,
}

/// Bytes of a step, of the rank with most: sent, or got.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bytes {
    ids: f64,
    vectors: f64,
    packed: f64,
}

impl RanksStep<'_> {
    /// What it takes `worker`s on `network`.
    pub fn predict(&self, worker: &Worker, network: &Network) -> StepParts {
        let Worker { roofline, efficiency, packing_gbs } = worker;
        let b = self.batch.div_ceil(self.ranks) as f64;
        let arithmetic =
            |multiply_adds: usize| 2.0 * b * multiply_adds as f64 / (roofline.f32_gflops * efficiency) / 1e6;
        let [bottom, top] = layer_weights(self.config);
        let (bottom_forward, dense_forward) = (arithmetic(bottom), arithmetic(top + interaction(self.config)));
        let (rows, loads) = (|ms: &dyn Fn(f64) -> f64| self.rows_ms(ms), self.loads());
        let [lookups, update_tables] =
            [rows(&|width| roofline.rows_read(width)), rows(&|width| roofline.rows_update(width))]
                .map(|ms| ms / efficiency);
        let bytes = self.bytes();
        let exchange = |n: f64| network.all_to_all_ms(self.ranks, n);
        let parts = StepParts {
            bottom_forward,
            bottom_backward: 2.0 * bottom_forward,
            dense_forward,
            dense_backward: 2.0 * dense_forward,
            lookups,
            imbalance: largest(&loads) * loads.len() as f64 / loads.iter().sum::<f64>().max(f64::MIN_POSITIVE),
            update_tables,
            update_dense: 20.0 * self.dense_parameters() / roofline.read_gbs / 1e6,
            ids: exchange(bytes.ids),
            vectors: exchange(bytes.vectors),
            gradients: exchange(bytes.vectors),
            all_reduce: self.buckets().iter().map(|&p| 2.0 * exchange(4.0 * self.for_others(p))).sum(),
            packing: bytes.packed / packing_gbs / 1e6,
            exposed: 0.0,
            step: 0.0,
        };
        parts.summed(network.by_cores)
    }

    /// The bytes that the rank sends that sends most, by kind: ids, vectors, gradients, all-reduce.
    pub fn bytes_sent(&self) -> [f64; 4] {
        let sent = |bytes: &dyn Fn(usize) -> f64| largest(&(0..self.ranks).map(bytes).collect::<Vec<_>>());
        let ids = self.bytes().ids;
        let (b, widths) = (|rank| self.samples(rank), self.widths());
        let all: f64 = widths.iter().sum();
        let vectors = sent(&|rank| 4.0 * (self.batch as f64 - b(rank)) * widths[rank]);
        let gradients = sent(&|rank| 4.0 * b(rank) * (all - widths[rank]));
        [ids, vectors, gradients, 8.0 * self.for_others(self.dense_parameters())]
    }

    /// Samples of a rank, as [`Communicator::share`](crate::comm::Communicator::share) has them.
    fn samples(&self, rank: usize) -> f64 {
        crate::comm::share(self.batch, self.ranks, rank).len() as f64
    }

    /// Numbers that the layers learn.
    fn dense_parameters(&self) -> f64 {
        let tables: u64 =
            self.config.num_embeddings.iter().map(|&rows| (rows * self.config.embedding_dim) as u64).sum();
        (self.config.num_parameters() - tables) as f64
    }

    /// Of so many numbers, those that are for other ranks.
    fn for_others(self, numbers: f64) -> f64 {
        numbers * (self.ranks - 1) as f64 / self.ranks as f64
    }

    /// Numbers of each bucket of the all-reduce: layers from the last, until there are enough.
    fn buckets(&self) -> Vec<f64> {
        let (mut buckets, mut numbers) = (Vec::new(), 0);
        for layer in layers(self.config).into_iter().rev() {
            numbers += layer;
            if numbers >= BUCKET {
                buckets.push(numbers as f64);
                numbers = 0;
            }
        }
        buckets.extend((numbers > 0).then_some(numbers as f64));
        buckets
    }

    /// Rows of a shard that a sample looks up, ids being even.
    fn lookups_of(&self, shard: &Shard) -> f64 {
        (self.lookups * shard.rows.len()) as f64 / self.config.num_embeddings[shard.table] as f64
    }

    /// Bytes of rows that each rank looks up.
    fn loads(&self) -> Vec<f64> {
        self.by_rank(|shard| self.batch as f64 * self.lookups_of(shard) * 4.0 * shard.width() as f64)
    }

    /// Milliseconds of the rank with most rows, at a rate in GB a second that depends on the bytes of a row.
    fn rows_ms(&self, gbs: &dyn Fn(f64) -> f64) -> f64 {
        largest(&self.by_rank(|shard| {
            let row = 4.0 * shard.width() as f64;
            self.batch as f64 * self.lookups_of(shard) * row / gbs(row) / 1e6
        }))
    }

    /// Numbers a sample that each rank's shards make.
    fn widths(&self) -> Vec<f64> {
        self.by_rank(|shard| shard.width() as f64)
    }

    /// Sums over each rank's shards.
    fn by_rank(&self, figure: impl Fn(&Shard) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.ranks];
        self.placement.shards().iter().for_each(|shard| sums[shard.rank] += figure(shard));
        sums
    }

    fn bytes(&self) -> Bytes {
        let (shards, ids, widths) = (self.by_rank(|_| 1.0), self.by_rank(|s| self.lookups_of(s)), self.widths());
        let sum = |of: &[f64]| of.iter().sum::<f64>();
        let [all_shards, all_ids, all_widths] = [sum(&shards), sum(&ids), sum(&widths)];
        let (n, batch, dense) = (self.ranks as f64, self.batch as f64, 4.0 * self.dense_parameters());
        // Of `samples` samples for `shards` shards, with `ids` ids a sample.
        let list = |samples: f64, shards: f64, ids: f64| shards * (8.0 + 4.0 * samples) + 4.0 * samples * ids;
        let mut most = Bytes { ids: 0.0, vectors: 0.0, packed: 0.0 };
        for rank in 0..self.ranks {
            let b = self.samples(rank);
            let sent = 4.0 * (n - 1.0) + list(b, all_shards - shards[rank], all_ids - ids[rank]);
            let vectors = f64::max((batch - b) * widths[rank], b * (all_widths - widths[rank]));
            let ids_of_both = list(b, all_shards, all_ids) + list(batch, shards[rank], ids[rank]);
            // Written and read: ids; vectors, and their gradients; gradients of layers in both halves of the all-reduce.
            let packed = ids_of_both + 2.0 * 4.0 * (batch * widths[rank] + b * all_widths) + 4.0 * dense;
            most.ids = most.ids.max(sent);
            most.vectors = most.vectors.max(4.0 * vectors);
            most.packed = most.packed.max(packed);
        }
        most
    }
}

impl StepParts {
    /// The same with what the whole comes to.
    fn summed(self, by_cores: bool) -> Self {
        let StepParts { bottom_forward, bottom_backward, dense_backward, vectors, gradients, all_reduce, .. } = self;
        let computed = bottom_forward
            + self.dense_forward
            + dense_backward
            + bottom_backward
            + self.lookups
            + self.update_tables
            + self.update_dense
            + self.packing;
        let travelling = if by_cores {
            vectors + gradients + all_reduce
        } else {
            let after_backward = f64::max(gradients, all_reduce + gradients - dense_backward) - bottom_backward;
            (vectors - bottom_forward).max(0.0) + after_backward.max(0.0)
        };
        let exposed = self.ids + travelling;
        StepParts { exposed, step: computed + exposed, ..self }
    }

    /// The part of all exchanges that is hidden behind arithmetic; 0 if there is none.
    pub fn hidden(&self) -> f64 {
        let all = self.ids + self.vectors + self.gradients + self.all_reduce;
        if all > 0.0 { 1.0 - self.exposed / all } else { 0.0 }
    }
}

fn largest(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;
    use crate::nn::TableLoad;

    const ROWS: [usize; 4] = [1000, 1000, 1000, 1000];

    fn config() -> DlrmConfig {
        DlrmConfig {
            dense_features: 10,
            embedding_dim: 32,
            bottom_mlp: vec![100, 32],
            top_mlp: vec![100, 1],
            ..DlrmConfig::criteo_kaggle(ROWS.to_vec())
        }
    }

    fn placement(ranks: usize) -> Placement {
        Placement::plan(&ROWS.map(|num_embeddings| TableLoad { num_embeddings, lookups: 10.0 }), 32, ranks)
    }

    fn worker() -> Worker {
        Worker { roofline: machine(), efficiency: 1.0, packing_gbs: 10.0 }
    }

    fn step<'a>(config: &'a DlrmConfig, placement: &'a Placement, ranks: usize, batch: usize) -> RanksStep<'a> {
        RanksStep { config, lookups: 10, batch, ranks, placement }
    }

    const FAST: Network = Network { latency_us: 0.0, gbs: 1e9, by_cores: false };

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-9 * b.abs().max(1e-6), "{a} {b}");
    }

    #[test]
    fn an_all_to_all_goes_the_faster_way() {
        let network = Network { latency_us: 10.0, gbs: 1.0, by_cores: false };
        near(network.all_to_all_ms(1, 1e6), 0.0);
        near(network.all_to_all_ms(2, 1e6), 0.01 + 1.0);
        near(network.all_to_all_ms(5, 1e6), 0.04 + 1.0);
        // 1023 messages of 10 µs, or ten rounds that move half of all.
        near(network.all_to_all_ms(1024, 1e3), 10.0 * (0.01 + 0.001 * 512.0 / 1023.0));
        near(network.all_to_all_ms(1024, 1e8), 10.23 + 100.0);
    }

    #[test]
    fn a_network_is_found_by_two_measurements() {
        let network = Network { latency_us: 5.0, gbs: 2.0, by_cores: true };
        let took = |bytes: f64| 2.0 * 5e-3 + bytes / 2e6;
        let found = Network::measured(3, [1e3, took(1e3)], [1e6, took(1e6)], true);
        near(found.latency_us, network.latency_us);
        near(found.gbs, network.gbs);
        assert!(Network::measured(2, [1e3, 1.0], [1e6, 1.0], false).gbs.is_finite());
    }

    #[test]
    fn one_rank_takes_the_limit_of_a_step() {
        let (config, placement) = (config(), placement(1));
        let parts = step(&config, &placement, 1, 256).predict(&worker(), &FAST);
        let cost = super::super::Cost::of_step(&config, 256, 10);
        let whole = parts.step - parts.packing - parts.update_dense;
        near(whole, machine().step_ms(&cost));
        assert_eq!((parts.exposed, parts.hidden(), parts.imbalance), (0.0, 0.0, 1.0));
        // Twice as slow, but for what goes at the rate of memory.
        let slow = step(&config, &placement, 1, 256).predict(&Worker { efficiency: 0.5, ..worker() }, &FAST);
        near(slow.step - slow.packing - slow.update_dense, 2.0 * whole);
    }

    #[test]
    fn ranks_share_samples_and_tables() {
        let config = config();
        let on = |ranks: usize, batch| step(&config, &placement(ranks), ranks, batch).predict(&worker(), &FAST);
        let (one, two, four) = (on(1, 256), on(2, 256), on(4, 256));
        let shared = |p: &StepParts| [p.lookups, p.update_tables, p.dense_forward, p.bottom_backward];
        for (i, part) in shared(&one).into_iter().enumerate() {
            near(2.0 * shared(&two)[i], part);
            near(4.0 * shared(&four)[i], part);
        }
        near(one.update_dense, four.update_dense);
        // Weak scaling: each the same samples and its share of the tables, so all but the exchanges are as on one.
        let weak = on(4, 4 * 256);
        near(weak.lookups, one.lookups);
        near(weak.dense_backward, one.dense_backward);
    }

    #[test]
    fn tables_that_are_with_one_rank_are_waited_for() {
        let config = config();
        let shards = (0..4).map(|table| Shard { table, rank: 1, rows: 0..1000, columns: 0..32 }).collect();
        let placement = Placement::new(shards, &ROWS, 32, 2).unwrap();
        let parts = step(&config, &placement, 2, 256).predict(&worker(), &FAST);
        near(parts.imbalance, 2.0);
        near(parts.lookups, step(&config, &self::placement(1), 1, 256).predict(&worker(), &FAST).lookups);
    }

    #[test]
    fn bytes_are_those_that_travel() {
        let config = config();
        let placement = placement(2);
        // Two tables each: ids and lengths of 128 samples for two shards; vectors of 32 numbers; half of each layer twice.
        let dense = (10 * 100 + 100 + 100 * 32 + 32) + (42 * 100 + 100 + 101);
        let expected = [4 + 2 * (8 + 4 * 128) + 4 * 128 * 2 * 10, 4 * 128 * 64, 4 * 128 * 64, 4 * dense].map(f64::from);
        step(&config, &placement, 2, 256).bytes_sent().iter().zip(expected).for_each(|(&a, b)| near(a, b));
    }

    #[test]
    fn what_is_hidden_depends_on_what_is_computed_meanwhile() {
        let config = config();
        let placement = placement(2);
        let network = Network { latency_us: 1.0, gbs: 10.0, by_cores: false };
        let plain = step(&config, &placement, 2, 4096);
        let parts = plain.predict(&worker(), &network);
        let after = f64::max(parts.gradients, parts.all_reduce + parts.gradients - parts.dense_backward);
        let exposed = (parts.vectors - parts.bottom_forward).max(0.0) + (after - parts.bottom_backward).max(0.0);
        near(parts.exposed, parts.ids + exposed);
        assert!(exposed > 0.0, "{parts:?}");
        assert!(parts.hidden() > 0.0 && parts.hidden() < 1.0, "{parts:?}");
        let by_cores = plain.predict(&worker(), &Network { by_cores: true, ..network });
        near(by_cores.exposed, parts.ids + parts.vectors + parts.gradients + parts.all_reduce);
        near(by_cores.hidden(), 0.0);
        // A network that is fast enough hides all but the ids, and one that is slow next to nothing.
        let at = |gbs: f64| plain.predict(&worker(), &Network { gbs, latency_us: 0.0, ..network });
        near(at(1e6).exposed, at(1e6).ids);
        assert!(at(1e-3).hidden() < 0.01);
    }

    #[test]
    fn gradients_of_layers_travel_in_buckets() {
        let placement = placement(2);
        let config = DlrmConfig { top_mlp: vec![1000, 100, 1], ..config() };
        let step = step(&config, &placement, 2, 256);
        // 42 × 1000 is too little for one, with 1000 × 100 it is enough; the bottom MLP is the rest.
        let top = (42 * 1000 + 1000, 1000 * 100 + 100, 101);
        assert_eq!(step.buckets(), [f64::from(top.1 + top.2), f64::from(top.0 + 10 * 100 + 100 + 100 * 32 + 32)]);
        near(step.buckets().iter().sum(), step.dense_parameters());
    }
}
