//! Spillway: a service proxy for Kubernetes that programs IPVS so that every connection goes to
//! the nearest pod that still has room.
//!
//! Data flows one way; a room knows only what is on its left:
//!
//! ```text
//! watch ──► snapshot ──► plan ──► sync ──► kernel
//! ```

pub mod agent;
pub mod capacity;
pub mod cli;
pub mod config;
pub mod kernel;
pub mod model;
pub mod plan;
pub mod reports;
pub mod serve;
pub mod snapshot;
pub mod sync;
pub mod watch;
