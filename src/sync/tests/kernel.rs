//! A kernel in memory: IPVS with its refusals, a link, a table, and faults on demand.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

use nix::errno::Errno;

use crate::kernel::conntrack::{Flow, Stale};
use crate::kernel::ipvs::{
    Cause, Command, Destination, DestinationEntry, Failure, Service, ServiceEntry, ServiceKey,
    Stats,
};
use crate::kernel::link::Refused;
use crate::kernel::nft::{self, Action, Base, Element, Transaction};
use crate::sync::{Platform, Trouble};

/// The state, shared between the test and the syncer under test.
#[derive(Clone, Default)]
pub struct Kernel(Rc<RefCell<State>>);

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub struct State {
    pub services: BTreeMap<ServiceKey, (Service, Vec<Destination>)>,
    pub addresses: BTreeSet<IpAddr>,
    pub elements: BTreeSet<Element>,
    /// What the table's rules have been made from.
    pub base: Option<Base>,
    /// Connections of the real server with this address.
    pub connections: BTreeMap<IpAddr, u32>,
    /// UDP flows that are tracked.
    pub flows: Vec<Flow>,
    /// How often they have been read.
    pub flow_reads: usize,
    /// They cannot be read.
    pub flows_are_hidden: bool,
    /// Every change, in order, as a line.
    pub log: Vec<String>,
    /// Commands whose text holds one of these are refused.
    pub refuse: Vec<String>,
    /// These addresses are refused.
    pub refuse_addresses: BTreeSet<IpAddr>,
    /// The addresses of other links.
    pub elsewhere: BTreeSet<IpAddr>,
    /// The link is gone, so that no address can be added or removed.
    pub unlinked: bool,
    /// The table is gone, so that nothing can be changed in it.
    pub flushed: bool,
    /// IPVS does not answer.
    pub ipvs_is_gone: bool,
    /// Rules cannot be made.
    pub refuse_rules: bool,
    /// All transactions fail.
    pub refuse_transactions: bool,
    /// Elements that no transaction may add.
    pub refuse_elements: BTreeSet<Element>,
}

impl Kernel {
    /// Somebody deletes the link with its addresses.
    pub fn unlink(&self) {
        self.state().unlinked = true;
        self.state().addresses.clear();
    }

    /// Somebody flushes all tables.
    pub fn flush_tables(&self) {
        self.state().flushed = true;
        self.state().elements.clear();
    }

    /// Whether it holds nothing at all.
    pub fn is_bare(&self) -> bool {
        let state = self.state();
        state.services.is_empty() && state.elements.is_empty() && state.addresses.is_empty()
    }

    pub fn state(&self) -> std::cell::RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// The changes since the last call.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
    }

    /// How many IPVS commands there were since the last call.
    pub fn take_commands(&self) -> usize {
        self.take_log()
            .iter()
            .filter(|line| line.starts_with("ipvs"))
            .count()
    }
}

impl State {
    fn run(&mut self, command: &Command) -> Result<(), Errno> {
        let text = format!("ipvs {command:?}");
        if self.refuse.iter().any(|part| text.contains(part)) {
            return Err(Errno::ENOMEM);
        }
        self.log.push(text);
        match *command {
            Command::NewService(service) => match self.services.entry(service.key) {
                std::collections::btree_map::Entry::Occupied(_) => Err(Errno::EEXIST),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert((service, Vec::new()));
                    Ok(())
                }
            },
            Command::SetService(service) => {
                self.services.get_mut(&service.key).ok_or(Errno::ESRCH)?.0 = service;
                Ok(())
            }
            Command::DelService(key) => self.services.remove(&key).map(|_| ()).ok_or(Errno::ESRCH),
            Command::NewDestination(key, destination) => {
                let reals = &mut self.services.get_mut(&key).ok_or(Errno::ESRCH)?.1;
                if reals
                    .iter()
                    .any(|real| same(real, destination.ip, destination.port))
                {
                    return Err(Errno::EEXIST);
                }
                reals.push(destination);
                Ok(())
            }
            Command::SetDestination(key, destination) => {
                let reals = &mut self.services.get_mut(&key).ok_or(Errno::ESRCH)?.1;
                let real = reals
                    .iter_mut()
                    .find(|real| same(real, destination.ip, destination.port))
                    .ok_or(Errno::ENOENT)?;
                *real = destination;
                Ok(())
            }
            Command::DelDestination(key, ip, port) => {
                let reals = &mut self.services.get_mut(&key).ok_or(Errno::ESRCH)?.1;
                let before = reals.len();
                reals.retain(|real| !same(real, ip, port));
                if reals.len() < before {
                    Ok(())
                } else {
                    Err(Errno::ENOENT)
                }
            }
            Command::Zero(_) | Command::Flush | Command::SetConfig(_) => Err(Errno::EOPNOTSUPP),
        }
    }
}

fn entry((service, _): &(Service, Vec<Destination>)) -> ServiceEntry {
    ServiceEntry {
        service: *service,
        stats: Stats::default(),
    }
}

/// Whether two networks that may use one address, protocol and port have addresses in common, which
/// the kernel refuses.
fn overlap(one: &Element, other: &Element) -> bool {
    let (Element::Allowed { source: a, .. }, Element::Allowed { source: b, .. }) = (one, other)
    else {
        return false;
    };
    let place = |element: &Element| match *element {
        Element::Allowed {
            ip, protocol, port, ..
        } => Some((ip, protocol, port)),
        _ => None,
    };
    place(one) == place(other) && (a.contains(b) || b.contains(a))
}

