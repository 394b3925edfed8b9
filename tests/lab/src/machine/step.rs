//! Progress of the steps that take a while.

use std::time::Instant;

/// Does `work`, saying on standard error what it is and how long it took.
pub fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    eprint!("lab: {what} … ");
    let start = Instant::now();
    let outcome = work();
    let end = if outcome.is_ok() {
        "done in"
    } else {
        "failed after"
    };
    eprintln!("{end} {:.1} s", start.elapsed().as_secs_f64());
    outcome
}
