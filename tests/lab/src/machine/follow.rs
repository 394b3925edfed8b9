//! Reads what a machine says until it ends, and cuts it off when it says nothing for too long.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How patient to be with a machine.
#[derive(Clone, Copy)]
pub struct Patience {
    /// Until the first line.
    pub first: Duration,
    /// Between two lines.
    pub silence: Duration,
    /// Altogether.
    pub total: Duration,
}

/// Why a machine did not end by itself.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Hang {
    /// It never got to the job.
    #[error("did not come up within {} s", .0.as_secs())]
    Boot(Duration),
    /// The job went silent.
    #[error("hung: it said nothing for {} s", .0.as_secs())]
    Silent(Duration),
    /// The job goes on and on.
    #[error("was not done after {} s", .0.as_secs())]
    Late(Duration),
}

/// Hands every line of the child's standard output to `each` until the output ends. The child is
/// dead afterwards.
pub fn follow(
    child: &mut Child,
    patience: Patience,
    mut each: impl FnMut(&str),
) -> anyhow::Result<Result<(), Hang>> {
    let lines = match child.stdout.take() {
        Some(output) => lines_of(output),
        None => anyhow::bail!("the machine's output is not piped"),
    };
    let start = Instant::now();
    let mut first = true;
    let outcome = loop {
        let quiet = if first {
            patience.first
        } else {
            patience.silence
        };
        let rest = patience.total.saturating_sub(start.elapsed());
        match lines.recv_timeout(quiet.min(rest)) {
            Ok(line) => each(&line),
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
            Err(RecvTimeoutError::Timeout) if rest < quiet => {
                break Err(Hang::Late(patience.total));
            }
            Err(RecvTimeoutError::Timeout) if first => break Err(Hang::Boot(quiet)),
            Err(RecvTimeoutError::Timeout) => break Err(Hang::Silent(quiet)),
        }
        first = false;
    };
    if outcome.is_err() {
        child.kill()?;
    }
    child.wait()?;
    Ok(outcome)
}

/// The lines of a stream as they come; text that is not UTF-8 is made so.
fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line);
            if sender
                .send(text.trim_end_matches(['\r', '\n']).to_owned())
                .is_err()
            {
                return;
            }
            line.clear();
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const PATIENCE: Patience = Patience {
        first: Duration::from_mins(1),
        silence: Duration::from_mins(1),
        total: Duration::from_mins(1),
    };
    const SOON: Duration = Duration::from_millis(200);

    fn follow_script(script: &str, patience: Patience) -> (Vec<String>, Result<(), Hang>) {
        let mut shell = Command::new("sh");
        let mut child = shell
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut seen = Vec::new();
        let outcome = follow(&mut child, patience, |line| seen.push(line.to_owned()));
        (seen, outcome.expect("the shell is followed"))
    }

    #[test]
    fn every_line_is_seen_even_an_unfinished_one() {
        let (seen, outcome) = follow_script(r"printf 'one\r\n\ntwo \377\nlast'", PATIENCE);
        assert_eq!(seen, ["one", "", "two \u{fffd}", "last"]);
        assert_eq!(outcome, Ok(()));
    }

    #[test]
    fn a_machine_that_never_comes_up_is_cut_off() {
        let patience = Patience {
            first: SOON,
            ..PATIENCE
        };
        let (_, outcome) = follow_script("exec sleep 60", patience);
        assert_eq!(outcome, Err(Hang::Boot(SOON)));
    }

    #[test]
    fn a_machine_that_goes_silent_is_cut_off() {
        let patience = Patience {
            silence: SOON,
            ..PATIENCE
        };
        let (seen, outcome) = follow_script("echo up; exec sleep 60", patience);
        assert_eq!(seen, ["up"]);
        assert_eq!(outcome, Err(Hang::Silent(SOON)));
    }

    #[test]
    fn a_machine_that_talks_for_ever_is_cut_off() {
        let patience = Patience {
            total: SOON,
            ..PATIENCE
        };
        let (_, outcome) = follow_script("while :; do echo on; sleep 0.01; done", patience);
        assert_eq!(outcome, Err(Hang::Late(SOON)));
    }
}
