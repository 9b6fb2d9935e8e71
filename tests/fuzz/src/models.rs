//! Models: their shapes, and their files.

use dlrm::backend::{Backend, Cpu};
use dlrm::checkpoint::Checkpoint;
use dlrm::nn::{Dcn, DcnConfig, Dlrm, DlrmConfig};
use std::sync::{Arc, OnceLock};

/// One thread, the same for all.
fn backend() -> Arc<dyn Backend> {
    static CPU: OnceLock<Arc<Cpu>> = OnceLock::new();
    CPU.get_or_init(|| Arc::new(Cpu::new(1))).clone()
}

/// A model's shape in JSON: whether it is one, how large it is; and, as that of a checkpoint without a tensor, the names
/// of its parameters.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = serde_json::from_str::<DlrmConfig>(text).map(|config| (config.validate(), config.num_parameters()));
    assert!(!matches!(parsed, Ok((Ok(()), 0))), "a model of nothing");
    let parsed = serde_json::from_str::<DcnConfig>(text).map(|config| (config.validate(), config.num_parameters()));
    assert!(!matches!(parsed, Ok((Ok(()), 0))), "a model of nothing");
    let header = serde_json::json!({ "__metadata__": { "config": text } }).to_string();
    checkpoint(&[&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat());
}

/// A checkpoint: what it says of itself, and its numbers.
pub fn checkpoint(bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("a file");
    let Ok(mut file) = Checkpoint::open(file.path()) else { return };
    let _ = (file.is_run(), file.step(), file.check_vocabulary(1));
    let _ = file.verify();
    if let Ok(config) = file.config::<DlrmConfig>() {
        let _ = file.read(backend(), |params, stream| Dlrm::new(&config, params, stream));
    }
    if let Ok(config) = file.config::<DcnConfig>() {
        let _ = file.read(backend(), |params, stream| Dcn::new(&config, params, stream));
    }
}
