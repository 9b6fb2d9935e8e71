//! Models to safetensors files and back, and what is said about files that are not whole.

use dlrm::backend::{Cpu, Interaction, Pooling};
use dlrm::checkpoint::{self, Checkpoint};
use dlrm::nn::{Compression, CrossConfig, Dlrm, DlrmConfig, QrOperation, WeightedPooling};
use dlrm::{Parameters, Result, Stream};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

fn config() -> DlrmConfig {
    DlrmConfig {
        dense_features: 3,
        num_embeddings: vec![5, 2],
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

fn params(config: &DlrmConfig) -> Parameters {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    Dlrm::new(config, &mut params, &mut Stream::native(1)).unwrap();
    params
}

/// Every number, with its parameter's name.
fn numbers(params: &Parameters) -> Vec<(&str, &[f32])> {
    let tables = params.tables().iter().map(|t| (t.name(), t.values()));
    tables.chain(params.dense().iter().map(|p| (p.name(), p.value().as_slice()))).collect()
}

fn read(path: &Path) -> Result<(DlrmConfig, Parameters)> {
    let mut file = Checkpoint::open(path)?;
    let config: DlrmConfig = file.config()?;
    let make = |params: &mut Parameters, stream: &mut Stream| Dlrm::new(&config, params, stream);
    let (_, params) = file.read(Arc::new(Cpu::new(1)), make)?;
    Ok((config, params))
}

/// A model in a file of a folder of its own.
fn saved(config: &DlrmConfig) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    checkpoint::save(&path, &params(config), config, Some(7)).unwrap();
    (folder, path)
}

#[test]
fn every_number_comes_back() {
    let base = config();
    for config in [
        base.clone(),
        DlrmConfig { interaction: Interaction::DotItself, pooling: Pooling::Mean, ..base.clone() },
        DlrmConfig { interaction: Interaction::Cat, dense_features: 0, bottom_mlp: vec![], ..base.clone() },
        DlrmConfig { num_embeddings: vec![], ..base.clone() },
        DlrmConfig {
            compression: Some(Compression::QuotientRemainder {
                threshold: 4,
                collisions: 2,
                operation: QrOperation::Add,
            }),
            ..base.clone()
        },
        DlrmConfig {
            compression: Some(Compression::MixedDimension { threshold: 1, temperature: 0.3, round_dims: true }),
            ..base.clone()
        },
        DlrmConfig { interaction: Interaction::Cat, cross: Some(CrossConfig { layers: 2, rank: 3 }), ..base.clone() },
        DlrmConfig { embedding_dim: 1, bottom_mlp: vec![1], num_embeddings: vec![300_000], ..base.clone() },
        DlrmConfig { weighted_pooling: Some(WeightedPooling::Learned), ..base },
    ] {
        let (_folder, path) = saved(&config);
        let (same, found) = read(&path).unwrap();
        assert_eq!(same, config);
        assert_eq!(numbers(&found), numbers(&params(&config)), "{config:?}");
        let again = path.with_extension("again");
        checkpoint::save(&again, &found, &config, Some(7)).unwrap();
        assert!(fs::read(&path).unwrap() == fs::read(&again).unwrap(), "the same model is the same bytes");
    }
}

#[test]
fn packed_copies_follow() {
    let config = config();
    let (_folder, path) = saved(&config);
    let (found, made) = (read(&path).unwrap().1, params(&config));
    for (found, made) in found.dense().iter().zip(made.dense()) {
        assert_eq!(found.packed().forward.as_slice(), made.packed().forward.as_slice(), "{}", made.name());
        assert_eq!(found.packed().backward.as_slice(), made.packed().backward.as_slice(), "{}", made.name());
    }
}

#[test]
fn other_readers_read_it() {
    let (_folder, path) = saved(&DlrmConfig { weighted_pooling: Some(WeightedPooling::Learned), ..config() });
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut shapes: Vec<_> = file.iter().map(|(name, t)| format!("{name} {:?} {:?}", t.dtype(), t.shape())).collect();
    shapes.sort();
    let expected = [
        "bot_l.0.bias F32 [6]",
        "bot_l.0.weight F32 [6, 3]",
        "bot_l.2.bias F32 [4]",
        "bot_l.2.weight F32 [4, 6]",
        "emb_l.0.weight F32 [5, 4]",
        "emb_l.1.weight F32 [2, 4]",
        "top_l.0.bias F32 [5]",
        "top_l.0.weight F32 [5, 7]",
        "top_l.2.bias F32 [1]",
        "top_l.2.weight F32 [1, 5]",
        "v_W_l.0 F32 [5]",
        "v_W_l.1 F32 [2]",
    ];
    assert_eq!(shapes, expected);
    let table = params(&config()).tables()[0].values().to_vec();
    assert_eq!(file.tensor("emb_l.0.weight").unwrap().data(), bytemuck::cast_slice::<f32, u8>(&table));
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["vocabulary"], "crc32:00000007");
}

