//! Every operation: passed on, timed, written down.

use super::{Profiled, cost};
use crate::backend::{
    Activation, Backend, Beta, DenseGrads, DenseParameter, DeviceRoom, Dropout, Interaction, LinearGrads, LossKind,
    PackedWeight, Pooling, RowFormat, State, Table, TableGrads, UpdateStep, WeightFormat,
};
use crate::error::Result;
use crate::jagged::JaggedTensor;
use crate::roofline::Cost;
use crate::tensor::{Shape, Tensor};

/// How many lookups there are.
fn lookups(bags: &[JaggedTensor]) -> Shape {
    Shape::new(&[bags.iter().map(|list| list.values().len()).sum()])
}

impl Backend for Profiled {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn available_memory(&self) -> Option<u64> {
        self.inner.available_memory()
    }

    fn device_room(&self) -> Option<DeviceRoom> {
        self.inner.device_room()
    }

    fn phase(&self, name: &'static str) {
        self.begin(name);
    }

    fn scope(&self, work: &mut (dyn FnMut() + Send)) {
        self.inner.scope(work);
    }

    fn submit(&self) {
        self.inner.submit();
        self.settle();
    }

    fn status(&self) -> Result<()> {
        self.inner.status()
    }

    fn steps_between_looks(&self) -> usize {
        self.inner.steps_between_looks()
    }

    fn table_grads(&self, tables: usize) -> Box<dyn TableGrads> {
        self.inner.table_grads(tables)
    }

    fn fill_uniform(&self, table: &mut Table, key: u64, low: f64, high: f64) {
        let time = self.timed(|| self.inner.fill_uniform(table, key, low, high));
        self.add(
            "fill_uniform",
            None,
            time.with(&[("table", Shape::new(&[table.num_embeddings(), table.embedding_dim()]))]),
            cost::streamed(table.values().len()),
        );
    }

    fn quantize_table(&self, table: &Table, format: Option<RowFormat>) -> Table {
        self.inner.quantize_table(table, format)
    }

    /// Two copies are made, each from the weight itself.
    fn pack(&self, weight: &Tensor, packed: &mut PackedWeight) {
        let time = self.timed(|| self.inner.pack(weight, packed));
        self.add("pack", None, time.with(&[("weight", weight.shape())]), cost::streamed(3 * weight.len()));
    }

    fn packed_lens(&self, n: usize, k: usize) -> [usize; 2] {
        self.inner.packed_lens(n, k)
    }

    fn pack_quantized(&self, weight: &Tensor, format: WeightFormat, packed: &mut PackedWeight) {
        self.inner.pack_quantized(weight, format, packed);
    }

    fn linear(
        &self,
        x: &Tensor,
        weight: &DenseParameter,
        bias: Option<&DenseParameter>,
        act: Activation,
        y: &mut Tensor,
    ) {
        let layer = [x.rows(), weight.shape()[0], weight.shape()[1]];
        let time = self.timed(|| self.inner.linear(x, weight, bias, act, y));
        self.add(
            "linear",
            Some(layer),
            time.with(&[("x", x.shape()), ("weight", weight.shape()), ("y", y.shape())]),
            cost::product(layer),
        );
    }

    fn linear_backward(
        &self,
        x: &Tensor,
        y: &Tensor,
        dy: &mut Tensor,
        weight: &DenseParameter,
        act: Activation,
        grads: LinearGrads<'_>,
    ) {
        let layer = [x.rows(), weight.shape()[0], weight.shape()[1]];
        let cost = cost::linear_backward(layer, act, &grads);
        let time = self.timed(|| self.inner.linear_backward(x, y, dy, weight, act, grads));
        self.add(
            "linear_backward",
            Some(layer),
            time.with(&[("x", x.shape()), ("weight", weight.shape()), ("dy", y.shape())]),
            cost,
        );
    }

    fn sigmoid(&self, x: &Tensor, y: &mut Tensor) {
        let time = self.timed(|| self.inner.sigmoid(x, y));
        self.add("sigmoid", None, time.with(&[("x", x.shape())]), cost::streamed(2 * x.len()));
    }

    fn sigmoid_backward(&self, y: &Tensor, dy: &Tensor, dx: &mut Tensor, beta: Beta) {
        let time = self.timed(|| self.inner.sigmoid_backward(y, dy, dx, beta));
        self.add("sigmoid_backward", None, time.with(&[("dy", y.shape())]), cost::streamed(3 * y.len()));
    }

