//! Results of tests: each as it comes, the sums at the end.

use std::fmt;
use std::time::Duration;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should; why, in any number of lines.
    Failed(String),
    /// It did not want to run.
    Ignored,
}

/// The results so far.
#[derive(Default)]
pub struct Report {
    passed: usize,
    ignored: usize,
    failed: Vec<String>,
}

impl Report {
    /// Counts and prints the result of a test.
    pub fn add(&mut self, name: &str, outcome: &Outcome, time: Option<Duration>) {
        let time = time.map_or_else(String::new, |time| {
            format!(" ({:.2} s)", time.as_secs_f64())
        });
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                println!("test {name} ... ok{time}");
            }
            Outcome::Ignored => {
                self.ignored += 1;
                println!("test {name} ... ignored");
            }
            Outcome::Failed(why) => {
                self.failed.push(name.to_owned());
                println!("test {name} ... FAILED{time}");
                for line in why.trim_end().lines() {
                    println!("    | {line}");
                }
            }
        }
    }

    /// How many tests have a result.
    pub fn count(&self) -> usize {
        self.passed + self.ignored + self.failed.len()
    }

    /// Whether no test failed.
    pub fn is_good(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.failed.is_empty() {
            writeln!(f, "failed:")?;
            for name in &self.failed {
                writeln!(f, "    {name}")?;
            }
        }
        if self.ignored > 0 {
            writeln!(f, "{} ignored", self.ignored)?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_the_sums() {
        let mut report = Report::default();
        report.add("kernel::a", &Outcome::Passed, None);
        assert_eq!(report.to_string(), "1 passed, 0 failed");
        assert!(report.is_good());

        report.add("kernel::b", &Outcome::Failed("no route".into()), None);
        report.add("kernel::c", &Outcome::Ignored, None);
        assert_eq!(
            report.to_string(),
            "failed:\n    kernel::b\n1 ignored\n1 passed, 1 failed"
        );
        assert!(!report.is_good());
    }
}
