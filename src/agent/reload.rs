//! The configuration file while the agent runs: what can take effect at once does, what cannot is
//! reported, and a file that is wrong changes nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{error, info, warn};

use crate::config::{self, Overrides, Settings};

/// How often to look. The file of a ConfigMap is replaced by way of a symbolic link, which no watch
/// of the file itself would notice; the kubelet takes a minute for it anyway.
const LOOK: Duration = Duration::from_secs(5);

/// Where an agent's settings come from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The configuration file, if there is one.
    pub config: Option<PathBuf>,
    /// The command line.
    pub overrides: Overrides,
    /// The kubeconfig file of the command line, which goes before that of the file.
    pub kubeconfig: Option<PathBuf>,
    /// The URL of the API server, which goes before that of the kubeconfig file.
    pub master: Option<String>,
}

/// The settings in effect.
#[derive(Clone, Debug)]
pub struct Current(Arc<Mutex<Settings>>);

impl Current {
    /// These are.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Mutex::new(settings)))
    }

    /// A copy of them.
    pub fn get(&self) -> Settings {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes over from `new` what can take effect now. Returns whether the rest waits for a restart,
    /// and the settings in effect from now on; none if they are the same.
    fn take(&self, new: &Settings) -> (bool, Option<Settings>) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let difference = current.difference(new);
        let waits = !difference.restart.is_empty();
        if waits {
            let fields = difference.restart.join(", ");
            warn!(
                fields,
                "the configuration file has changed: these take effect at a restart"
            );
        }
        if difference.live.is_empty() {
            return (waits, None);
        }
        let fields = difference.live.join(", ");
        info!(
            fields,
            "the configuration file has changed: these take effect now"
        );
        *current = current.with_live(new);
        (waits, Some(current.clone()))
    }
}

/// Looks after the file for ever, and hands over settings that are to take effect. Tells whether there
/// are others, which wait for a restart.
pub async fn follow(
    source: &Source,
    current: &Current,
    waits: impl Fn(bool),
    apply: impl Fn(Settings),
) {
    let Some(path) = &source.config else {
        return std::future::pending().await;
    };
    let mut before = std::fs::read_to_string(path).ok();
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(text) = std::fs::read_to_string(path) else {
            // Between two versions, perhaps; if it stays away, the next start will say so.
            continue;
        };
        if before.as_ref() == Some(&text) {
            continue;
        }
        let read = config::parse(&text, path, &source.overrides);
        before = Some(text);
        match read {
            Ok((new, warnings)) => {
                for warning in warnings {
                    warn!("{warning}");
                }
                let (some_wait, settings) = current.take(&new);
                waits(some_wait);
                if let Some(settings) = settings {
                    apply(settings);
                }
            }
            Err(wrong) => error!("the configuration stays as it was: {wrong}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Write;

    use super::*;
    use crate::model::Scheduler;

    #[tokio::test(start_paused = true)]
    async fn what_is_safe_takes_effect_and_what_is_wrong_changes_nothing() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let source = Source {
            config: Some(file.path().into()),
            overrides: Overrides {
                node: Some("a1".into()),
                ..Overrides::default()
            },
            ..Source::default()
        };
        let start = config::load(Some(file.path()), &source.overrides)
            .unwrap()
            .0;
        let current = Current::new(start.clone());
        let applied = RefCell::new(Vec::new());
        let waiting = RefCell::new(Vec::new());
        let waits = |waits| waiting.borrow_mut().push(waits);
        let follow = follow(&source, &current, waits, |new| {
            applied.borrow_mut().push(new);
        });
        let edit = async {
            let mut write = |text: &str| {
                file.as_file().set_len(0).unwrap();
                std::io::Seek::rewind(&mut file).unwrap();
                file.write_all(text.as_bytes()).unwrap();
                file.flush().unwrap();
            };
            let mut counts = Vec::new();
            for text in [
                "ipvs: {scheduler: rr}",
                "ipvs: {scheduler: rr}\nbindAddressHardFail: true",
                "ipvs: {tcpTimeout: -1s}",
                "{",
                "ipvs: {tcpTimeout: 5s}\nclusterCIDR: 10.0.0.0/8",
            ] {
                write(text);
                tokio::time::sleep(2 * LOOK).await;
                counts.push(applied.borrow().len());
            }
            counts
        };
        tokio::select! {
            biased;
            () = follow => unreachable!("it looks for ever"),
            counts = edit => assert_eq!(counts, [1, 1, 1, 1, 2]),
        }
        assert_eq!(applied.borrow()[0].scheduler, Scheduler::RoundRobin);
        let end = current.get();
        assert_eq!(end.timeouts.tcp, Some(Duration::from_secs(5)));
        assert_ne!(end.pods, start.pods);
        assert_eq!(
            *waiting.borrow(),
            [false, true, false],
            "of those that were right"
        );
    }
}
