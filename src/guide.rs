//! Longer reading: pages about the whole, where the modules' own pages are about parts. The paper ends with the wish for a
//! detailed and accessible description (section 6); this is one.

#[doc = include_str!("guide/06_sparse_optimizers.md")]
pub mod ch06_sparse_optimizers {}

#[doc = include_str!("guide/08_gathers.md")]
pub mod ch08_gathers {}

#[doc = include_str!("guide/09_parallelism.md")]
pub mod ch09_parallelism {}

#[doc = include_str!("guide/10_evaluation.md")]
pub mod ch10_evaluation {}

#[doc = include_str!("guide/determinism.md")]
pub mod determinism {}

#[doc = include_str!("guide/fewer_bits.md")]
pub mod fewer_bits {}

#[doc = include_str!("guide/gpu.md")]
pub mod gpu {}

#[doc = include_str!("guide/paper_map.md")]
pub mod paper_map {}

#[doc = include_str!("guide/where_the_time_goes.md")]
pub mod where_the_time_goes {}

#[doc = include_str!("guide/real_rows.md")]
pub mod real_rows {}

#[doc = include_str!("guide/reference_flags.md")]
pub mod reference_flags {}

#[doc = include_str!("guide/safety.md")]
pub mod safety {}

#[doc = include_str!("guide/where_we_differ.md")]
pub mod where_we_differ {}
