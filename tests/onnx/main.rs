//! Exported graphs compute what the models do: read back, and run operator by operator in plain loops.
//! (`tests/onnx_runtime.py` has them checked and run by those whose format it is.)

mod file;
mod run;

use dlrm::backend::{Cpu, Interaction, Pooling};
use dlrm::nn::{Compression, CrossConfig, Dlrm, DlrmConfig, QrOperation, WeightedPooling};
use dlrm::onnx::{self, Bags};
use dlrm::{Batch, JaggedTensor, Parameters, Predictor, Stream};
use run::Tensor;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

fn config() -> DlrmConfig {
    DlrmConfig {
        dense_features: 3,
        num_embeddings: vec![5, 2, 7],
        embedding_dim: 4,
        bottom_mlp: vec![6, 4],
        top_mlp: vec![5, 1],
        interaction: Interaction::Dot,
        pooling: Pooling::Sum,
        weighted_pooling: None,
        cross: None,
        compression: None,
    }
}

fn predictor(config: &DlrmConfig) -> Predictor<Dlrm> {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let model = Dlrm::new(config, &mut params, &mut Stream::native(3)).unwrap();
    // Weights of rows are ones at first, which would hide a mistake.
    for table in params.tables_mut().iter_mut().filter(|table| table.embedding_dim() == 1) {
        table.values_mut().iter_mut().enumerate().for_each(|(i, w)| *w = 0.5 + i as f32);
    }
    Predictor::new(model, params)
}

/// Bags of no, one and several ids, also empty ones at both ends; or of one each.
fn batch(config: &DlrmConfig, b: usize, bags: Bags) -> Batch {
    let list = |rows: usize| {
        let mut list = JaggedTensor::default();
        for i in 0..b {
            let ids = [0, 1, 2, 3].map(|j| ((i + 2 * j) % rows) as u32);
            list.push_bag(&ids[..if bags == Bags::One { 1 } else { 3 * i % 4 }]);
        }
        list
    };
    Batch {
        dense: (0..b * config.dense_features).map(|i| (i as f32 * 0.37).sin()).collect(),
        dense_features: config.dense_features,
        sparse: config.num_embeddings.iter().map(|&rows| list(rows)).collect(),
        labels: vec![0.0; b],
    }
}

/// A batch as the graph takes it.
fn inputs(batch: &Batch, bags: Bags) -> HashMap<String, Tensor> {
    let (b, numbers) = (batch.len(), |ids: &[u32]| ids.iter().map(|&id| f64::from(id)).collect::<Vec<_>>());
    let mut inputs = HashMap::new();
    if batch.dense_features > 0 {
        let dense = batch.dense.iter().map(|&x| f64::from(x)).collect();
        inputs.insert("dense_x".to_owned(), Tensor { shape: vec![b, batch.dense_features], values: dense });
    }
    if bags == Bags::One && !batch.sparse.is_empty() {
        let ids = batch.sparse.iter().flat_map(|list| numbers(list.values())).collect();
        inputs.insert("indices".to_owned(), Tensor { shape: vec![batch.sparse.len(), b], values: ids });
    }
    for (t, list) in batch.sparse.iter().enumerate().filter(|_| bags == Bags::Lists) {
        inputs.insert(format!("indices_{t}"), Tensor::list(numbers(list.values())));
        inputs.insert(format!("offsets_{t}"), Tensor::list(numbers(&list.offsets()[..b])));
    }
    inputs
}

/// Compares what the file at `path` computes with the model.
fn compare(what: &str, path: &Path, predictor: &mut Predictor<Dlrm>, bags: Bags) {
    let graph = file::read(path);
    let config = predictor.model().config().clone();
    for b in [1, 2, 9] {
        let batch = batch(&config, b, bags);
        let given = inputs(&batch, bags);
        let mut names: Vec<&String> = given.keys().collect();
        names.sort();
        let mut expected: Vec<&String> = graph.inputs.iter().collect();
        expected.sort();
        assert_eq!(names, expected, "{what}: inputs");
        let found = run::run(&graph, given);
        assert_eq!(found.shape, [b, 1], "{what}");
        for (found, expected) in found.values.iter().zip(predictor.probabilities(&batch).unwrap()) {
            assert!((found - f64::from(*expected)).abs() < 1e-6, "{what}, {b}: {found}, expected {expected}");
        }
    }
}

#[test]
fn every_graph_computes_what_its_model_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let base = config();
    for (what, config) in [
        ("dot", base.clone()),
        ("with itself", DlrmConfig { interaction: Interaction::DotItself, ..base.clone() }),
        ("cat", DlrmConfig { interaction: Interaction::Cat, ..base.clone() }),
        (
            "DCN-v2",
            DlrmConfig {
                interaction: Interaction::Cat,
                cross: Some(CrossConfig { layers: 2, rank: 3 }),
                ..base.clone()
            },
        ),
        ("mean", DlrmConfig { pooling: Pooling::Mean, ..base.clone() }),
        ("no dense features", DlrmConfig { dense_features: 0, bottom_mlp: vec![], ..base.clone() }),
        ("no tables", DlrmConfig { num_embeddings: vec![], ..base.clone() }),
        ("no bottom MLP", DlrmConfig { embedding_dim: 3, bottom_mlp: vec![], ..base.clone() }),
        ("weights of rows", DlrmConfig { weighted_pooling: Some(WeightedPooling::Learned), ..base }),
    ] {
        let mut predictor = predictor(&config);
        for bags in [Bags::One, Bags::Lists] {
            onnx::export(&path, predictor.model(), predictor.params(), bags, false).unwrap();
            compare(&format!("{what}, {bags:?}"), &path, &mut predictor, bags);
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the file alone");
}

#[test]
fn weights_may_lie_beside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let mut predictor = predictor(&config());
    onnx::export(&path, predictor.model(), predictor.params(), Bags::One, true).unwrap();
    assert_eq!(
        std::fs::metadata(folder.path().join("model.onnx.data")).unwrap().len(),
        4 * predictor.params().count() as u64
    );
    compare("external", &path, &mut predictor, Bags::One);
}

#[test]
fn compressed_tables_are_looked_up_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let qr = |operation| Compression::QuotientRemainder { threshold: 4, collisions: 3, operation };
    let md = |temperature| Compression::MixedDimension { threshold: 4, temperature, round_dims: false };
    for compression in [qr(QrOperation::Mult), qr(QrOperation::Add), qr(QrOperation::Concat), md(0.7), md(0.0)] {
        for pooling in [Pooling::Sum, Pooling::Mean] {
            let mut predictor = predictor(&DlrmConfig { compression: Some(compression), pooling, ..config() });
            for bags in [Bags::One, Bags::Lists] {
                onnx::export(&path, predictor.model(), predictor.params(), bags, false).unwrap();
                compare(&format!("{compression:?}, {pooling:?}, {bags:?}"), &path, &mut predictor, bags);
            }
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let predictor = predictor(&config());
    let path = folder.path().join("none").join("model.onnx");
    let message = onnx::export(&path, predictor.model(), predictor.params(), Bags::One, false).unwrap_err().to_string();
    assert!(message.starts_with(path.to_str().unwrap()) && message.contains("No such file"), "{message}");
}
