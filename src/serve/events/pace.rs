//! Which Events are due when. Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Happening, Reason, Subject};

/// What all nodes together may ask of the API server for one happening, in requests a second.
pub const FLEET_RATE: u32 = 20;
/// The least time over which the nodes spread: also the shortest spill that is told.
const SHORTEST: Duration = Duration::from_secs(5);
/// Between two Events of one reason about one object.
const APART: Duration = Duration::from_secs(30);
/// So many Events may come at once; later ones come one in [`REFILL`].
const BURST: u32 = 20;
const REFILL: Duration = Duration::from_secs(1);
/// Objects and ports that are remembered.
const MOST: usize = 4096;
/// For how long what has been told is remembered.
const MEMORY: Duration = Duration::from_mins(30);
/// The longest note that Kubernetes takes, in bytes.
const NOTE: usize = 1024;

/// What is told about: each has one truth at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Topic {
    subject: Subject,
    port: String,
    annotations: bool,
}

#[derive(Debug)]
struct State {
    /// What was told last, and when.
    told: Option<(Reason, Instant)>,
    /// What is to be told, and when.
    next: Option<(Happening, Instant)>,
}

/// Holds happenings back until they are due.
#[derive(Debug)]
pub struct Pace {
    /// This node's place among all: 0 tells first.
    place: f64,
    topics: BTreeMap<Topic, State>,
    /// When an Event of that reason about that object was written last.
    last: BTreeMap<(Subject, Reason), Instant>,
    /// When the bucket of the whole node would be full again.
    full: Option<Instant>,
}

impl Pace {
    /// That of a node.
    pub fn new(node: &str) -> Self {
        Self {
            place: f64::from(super::write::fingerprint(&[node])) / f64::from(u32::MAX),
            topics: BTreeMap::new(),
            last: BTreeMap::new(),
            full: None,
        }
    }

    /// Takes something in, of a cluster with so many nodes. Gives it back if there is no room.
    pub fn take(
        &mut self,
        happening: Happening,
        nodes: u32,
        now: Instant,
    ) -> Result<(), Happening> {
        let topic = Topic {
            subject: happening.subject.clone(),
            port: happening.port.clone(),
            annotations: happening.reason == Reason::BadAnnotation,
        };
        if self.topics.len() >= MOST && !self.topics.contains_key(&topic) {
            self.forget(now);
            if self.topics.len() >= MOST {
                return Err(happening);
            }
        }
        let due = now + self.wait(&happening, nodes);
        let state = self.topics.entry(topic).or_insert(State {
            told: None,
            next: None,
        });
        let told = state.told.map(|(reason, _)| reason);
        let due = match state.next.take() {
            // Several of an object at once are one Event.
            Some((before, due)) if happening.reason == Reason::BadAnnotation => {
                let note = joined(before.note, &happening.note);
                state.next = Some((Happening { note, ..happening }, due));
                return Ok(());
            }
            Some((before, due)) if before.reason == happening.reason => due,
            _ => due,
        };
        let back_to_what_was_told = told == Some(happening.reason);
        let never_told = told.is_none_or(|told| told == Reason::SpillEnded);
        let over = happening.reason == Reason::SpillEnded && never_told;
        if happening.reason == Reason::BadAnnotation || !(back_to_what_was_told || over) {
            state.next = Some((happening, due));
        }
        Ok(())
    }

    /// What is to be written now.
    pub fn due(&mut self, now: Instant) -> Vec<Happening> {
        let mut due = Vec::new();
        for (topic, state) in &mut self.topics {
            let Some((happening, at)) = state.next.take_if(|(_, at)| *at <= now) else {
                continue;
            };
            let key = (topic.subject.clone(), happening.reason);
            let apart = self.last.get(&key).map(|last| *last + APART);
            // The bucket holds as many as fit between now and when it would be full.
            let full = self.full.map_or(now, |full| full.max(now));
            let room = (full + REFILL).checked_sub(REFILL * BURST);
            let allowed = at.max(apart.unwrap_or(at)).max(room.unwrap_or(at));
            if allowed > now {
                state.next = Some((happening, allowed));
                continue;
            }
            self.full = Some(full + REFILL);
            self.last.insert(key, now);
            state.told = Some((happening.reason, now));
            due.push(happening);
        }
        due
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Instant> {
        let next = self.topics.values().filter_map(|state| state.next.as_ref());
        next.map(|(_, at)| *at).min()
    }

    fn wait(&self, happening: &Happening, nodes: u32) -> Duration {
        // Nobody else watches this node's own Node.
        if happening.subject.kind == "Node" {
            return Duration::ZERO;
        }
        let all = (Duration::from_secs(1) * nodes / FLEET_RATE).max(SHORTEST);
        // An end and a bad annotation need not prove that they last.
        let least = match happening.reason {
            Reason::Spilling | Reason::Saturated => SHORTEST,
            Reason::BadAnnotation
            | Reason::SpillEnded
            | Reason::FirewallDropsByDefault
            | Reason::Starting
            | Reason::FailedToStartServiceHealthcheck
            | Reason::FailedToStartProxierHealthcheck
            | Reason::FailedToStartMetricServer => Duration::ZERO,
        };
        all.mul_f64(self.place).max(least)
    }

    fn forget(&mut self, now: Instant) {
        self.last.retain(|_, last| *last + APART > now);
        self.topics.retain(|_, state| {
            let told = state.told.is_some_and(|(_, at)| at + MEMORY > now);
            state.next.is_some() || told
        });
    }
}

/// Two notes in one, as far as they fit; one that is there already is not repeated.
fn joined(mut notes: String, note: &str) -> String {
    if !notes.contains(note) && notes.len() + note.len() < NOTE {
        notes.push('\n');
        notes.push_str(note);
    }
    notes
}

/// As much of a note as Kubernetes takes.
pub fn fitting(note: &str) -> &str {
    let end = (0..=NOTE.min(note.len())).rev();
    let mut ends = end.filter(|end| note.is_char_boundary(*end));
    ends.next().and_then(|end| note.get(..end)).unwrap_or(note)
}
