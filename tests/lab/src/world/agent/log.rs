//! What a process prints, kept and waited for.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The lines that a process has printed so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    /// Streams that may still bring some.
    open: usize,
}

impl Log {
    /// Collects the lines of a stream until it ends, and passes them on to this process's own
    /// log, where those of a test that fails are shown.
    pub fn follow(&self, who: &str, stream: impl Read + Send + 'static) {
        let (log, who) = (self.clone(), who.to_owned());
        log.lock().open += 1;
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                tracing::info!(target: "lab::agent", "{who} | {line}");
                log.change(|state| state.lines.push(line));
            }
            log.change(|state| state.open -= 1);
        });
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// The last lines.
    pub fn tail(&self, count: usize) -> String {
        let state = self.lock();
        state.lines[state.lines.len().saturating_sub(count)..].join("\n")
    }

    /// Whether the process has closed its streams, which it does by ending.
    pub fn has_ended(&self) -> bool {
        self.lock().open == 0
    }

    /// Waits for the end of the streams; whether it came in time.
    pub fn wait_end(&self, patience: Duration) -> bool {
        let state = self.lock();
        let waited = self
            .0
            .changed
            .wait_timeout_while(state, patience, |state| state.open > 0);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.open == 0
    }

    /// Waits for a line with a certain text; whether it came in time.
    pub fn wait_line(&self, text: &str, patience: Duration) -> bool {
        let has_it = |state: &State| state.lines.iter().any(|line| line.contains(text));
        let waited = self
            .0
            .changed
            .wait_timeout_while(self.lock(), patience, |state| {
                !has_it(state) && state.open > 0
            });
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        has_it(&state)
    }

    /// Waits for anything to be printed, or the time to pass.
    pub fn wait_change(&self, patience: Duration) {
        let state = self.lock();
        drop(self.0.changed.wait_timeout(state, patience));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held cannot have left a line half-written.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
