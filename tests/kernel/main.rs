//! Tests of the kernel room against a real kernel; run them by `cargo lab test kernel`.

mod namespace;

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::harness::main(
        "kernel",
        lab::tests![namespace::a_test_has_a_network_namespace_of_its_own],
    )
}