    fn clamp(&self, x: &Tensor, bound: f32, y: &mut Tensor) {
        let time = self.timed(|| self.inner.clamp(x, bound, y));
        self.add("clamp", None, time.with(&[("x", x.shape())]), cost::streamed(2 * x.len()));
    }

    fn clamp_backward(&self, x: &Tensor, bound: f32, dy: &Tensor, dx: &mut Tensor, beta: Beta) {
        let time = self.timed(|| self.inner.clamp_backward(x, bound, dy, dx, beta));
        self.add("clamp_backward", None, time.with(&[("x", x.shape())]), cost::streamed(3 * x.len()));
    }

    fn add_to(&self, x: &Tensor, y: &mut Tensor, beta: Beta) {
        let time = self.timed(|| self.inner.add_to(x, y, beta));
        self.add("add_to", None, time, cost::elementwise(&[x], y, 0, beta));
    }

    fn mul(&self, a: &Tensor, b: &Tensor, y: &mut Tensor, beta: Beta) {
        let time = self.timed(|| self.inner.mul(a, b, y, beta));
        self.add("mul", None, time, cost::elementwise(&[a, b], y, y.len(), beta));
    }

    fn dot_rows(&self, a: &Tensor, b: &Tensor, y: &mut Tensor, beta: Beta) {
        let time = self.timed(|| self.inner.dot_rows(a, b, y, beta));
        self.add("dot_rows", None, time, cost::elementwise(&[a, b], y, 2 * a.len(), beta));
    }

    fn sum_rows(&self, x: &Tensor, y: &mut Tensor, beta: Beta) {
        let time = self.timed(|| self.inner.sum_rows(x, y, beta));
        self.add("sum_rows", None, time, cost::elementwise(&[x], y, x.len(), beta));
    }

    fn put_columns(&self, x: &Tensor, first: usize, out: &mut Tensor) {
        let time = self.timed(|| self.inner.put_columns(x, first, out));
        self.add("put_columns", None, time, cost::streamed(2 * x.len()));
    }

    fn take_columns(&self, from: &Tensor, first: usize, x: &mut Tensor, beta: Beta) {
        let time = self.timed(|| self.inner.take_columns(from, first, x, beta));
        self.add("take_columns", None, time, cost::elementwise(&[x], x, 0, beta));
    }

    fn embedding_bags(&self, tables: &[Table], pooling: Pooling, bags: &[JaggedTensor], out: &mut Tensor) {
        let time = self.timed(|| self.inner.embedding_bags(tables, pooling, bags, out));
        self.add(
            "embedding_bags",
            None,
            time.with(&[("lookups", lookups(bags)), ("out", out.shape())]),
            cost::embedding_bags(tables, bags, out),
        );
    }

    fn embedding_bags_backward(
        &self,
        tables: &[Table],
        pooling: Pooling,
        bags: &[JaggedTensor],
        grad_out: &mut Tensor,
        grads: &mut dyn TableGrads,
        first: usize,
    ) {
        let time = self.timed(|| self.inner.embedding_bags_backward(tables, pooling, bags, grad_out, grads, first));
        self.add(
            "embedding_bags_backward",
            None,
            time.with(&[("lookups", lookups(bags))]),
            cost::embedding_bags_backward(bags),
        );
    }

    fn gather_weights(&self, row_weights: &[Table], bags: &mut [JaggedTensor]) {
        let time = self.timed(|| self.inner.gather_weights(row_weights, bags));
        self.add("gather_weights", None, time.with(&[("lookups", lookups(bags))]), cost::gather_weights(bags));
    }

    fn gather_weights_backward(
        &self,
        tables: &[Table],
        pooling: Pooling,
        bags: &[JaggedTensor],
        grad_out: &Tensor,
        grads: &mut dyn TableGrads,
        first: usize,
    ) {
        let time = self.timed(|| self.inner.gather_weights_backward(tables, pooling, bags, grad_out, grads, first));
        self.add(
            "gather_weights_backward",
            None,
            time.with(&[("lookups", lookups(bags)), ("grad_out", grad_out.shape())]),
            cost::gather_weights_backward(tables, bags, grad_out),
        );
    }

