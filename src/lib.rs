//! The deep learning recommendation model (Naumov et al. 2019, arXiv 1906.00091) from scratch.
//!
//! The crate is built in floors, and each uses those below it only:
//!
//! | floor | modules | what |
//! |---|---|---|
//! | 7 | [`watch`] | files about a run: TensorBoard's event files, a page |
//! | 6 | [`predictor`] | a model that no longer learns |
//! | 6 | [`train`], [`baseline`] | the training loop, evaluation and reports; a logistic regression beside it |
//! | 5 | [`data`], [`metrics`] | rows to batches; predictions to figures |
//! | 5 | [`checkpoint`], [`onnx`] | models to files and back; to other runtimes |
//! | 5 | [`roofline`], [`profile`] | the limit that the machine sets for a step; where the time of a step goes |
//! | 4 | [`nn`], [`optim`] | layers and the model; optimizers and learning-rate policy |
//! | 3 | [`ops`] | one differentiable operation a file |
//! | 2 | [`tape`], [`gradients`], [`mod@gradcheck`] | reverse-mode differentiation |
//! | 1 | [`backend`], [`parameters`] | where things are computed and where what is learned lives |
//! | 1 | [`tensor`], [`buffer`], [`jagged`], [`batch`], [`random`], [`error`], [`memory`] | plain data; memory that is needed, there and taken |
//! | 1 | [`comm`] | ranks that compute one model together, and what they exchange |
//! | 0 | the crate `dlrm-kernels` | SIMD loops over slices |
//!
//! [`guide`] has chapters to be read beside the paper, from [a tape in 60 lines](guide::ch01_tape) on, and pages about the
//! whole: [what the examples do](guide::running), [where the time of a step goes](guide::where_the_time_goes), [what fewer
//! bits a number cost and save](guide::fewer_bits), [how to compute on a GPU](guide::gpu),
//! [what models and recipes make of real rows](guide::real_rows), [what has the same bits where](guide::determinism),
//! where each [flag of the public reference](guide::reference_flags) is here, and what is [unsafe, and done to break
//! it](guide::safety). Who reads the paper beside the code finds each of its parts in [a map](guide::paper_map), and
//! [where we differ from it](guide::where_we_differ).
//!
//! A training step, by hand:
//!
//! ```
//! use dlrm::backend::{Cpu, LossKind};
//! use dlrm::nn::{Dlrm, DlrmConfig, Model};
//! use dlrm::optim::{Optimizer, UpdateRule};
//! use dlrm::{Batch, Gradients, JaggedTensor, Parameters, Stream, Tape, ops};
//! use std::sync::Arc;
//!
//! let mut params = Parameters::new(Arc::new(Cpu::new(1)));
//! let config = DlrmConfig { embedding_dim: 16, ..DlrmConfig::criteo_kaggle(vec![100, 50]) };
//! let model = Dlrm::new(&config, &mut params, &mut Stream::native(1))?;
//! let batch = Batch {
//!     dense: vec![0.5; 2 * 13],
//!     dense_features: 13,
//!     sparse: vec![JaggedTensor::one_per_bag(vec![3, 99]), JaggedTensor::one_per_bag(vec![49, 0])],
//!     labels: vec![1.0, 0.0],
//! };
//! model.check(&batch)?;
//!
//! let mut tape = Tape::new(params.backend().clone());
//! let mut grads = Gradients::new(&params);
//! let mut optimizer = Optimizer::new(UpdateRule::Sgd, &params);
//! let mut losses = Vec::new();
//! for _ in 0..3 {
//!     tape.clear();
//!     grads.clear();
//!     let logits = model.forward(&mut tape, &params, &batch);
//!     let labels = tape.input(&[2], &batch.labels);
//!     let loss = ops::loss(&mut tape, LossKind::BCE, logits, labels);
//!     losses.push(tape.value(loss).as_slice()[0]);
//!     tape.backward(loss, &params, &mut grads);
//!     optimizer.step(&mut params, &grads, 0.1);
//! }
//! assert!(losses[2] < losses[0]);
//! # Ok::<(), dlrm::Error>(())
//! ```
#![forbid(unsafe_code)]

pub mod backend;
pub mod baseline;
pub mod batch;
pub mod buffer;
pub mod checkpoint;
pub mod comm;
pub mod data;
pub mod error;
pub mod gradcheck;
pub mod gradients;
pub mod guide;
pub mod jagged;
pub mod memory;
pub mod metrics;
pub mod nn;
pub mod onnx;
pub mod ops;
pub mod optim;
pub mod parameters;
mod partial;
pub mod predictor;
pub mod profile;
mod proto;
pub mod random;
pub mod roofline;
pub mod tape;
pub mod tensor;
pub mod train;
pub mod watch;

pub use batch::Batch;
pub use error::{Error, Result};
pub use gradients::Gradients;
pub use jagged::JaggedTensor;
pub use parameters::Parameters;
pub use predictor::Predictor;
pub use random::Stream;
pub use tape::{Tape, Var};
pub use tensor::Tensor;
