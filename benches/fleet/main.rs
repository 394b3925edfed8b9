//! The fleet simulator.
mod kernel;

fn main() -> anyhow::Result<()> {
    kernel::validate()
}
