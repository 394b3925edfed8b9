use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// Asks again until it is so. Every question takes its time, so this does not spin.
pub fn until(what: &str, patience: Duration, mut so: impl FnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !so()? {
        ensure!(
            begin.elapsed() < patience,
            "{what}: not so after {patience:?}"
        );
    }
    Ok(())
}
