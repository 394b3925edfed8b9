//! Reads results out of what the test programs in the machine print.
//!
//! A program announces each test and its outcome by a line of JSON (the format of libtest); the
//! lines in between are the output of that test, as one test runs at a time.

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::time::Instant;

use serde::Deserialize;

use super::report::{Outcome, Report};
use crate::machine::job::Notice;

/// How an event begins; a test may have left an unfinished line before it.
const EVENT: &str = r#"{ "type": ""#;

/// How many lines of a failed test's output to show; all of them are in the run's folder.
const SHOWN_LINES: usize = 200;

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "event")]
    what: String,
    name: Option<String>,
    stdout: Option<String>,
}

/// The results of a run as far as it has come.
pub struct Stream<'a> {
    report: &'a mut Report,
    /// The tests without a result, by their full names.
    pending: BTreeSet<String>,
    running: Option<(String, Instant)>,
    output: VecDeque<String>,
    /// Whether to show the output of every test.
    verbose: bool,
}

impl<'a> Stream<'a> {
    /// A run of the tests named in `pending`.
    pub fn new(report: &'a mut Report, pending: BTreeSet<String>, verbose: bool) -> Self {
        Self {
            report,
            pending,
            running: None,
            output: VecDeque::new(),
            verbose,
        }
    }

    /// Takes the next line.
    pub fn line(&mut self, line: &str) {
        if let Some((text, notice)) = Notice::in_line(line) {
            self.unfinished(text);
            self.notice(notice);
        } else if let Some((text, event)) = event_in(line) {
            self.unfinished(text);
            self.event(event);
        } else {
            self.text(line);
        }
    }

    /// Ends the run: tests without a result have failed, the first of them because of `why`.
    pub fn end(mut self, why: &str) {
        if self.running.is_none() {
            self.running = self
                .pending
                .first()
                .map(|name| (name.clone(), Instant::now()));
        }
        self.interrupted(why);
        let pending = mem::take(&mut self.pending);
        self.not_run(pending);
    }

    fn notice(&mut self, notice: Notice) {
        if let Notice::Ended { program, status } = notice {
            self.interrupted(&format!("the test program ended: {status}"));
            let prefix = format!("{program}::");
            let (lost, pending) = mem::take(&mut self.pending)
                .into_iter()
                .partition(|name| name.starts_with(&prefix));
            self.pending = pending;
            self.not_run(lost);
        }
        self.output.clear();
    }

    fn not_run(&mut self, names: BTreeSet<String>) {
        for name in names {
            self.report
                .add(&name, &Outcome::Failed("not run".to_owned()), None);
        }
    }

    fn event(&mut self, event: Event) {
        let (Some(name), "test") = (event.name, event.kind.as_str()) else {
            return;
        };
        match event.what.as_str() {
            "started" => {
                self.output.clear();
                self.running = Some((name, Instant::now()));
            }
            "ok" => self.ended(&name, &Outcome::Passed),
            "ignored" => self.ended(&name, &Outcome::Ignored),
            _ => {
                let why = self.failure(event.stdout.as_deref().map_or("", message));
                self.ended(&name, &why);
            }
        }
    }

    fn unfinished(&mut self, text: &str) {
        if !text.is_empty() {
            self.text(text);
        }
    }

    fn text(&mut self, line: &str) {
        if self.verbose {
            println!("    | {line}");
        }
        if self.output.len() == SHOWN_LINES {
            self.output.pop_front();
        }
        self.output.push_back(line.to_owned());
    }

    /// The test that runs, if one does, gets no outcome any more.
    fn interrupted(&mut self, why: &str) {
        if let Some((name, _)) = &self.running {
            let name = name.clone();
            let outcome = self.failure(why);
            self.ended(&name, &outcome);
        }
    }

    fn failure(&mut self, why: &str) -> Outcome {
        let mut text = String::new();
        for line in self.output.drain(..) {
            text.push_str(&line);
            text.push('\n');
        }
        text.push_str(why);
        Outcome::Failed(text)
    }

    fn ended(&mut self, name: &str, outcome: &Outcome) {
        let time = self.running.take().map(|(_, start)| start.elapsed());
        self.pending.remove(name);
        self.report.add(name, outcome, time);
    }
}

/// The event at the end of a line, and the text before it.
fn event_in(line: &str) -> Option<(&str, Event)> {
    let (text, event) = line.split_at(line.rfind(EVENT)?);
    Some((text, serde_json::from_str(event).ok()?))
}

/// The message in the `stdout` of a failed test: `Error: "MESSAGE"`.
fn message(stdout: &str) -> &str {
    let text = stdout.trim_end();
    text.strip_prefix("Error: \"")
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a run of `kernel::a`, `kernel::b` and `traffic::c` that prints these lines comes to.
    fn report_of(lines: &[&str], end: &str) -> String {
        let mut report = Report::default();
        let names = ["kernel::a", "kernel::b", "traffic::c"].map(str::to_owned);
        let mut stream = Stream::new(&mut report, names.into(), false);
        for line in lines {
            stream.line(line);
        }
        stream.end(end);
        report.to_string()
    }

    const A_STARTED: &str = r#"{ "type": "test", "event": "started", "name": "kernel::a" }"#;
    const A_OK: &str = r#"{ "type": "test", "name": "kernel::a", "event": "ok" }"#;
    const B_STARTED: &str = r#"{ "type": "test", "event": "started", "name": "kernel::b" }"#;
    const B_FAILED: &str = r#"{ "type": "test", "name": "kernel::b", "event": "failed", "stdout": "Error: \"refused\"\n" }"#;
    const KERNEL_ENDED: &str = r#"{"lab":"ended","program":"kernel","status":"exit code 101"}"#;
    const C_STARTED: &str = r#"{ "type": "test", "event": "started", "name": "traffic::c" }"#;
    const C_OK: &str = r#"{ "type": "test", "name": "traffic::c", "event": "ok" }"#;

    #[test]
    fn each_test_has_its_outcome() {
        let lines = [
            A_STARTED,
            "noise",
            A_OK,
            B_STARTED,
            B_FAILED,
            KERNEL_ENDED,
            C_STARTED,
            C_OK,
        ];
        let report = report_of(&lines, "the machine ended");
        assert_eq!(report, "failed:\n    kernel::b\n2 passed, 1 failed");
    }

    #[test]
    fn an_unfinished_line_does_not_hide_an_outcome() {
        let glued = format!("waiting … {A_OK}");
        let report = report_of(&[A_STARTED, &glued], "panic");
        assert!(report.ends_with("1 passed, 2 failed"), "{report}");
    }

    #[test]
    fn tests_that_a_dead_program_leaves_have_failed() {
        let glued = format!("half a line{KERNEL_ENDED}");
        let report = report_of(&[A_STARTED, &glued, C_STARTED, C_OK], "the end");
        assert_eq!(
            report,
            "failed:\n    kernel::a\n    kernel::b\n1 passed, 2 failed"
        );
    }

    #[test]
    fn tests_that_a_dead_machine_leaves_have_failed() {
        let report = report_of(&[A_STARTED, A_OK, B_STARTED], "kernel panic");
        assert_eq!(
            report,
            "failed:\n    kernel::b\n    traffic::c\n1 passed, 2 failed"
        );
    }

    #[test]
    fn a_failure_shows_the_output_and_the_message() {
        let mut report = Report::default();
        let mut stream = Stream::new(&mut report, BTreeSet::new(), false);
        stream.line("connected");
        assert_eq!(
            stream.failure(message("Error: \"refused\"\n")),
            Outcome::Failed("connected\nrefused".to_owned())
        );
    }
}