    fn interaction(&self, kind: Interaction, dense: Option<&Tensor>, pooled: &Tensor, out: &mut Tensor) {
        let time = self.timed(|| self.inner.interaction(kind, dense, pooled, out));
        self.add(
            "interaction",
            None,
            time.with(&[("pooled", pooled.shape()), ("out", out.shape())]),
            cost::interaction(kind, dense, pooled, out),
        );
    }

    fn interaction_backward(
        &self,
        kind: Interaction,
        dense: Option<&Tensor>,
        pooled: &Tensor,
        grad_out: &Tensor,
        grads: [Option<(&mut Tensor, Beta)>; 2],
    ) {
        let time = self.timed(|| self.inner.interaction_backward(kind, dense, pooled, grad_out, grads));
        self.add(
            "interaction_backward",
            None,
            time.with(&[("pooled", pooled.shape()), ("grad_out", grad_out.shape())]),
            cost::interaction_backward(kind, dense, pooled, grad_out),
        );
    }

    fn loss(&self, kind: LossKind, logits: &Tensor, labels: &Tensor, out: &mut Tensor) {
        let time = self.timed(|| self.inner.loss(kind, logits, labels, out));
        self.add("loss", None, time.with(&[("logits", logits.shape())]), cost::streamed(2 * logits.len()));
    }

    fn loss_backward(
        &self,
        kind: LossKind,
        logits: &Tensor,
        labels: &Tensor,
        grad_out: &Tensor,
        dx: &mut Tensor,
        beta: Beta,
    ) {
        let time = self.timed(|| self.inner.loss_backward(kind, logits, labels, grad_out, dx, beta));
        self.add("loss_backward", None, time.with(&[("logits", logits.shape())]), cost::streamed(3 * logits.len()));
    }

    fn dropout(&self, mask: Dropout, x: &Tensor, y: &mut Tensor, beta: Beta) {
        let time = self.timed(|| self.inner.dropout(mask, x, y, beta));
        self.add("dropout", None, time, cost::streamed(2 * x.len()));
    }

    fn copy(&self, from: &[f32], to: &mut [f32]) {
        self.inner.copy(from, to);
    }

    fn copy_bags(&self, from: &[JaggedTensor], to: &mut [JaggedTensor]) {
        self.inner.copy_bags(from, to);
    }

    fn scale(&self, a: f32, x: &mut Tensor) {
        let time = self.timed(|| self.inner.scale(a, x));
        self.add("scale", None, time, cost::streamed(2 * x.len()));
    }

    fn sum_of_squares(&self, x: &Tensor) -> f64 {
        let mut sum = 0.0;
        let time = self.timed(|| sum = self.inner.sum_of_squares(x));
        self.add("sum_of_squares", None, time, cost::streamed(x.len()));
        sum
    }

    fn check_finite(&self, factor: f32, x: &Tensor, found: &mut Tensor) {
        let time = self.timed(|| self.inner.check_finite(factor, x, found));
        self.add("check_finite", None, time, cost::streamed(x.len()));
    }

    fn sum_table_grads(&self, grads: &mut dyn TableGrads) {
        let cost = cost::sum_table_grads(grads);
        let time = self.timed(|| self.inner.sum_table_grads(grads));
        self.add("sum_table_grads", None, time, cost);
    }

    fn add_l2(&self, l2: f32, tables: &[Table], grads: &mut dyn TableGrads) {
        let time = self.timed(|| self.inner.add_l2(l2, tables, grads));
        self.add("add_l2", None, time, cost::add_l2(grads));
    }

    fn update_dense<'a>(
        &self,
        step: UpdateStep<'_>,
        parameters: &mut [DenseParameter],
        grads: &'a DenseGrads<'a>,
        states: &mut [State],
    ) {
        let time = self.timed(|| self.inner.update_dense(step, parameters, grads, states));
        let updated = parameters.iter().enumerate().filter(|&(i, _)| grads(i).is_some());
        let mut all = Cost::default();
        updated.for_each(|(_, parameter)| all += cost::update_dense(step.rule, parameter));
        self.add("update_dense", None, time, all);
    }

    fn update_tables(&self, step: UpdateStep<'_>, tables: &mut [Table], grads: &dyn TableGrads, states: &mut [State]) {
        let time = self.timed(|| self.inner.update_tables(step, tables, grads, states));
        self.add("update_tables", None, time, cost::update_tables(step.rule, grads));
    }
}