/// A checkpoint of these tensors, as another program would write it.
fn write(path: &Path, tensors: &[(&str, Dtype, Vec<usize>)], metadata: &[(&str, &str)]) {
    let bytes = vec![0; 4096];
    let views = tensors.iter().map(|(name, dtype, shape)| {
        let len = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (*name, TensorView::new(*dtype, shape.clone(), &bytes[..len]).unwrap())
    });
    let metadata: HashMap<String, String> = metadata.iter().map(|&(k, v)| (k.into(), v.into())).collect();
    safetensors::serialize_to_file(views, Some(metadata), path).unwrap();
}

/// A model of one layer that takes two dense features.
const SMALL: &str = r#"{"dense_features":2,"num_embeddings":[],"embedding_dim":1,"bottom_mlp":[],"top_mlp":[1],
    "interaction":"dot","pooling":"sum","weighted_pooling":null}"#;

#[test]
fn what_does_not_fit_is_named() {
    let (f32, weight, bias) = (Dtype::F32, "top_l.0.weight", "top_l.0.bias");
    let good = || vec![(weight, f32, vec![1, 2]), (bias, f32, vec![1])];
    let with = |i: usize, change: (&'static str, Dtype, Vec<usize>)| {
        let mut tensors = good();
        tensors.insert(i, change);
        tensors
    };
    let config = [("config", SMALL)];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    write(&path, &good(), &config);
    assert_eq!(read(&path).unwrap().1.count(), 3, "what another program wrote");
    let wide = SMALL.replace("[1]", "[20000000,1]");
    let huge = SMALL.replace("\"dense_features\":2", "\"dense_features\":16000000").replace("[1]", "[16000000,1]");
    let cases = [
        (good()[..1].to_vec(), &config[..], "no tensor top_l.0.bias, expected one of shape [1]"),
        (with(0, ("extra", f32, vec![1])), &config, "a tensor extra, which the model does not have"),
        (
            vec![(weight, f32, vec![2, 1]), (bias, f32, vec![1])],
            &config,
            "tensor top_l.0.weight has shape [2, 1], expected [1, 2]",
        ),
        (
            vec![(weight, f32, vec![2]), (bias, f32, vec![1])],
            &config,
            "tensor top_l.0.weight has shape [2], expected [1, 2]",
        ),
        (with(0, ("half", Dtype::F16, vec![2])), &config, "tensor half is of F16, expected F32"),
        (
            good(),
            &[],
            "no \"config\" in the metadata, expected the model's shape (examples/convert_checkpoint.py adds it)",
        ),
        (
            good(),
            &[("config", "{}")],
            "the metadata's \"config\" is not that of this model (missing field `dense_features` at line 1 column 2)",
        ),
        (good(), &[("config", &wide)], "20000000 numbers side by side, expected at most 16777216"),
        (good(), &[("config", &huge)], "tensor top_l.0.weight has shape [1, 2], expected "),
        (good(), &[("config", SMALL), ("numbers", "{}")], "no checksum of tensor top_l.0.bias in the metadata's"),
        (
            good(),
            &[("config", SMALL), ("numbers", "[1]")],
            "the metadata's \"numbers\" are no checksums by tensor (invalid type: sequence, expected a map",
        ),
        (
            good(),
            &[("config", SMALL), ("header", "crc32:12345678")],
            "its header is not that of the checksum in it: it is damaged",
        ),
        (with(0, ("best.top_l.0.bias", f32, vec![1])), &config, "a tensor best.top_l.0.bias, which the model does not"),
        (
            with(0, ("extra", f32, vec![1])),
            &[("config", SMALL), ("run", "{}")],
            "a tensor extra, which the model does not have",
        ),
        (
            good(),
            &[("config", SMALL), ("numbers", "crc32:12345678")],
            "its numbers are not those of the checksum in its metadata: it is damaged",
        ),
    ];
    for (tensors, metadata, expected) in cases {
        write(&path, &tensors, metadata);
        let message = read(&path).unwrap_err().to_string();
        let message = message.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&message);
        assert!(message.starts_with(expected) && message.len() < expected.len() + 40, "{message}, expected {expected}");
    }
}

