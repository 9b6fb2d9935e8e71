//! The kernels of the `dlrm` crate.