fn same(real: &Destination, ip: IpAddr, port: u16) -> bool {
    real.ip == ip && real.port == port
}

impl Platform for Kernel {
    fn submit(&mut self, commands: &[Command]) -> Result<Vec<Failure>, Trouble> {
        let mut state = self.state();
        if state.ipvs_is_gone {
            return Err(Errno::EPROTO.into());
        }
        let failures = commands.iter().enumerate().filter_map(|(index, command)| {
            let errno = state.run(command).err()?;
            Some(Failure {
                index,
                cause: Cause::Refused(errno),
            })
        });
        Ok(failures.collect())
    }

    fn services(&mut self) -> Result<Vec<ServiceEntry>, Trouble> {
        Ok(self.state().services.values().map(entry).collect())
    }

    fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceEntry>, Trouble> {
        Ok(self.state().services.get(key).map(entry))
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationEntry>, Trouble> {
        let state = self.state();
        let reals = state.services.get(key).map(|(_, reals)| reals);
        Ok(reals
            .into_iter()
            .flatten()
            .map(|real| DestinationEntry {
                destination: *real,
                active: state.connections.get(&real.ip).copied().unwrap_or(0),
                inactive: 0,
                persistent: 0,
                stats: Stats::default(),
            })
            .collect())
    }

    fn addresses(&mut self) -> Result<Vec<IpAddr>, Trouble> {
        self.state().unlinked = false;
        Ok(self.state().addresses.iter().copied().collect())
    }

    fn has_link(&mut self) -> Result<bool, Trouble> {
        Ok(!self.state().unlinked)
    }

    fn has_table(&mut self) -> Result<bool, Trouble> {
        Ok(!self.state().flushed)
    }

    fn other_addresses(&mut self) -> Result<Vec<IpAddr>, Trouble> {
        Ok(self.state().elsewhere.iter().copied().collect())
    }

    fn bind(&mut self, addresses: &[IpAddr]) -> Result<Vec<Refused>, Trouble> {
        let mut state = self.state();
        if state.unlinked {
            return Err(Errno::ENODEV.into());
        }
        let (refused, bound): (Vec<IpAddr>, Vec<IpAddr>) = addresses
            .iter()
            .partition(|ip| state.refuse_addresses.contains(ip));
        state
            .log
            .extend(bound.iter().map(|ip| format!("bind {ip}")));
        state.addresses.extend(bound);
        let refused = refused.into_iter().map(|ip| Refused {
            ip,
            cause: Errno::EINVAL.into(),
        });
        Ok(refused.collect())
    }

    fn call_back(&mut self, called: &[Element]) -> Result<(), Trouble> {
        let called: Vec<String> = called.iter().map(Element::to_string).collect();
        let line = format!("call back [{}]", called.join(", "));
        self.state().log.push(line);
        Ok(())
    }

    fn unbind(&mut self, addresses: &[IpAddr]) -> Result<(), Trouble> {
        let mut state = self.state();
        if state.unlinked {
            return Err(Errno::ENODEV.into());
        }
        state
            .log
            .extend(addresses.iter().map(|ip| format!("unbind {ip}")));
        state.addresses.retain(|ip| !addresses.contains(ip));
        Ok(())
    }

    fn table(&mut self) -> Result<Vec<Element>, Trouble> {
        if self.state().refuse_rules {
            return Err(Errno::ENOMEM.into());
        }
        self.state().flushed = false;
        Ok(self.state().elements.iter().copied().collect())
    }

    fn rewrite(&mut self, base: &Base) -> Result<(), Trouble> {
        let mut state = self.state();
        if state.refuse_rules {
            return Err(Errno::ENOMEM.into());
        }
        state.log.push("rewrite".to_owned());
        state.base = Some(base.clone());
        Ok(())
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<(), Trouble> {
        let mut state = self.state();
        if state.refuse_transactions {
            return Err(Errno::ENOMEM.into());
        }
        if state.flushed {
            return Err(Errno::ENOENT.into());
        }
        let mut elements = state.elements.clone();
        for element in &transaction.remove {
            if !elements.remove(element) {
                return Err(Errno::ENOENT.into());
            }
        }
        for element in &transaction.add {
            if state.refuse_elements.contains(element) {
                return Err(nft::Error::Element {
                    action: Action::Add,
                    element: *element,
                    cause: Errno::EINVAL.into(),
                }
                .into());
            }
            let taken = elements.iter().any(|other| overlap(other, element));
            if taken || !elements.insert(*element) {
                return Err(Errno::EEXIST.into());
            }
        }
        state.elements = elements;
        state.log.push(format!(
            "commit -{} +{}",
            transaction.remove.len(),
            transaction.add.len()
        ));
        Ok(())
    }

    fn forget(&mut self, stale: &Stale) -> Result<Vec<Flow>, Trouble> {
        let mut kernel = self.state();
        kernel.flow_reads += 1;
        if kernel.flows_are_hidden {
            return Err(Errno::EINVAL.into());
        }
        let (gone, left) = kernel.flows.iter().partition(|flow| stale.holds(flow));
        kernel.flows = left;
        Ok(gone)
    }
}
