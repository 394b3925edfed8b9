//! Runs a test within a time limit and, when it does not end, says where it hangs.

use std::fmt::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, anyhow, bail};

/// Overrides the time limit, in seconds.
pub const LIMIT: &str = "SPILLWAY_LAB_TEST_SECONDS";

/// The lab's processor is emulated, about nine times slower than the machine's own.
const DEFAULT_SECONDS: u64 = 120;

/// The time that one test may take.
pub fn per_test() -> Duration {
    let seconds = env::var(LIMIT).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(DEFAULT_SECONDS))
}

/// Runs `test` on a thread of its own. A thread that outlives the limit is left behind in its
/// network namespace, where it disturbs nobody, and ends with the process.
pub fn within(
    limit: Duration,
    name: &str,
    test: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let (sender, outcome) = mpsc::channel();
    let thread = thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // The receiver is gone only after the limit: nobody wants the outcome any more.
            let _ = sender.send(test());
        })
        .context("start a thread for the test")?;
    match outcome.recv_timeout(limit) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => bail!(
            "hung: no end after {} s; this process' threads:\n{}",
            limit.as_secs(),
            threads().unwrap_or_else(|error| format!("{error:?}"))
        ),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => Err(anyhow!("panicked: {}", panic_message(&*panic))),
            Ok(()) => bail!("ended without an outcome"),
        },
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}

/// What each thread of this process waits for in the kernel.
fn threads() -> anyhow::Result<String> {
    let mut text = String::new();
    for task in fs::read_dir("/proc/self/task")? {
        let folder = task?.path();
        let read = |file| fs::read_to_string(folder.join(file)).unwrap_or_default();
        writeln!(text, "{}", read("comm").trim())?;
        for frame in read("stack").lines().take(6) {
            writeln!(text, "    {frame}")?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_mins(1);

    fn failure(
        limit: Duration,
        test: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> String {
        let error = within(limit, "probe", test).expect_err("the test fails");
        format!("{error:?}")
    }

    #[test]
    fn the_outcome_of_the_test_is_handed_on() {
        within(LATE, "probe", || Ok(())).expect("the test passes");
        assert!(failure(LATE, || bail!("no such pod")).starts_with("no such pod"));
    }

    #[test]
    fn a_panic_is_a_failure_with_its_message() {
        let message = failure(LATE, || panic!("{} pods", 3));
        assert!(message.starts_with("panicked: 3 pods"), "{message}");
    }

    #[test]
    fn a_test_that_does_not_end_is_reported_with_its_threads() {
        let (_keep, never) = mpsc::channel::<()>();
        let message = failure(SOON, move || Ok(never.recv()?));
        assert!(message.starts_with("hung"), "{message}");
        assert!(message.contains("\nprobe\n"), "{message}");
    }
}
