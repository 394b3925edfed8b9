//! The test bed: what kernel tests, the demo and the benchmarks are written with.
//!
//! The `cargo lab` command (the binary of this package) boots the machine they run in; see
//! `docs/lab.md`.

pub mod demo;
pub mod harness;
mod patience;
pub mod traffic;
pub mod world;

pub use patience::until;
