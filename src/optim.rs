//! Optimizers and their learning rate.

pub mod schedule;
