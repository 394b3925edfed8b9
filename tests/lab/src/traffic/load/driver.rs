//! Follows a schedule with real connections, all in one thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{self, Instant, MissedTickBehavior};

use super::recording::{Event, Recording, What};
use super::schedule::Schedule;
use crate::traffic::Failure;
use crate::traffic::client::{PATIENCE, greeted, runtime};

/// How often the load is brought in line with the schedule.
const STEP: Duration = Duration::from_millis(50);

/// The most connections that may be opening at a time: more than that would only queue up for the
/// processor, and show the kernel a burst that is not in the schedule.
const OPENING: usize = 20;

/// Follows a schedule in the namespace of the calling thread, and records what happens; `tick`
/// sees the recording grow, many times a second. In the end all connections are closed.
///
/// # Errors
/// If no runtime can be had. Connections that fail are part of the recording.
pub fn drive(
    to: SocketAddr,
    schedule: &Schedule,
    mut tick: impl FnMut(Duration, &Recording),
) -> Result<Recording, Failure> {
    runtime()?.block_on(async {
        let (happened, mut events) = mpsc::unbounded_channel();
        let mut driver = Driver::new(to, happened);
        let mut recording = Recording::default();
        let mut steps = time::interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Duration::ZERO;
        loop {
            steps.tick().await;
            let now = driver.start.elapsed();
            while let Ok(event) = events.try_recv() {
                recording.events.push(event);
            }
            tick(now, &recording);
            if now >= schedule.length() {
                break;
            }
            driver.step(schedule, now, now - last);
            last = now;
        }
        // Closes the connections. The channel ends when the last of them has told its end.
        drop(driver);
        while let Some(event) = events.recv().await {
            recording.events.push(event);
        }
        Ok(recording)
    })
}

struct Driver {
    to: SocketAddr,
    start: Instant,
    happened: mpsc::UnboundedSender<Event>,
    /// Dropping one closes its connection; it is closed itself once the connection is gone.
    held: Vec<oneshot::Sender<()>>,
    /// Every connection that is opening holds one of these.
    opening: Arc<()>,
    /// Short connections that are due.
    due: f64,
    /// Makes choices that are the same in every run.
    dice: u64,
}

impl Driver {
    fn new(to: SocketAddr, happened: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            to,
            start: Instant::now(),
            happened,
            held: Vec::new(),
            opening: Arc::default(),
            due: 0.0,
            dice: 1,
        }
    }

    /// Opens and closes what it takes for the load to be as scheduled.
    fn step(&mut self, schedule: &Schedule, now: Duration, passed: Duration) {
        let (held, short) = schedule.at(now);
        // What the processor was too slow for is not made up for later.
        self.due = (self.due + short * passed.as_secs_f64()).min(short.max(1.0));
        while self.due >= 1.0 && self.may_open() {
            self.due -= 1.0;
            let lasts = schedule.short_lasts;
            self.open(async move { time::sleep(lasts).await });
        }
        // Those that failed or were cut are replaced.
        self.held.retain(|end| !end.is_closed());
        let wanted = held.round();
        while as_count(&self.held) < wanted && self.may_open() {
            let (end, ended) = oneshot::channel::<()>();
            self.open(async move {
                let _ = ended.await;
            });
            self.held.push(end);
        }
        while as_count(&self.held) > wanted {
            let chosen = self.choose();
            self.held.swap_remove(chosen);
        }
    }

    fn may_open(&self) -> bool {
        Arc::strong_count(&self.opening) <= OPENING
    }

    /// Any of the held connections: clients do not leave in the order of their coming.
    fn choose(&mut self) -> usize {
        // Knuth's MMIX generator; its high bits are the good ones.
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.dice >> 33).unwrap_or(0) % self.held.len()
    }

    /// Opens a connection that lasts until `end`, unless it is cut.
    fn open(&self, end: impl Future<Output = ()> + Send + 'static) {
        let (to, start) = (self.to, self.start);
        let (happened, opening) = (self.happened.clone(), self.opening.clone());
        let tell = move |what| {
            let at = start.elapsed();
            // Somebody listens until the last sender is gone.
            let _ = happened.send(Event { at, what });
        };
        tokio::spawn(async move {
            let begun = start.elapsed();
            let opened = greeted(to, PATIENCE).await;
            drop(opening);
            let (stream, answer) = match opened {
                Ok(opened) => opened,
                Err(failure) => return tell(What::Failed(failure)),
            };
            let pod = answer.answered_by;
            tell(What::Opened {
                pod: pod.clone(),
                begun,
            });
            tell(live(stream, pod, end).await);
        });
    }
}

/// Waits for the end of an open connection, its client's or its server's doing.
async fn live(mut stream: TcpStream, pod: String, end: impl Future<Output = ()>) -> What {
    let failure = tokio::select! {
        () = end => return What::Closed { pod },
        read = stream.read_u8() => match read {
            Ok(_) => Failure::Other("the server talks unasked".to_owned()),
            Err(error) => error.into(),
        },
    };
    What::Cut { pod, failure }
}

fn as_count(held: &[oneshot::Sender<()>]) -> f64 {
    u32::try_from(held.len()).unwrap_or(u32::MAX).into()
}
