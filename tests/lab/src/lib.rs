//! The test bed.

pub mod traffic;
pub mod world;
