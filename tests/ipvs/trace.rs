//! What is done to a virtual server and its clients, step by step, and what came of it: the same for
//! the model and for a real kernel.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use spillway::model::Scheduler;
use spillway::plan::Limits;

use super::{Edits, Server, Slot};

/// Who a destination is.
pub type Key = u32;

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// A destination is added, with a weight.
    Add(Key, u32, Limits),
    /// It gets another weight and other thresholds.
    Edit(Key, u32, Limits),
    Delete(Key),
    /// So many connections are opened one after another, and stay open.
    Open(u32),
    /// So many connections, each of which is over before the next.
    Brief(u32),
    /// The oldest so many end, and are remembered for longer than any trace takes.
    Close(u32),
    /// The oldest so many break off, which are remembered until [`Step::Forget`].
    Reset(u32),
    /// Time passes until the kernel has forgotten the connections that broke off.
    Forget,
    /// What was measured when the facts were gathered: together, these destinations have got so many
    /// connections so far.
    Got(Range<Key>, u64),
    /// So many connections have found no destination so far.
    Refused(u64),
}

/// A virtual server's life.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What it shows.
    pub name: String,
    pub scheduler: Scheduler,
    pub steps: Vec<Step>,
}

/// What a dump shows of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: Key,
    pub weight: u32,
    pub limits: Limits,
    pub active: u32,
    pub inactive: u32,
}

/// What one step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where each new connection went; none: it was refused.
    pub went: Vec<Option<Key>>,
    /// The destinations after it, in the order of the kernel's list.
    pub rows: Vec<Row>,
}

/// Something that does what IPVS does with one virtual server.
pub trait Ipvs {
    /// An open connection.
    type Connection;

    fn add(&mut self, key: Key, weight: u32, limits: Limits) -> Result<()>;
    fn edit(&mut self, key: Key, weight: u32, limits: Limits) -> Result<()>;
    fn delete(&mut self, key: Key) -> Result<()>;
    /// Opens a connection. None: every destination is unusable.
    fn open(&mut self) -> Result<Option<(Key, Self::Connection)>>;
    fn close(&mut self, connection: Self::Connection) -> Result<()>;
    fn reset(&mut self, connection: Self::Connection) -> Result<()>;
    fn forget(&mut self) -> Result<()>;
    fn rows(&mut self) -> Result<Vec<Row>>;
}

impl Trace {
    /// Replays it. What each step came to.
    ///
    /// # Errors
    /// If something else comes out than was measured.
    pub fn replay<I: Ipvs>(&self, ipvs: &mut I) -> Result<Vec<Seen>> {
        let mut replay = Replay {
            ipvs,
            held: VecDeque::new(),
            got: BTreeMap::new(),
            refused: 0,
        };
        let steps = self.steps.iter().enumerate();
        steps
            .map(|(number, step)| {
                let seen = replay.step(step);
                seen.with_context(|| format!("step {number} of \"{}\": {step:?}", self.name))
            })
            .collect()
    }
}

struct Replay<'a, I: Ipvs> {
    ipvs: &'a mut I,
    /// The open connections, oldest first.
    held: VecDeque<I::Connection>,
    got: BTreeMap<Key, u64>,
    refused: u64,
}

impl<I: Ipvs> Replay<'_, I> {
    fn step(&mut self, step: &Step) -> Result<Seen> {
        let mut went = Vec::new();
        match *step {
            Step::Add(key, weight, limits) => self.ipvs.add(key, weight, limits)?,
            Step::Edit(key, weight, limits) => self.ipvs.edit(key, weight, limits)?,
            Step::Delete(key) => self.ipvs.delete(key)?,
            Step::Open(count) => {
                for _ in 0..count {
                    let connection = self.open(&mut went)?;
                    self.held.extend(connection);
                }
            }
            Step::Brief(count) => {
                for _ in 0..count {
                    if let Some(connection) = self.open(&mut went)? {
                        self.ipvs.close(connection)?;
                    }
                }
            }
            Step::Close(count) => {
                for _ in 0..count {
                    let connection = self.held.pop_front().context("none is open")?;
                    self.ipvs.close(connection)?;
                }
            }
            Step::Reset(count) => {
                for _ in 0..count {
                    let connection = self.held.pop_front().context("none is open")?;
                    self.ipvs.reset(connection)?;
                }
            }
            Step::Forget => self.ipvs.forget()?,
            Step::Got(ref keys, expected) => {
                let got: u64 = self.got.range(keys.clone()).map(|(_, got)| got).sum();
                ensure!(got == expected, "{:?}", self.got);
            }
            Step::Refused(expected) => {
                ensure!(self.refused == expected, "{} were", self.refused);
            }
        }
        let rows = self.ipvs.rows()?;
        Ok(Seen { went, rows })
    }

    fn open(&mut self, went: &mut Vec<Option<Key>>) -> Result<Option<I::Connection>> {
        let opened = self.ipvs.open()?;
        let key = opened.as_ref().map(|(key, _)| *key);
        went.push(key);
        match key {
            Some(key) => *self.got.entry(key).or_default() += 1,
            None => self.refused += 1,
        }
        Ok(opened.map(|(_, connection)| connection))
    }
}

/// The model under a trace.
pub struct Modelled {
    server: Server,
    /// Where the connections belong that broke off.
    broken: Vec<Slot>,
}

impl Modelled {
    /// # Errors
    /// If the model does not have the scheduler.
    pub fn new(scheduler: Scheduler, edits: Edits) -> Result<Self> {
        Ok(Self {
            server: Server::new(scheduler.try_into()?, edits),
            broken: Vec::new(),
        })
    }

    fn slot(&self, key: Key) -> Result<Slot> {
        let mut listed = self.server.listed();
        let found = listed.find(|(_, dest)| dest.key == key);
        Ok(found.context("no such destination")?.0)
    }
}

impl Ipvs for Modelled {
    type Connection = Slot;

    fn add(&mut self, key: Key, weight: u32, limits: Limits) -> Result<()> {
        self.server.add(key, weight, limits);
        Ok(())
    }

    fn edit(&mut self, key: Key, weight: u32, limits: Limits) -> Result<()> {
        self.server.edit(self.slot(key)?, weight, limits);
        Ok(())
    }

    fn delete(&mut self, key: Key) -> Result<()> {
        self.server.delete(self.slot(key)?);
        Ok(())
    }

    fn open(&mut self) -> Result<Option<(Key, Slot)>> {
        let slot = self.server.connect();
        Ok(slot.map(|slot| (self.server.dest(slot).key, slot)))
    }

    fn close(&mut self, slot: Slot) -> Result<()> {
        self.server.finish(slot);
        Ok(())
    }

    fn reset(&mut self, slot: Slot) -> Result<()> {
        self.server.finish(slot);
        self.broken.push(slot);
        Ok(())
    }

    fn forget(&mut self) -> Result<()> {
        for slot in self.broken.drain(..) {
            self.server.expire(slot);
        }
        Ok(())
    }

    fn rows(&mut self) -> Result<Vec<Row>> {
        let rows = self.server.listed().map(|(_, dest)| Row {
            key: dest.key,
            weight: dest.weight,
            limits: dest.limits,
            active: dest.active,
            inactive: dest.inactive,
        });
        Ok(rows.collect())
    }
}