#[test]
fn of_a_run_the_model_alone_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let names = ["best.top_l.0.bias", "optimizer.first.top_l.0.bias", "top_l.0.bias"];
    let mut tensors: Vec<_> = names.iter().map(|name| (*name, Dtype::F32, vec![1])).collect();
    tensors.push(("top_l.0.weight", Dtype::F32, vec![1, 2]));
    write(&path, &tensors, &[("config", SMALL), ("run", "{}"), ("step", "7")]);
    let mut file = Checkpoint::open(&path).unwrap();
    assert!(file.is_run() && file.step().unwrap() == 7 && read(&path).unwrap().1.count() == 3);
    let message = file.verify().unwrap_err().to_string();
    assert!(message.ends_with("no checksums of its header and of each tensor in the metadata"), "{message}");
    let (_folder, path) = saved(&config());
    let message = Checkpoint::open(&path).unwrap().step().unwrap_err().to_string();
    assert!(message.ends_with("a model alone, expected a checkpoint of a run"), "{message}");
}

#[test]
fn a_number_that_is_none_is_named() {
    let (_folder, path) = saved(&config());
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    for (number, expected) in [
        (f32::NAN, "number 0 of tensor top_l.2.bias is NaN, expected a finite one"),
        (1.5, "the numbers of tensor top_l.2.bias are not those of its checksum: it is damaged"),
    ] {
        bytes[end - 4..].copy_from_slice(&number.to_le_bytes()); // in the last tensor, of one number
        fs::write(&path, &bytes).unwrap();
        let verified = Checkpoint::open(&path).unwrap().verify();
        for message in [read(&path).unwrap_err(), verified.unwrap_err()].map(|e| e.to_string()) {
            assert!(message.ends_with(&format!("model.safetensors: {expected}")), "{message}");
        }
    }
}

#[test]
fn another_vocabulary_is_an_error() {
    let (_folder, path) = saved(&config());
    let file = Checkpoint::open(&path).unwrap();
    file.check_vocabulary(7).unwrap();
    let message = file.check_vocabulary(8).unwrap_err().to_string();
    let expected = "was trained on another vocabulary (crc32:00000007), expected that of the rows (crc32:00000008)";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn cut_anywhere_it_is_one_clear_line() {
    let (_folder, path) = saved(&config());
    let whole = fs::read(&path).unwrap();
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        let message = read(&path).unwrap_err().to_string();
        let expected = if len < 8 { "not a checkpoint, expected a safetensors file" } else { "cut short: " };
        assert!(message.contains(expected) && message.lines().count() == 1, "{len} bytes: {message}");
    }
    fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    let message = read(&path).unwrap_err().to_string();
    assert!(message.ends_with("1 bytes after the last tensor, expected the end"), "{message}");
}

#[test]
fn no_change_of_a_byte_goes_unseen_or_panics() {
    let (_folder, path) = saved(&config());
    let whole = fs::read(&path).unwrap();
    let (same, made) = (config(), params(&config()));
    let mut state = 1u64;
    for at in 0..whole.len() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (state >> 61);
        fs::write(&path, &bytes).unwrap();
        match read(&path) {
            Err(e) => assert_eq!(e.to_string().lines().count(), 1, "byte {at}: {e}"),
            // In the name of the header's checksum, which may be absent.
            Ok((config, found)) => assert!(config == same && numbers(&found) == numbers(&made), "byte {at}"),
        }
        let verified = Checkpoint::open(&path).and_then(|mut file| file.verify());
        assert!(verified.is_err(), "byte {at}");
    }
}

#[test]
fn a_file_that_cannot_be_written_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let (model, nowhere) = (params(&config()), folder.path().join("none").join("model"));
    for (path, expected) in
        [(folder.path(), "not the name of a file, expected one to write"), (&nowhere, "No such file")]
    {
        for said in [checkpoint::check_path(path), checkpoint::save(path, &model, &config(), None)] {
            let message = said.unwrap_err().to_string();
            assert!(message.contains(expected) && message.starts_with(path.to_str().unwrap()), "{message}");
        }
    }
    let path = folder.path().join("model");
    checkpoint::check_path(&path).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of a look");
    checkpoint::save(&path, &model, &config(), None).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
