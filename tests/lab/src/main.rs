//! The `cargo lab` command.

fn main() {}
