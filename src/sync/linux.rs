//! The running kernel as sync's platform.

use std::net::IpAddr;

use super::platform::{Platform, Trouble};
use crate::kernel::conntrack::{self, Flow, Stale};
use crate::kernel::ipvs::{
    self, Command, DestinationEntry, Failure, Failures, ServiceEntry, ServiceKey, SubmitError,
};
use crate::kernel::link::{self, Link, Refused};
use crate::kernel::nft::{Base, Element, Table, Transaction};

/// The kernel of the network namespace that this was opened in.
#[derive(Debug)]
pub struct Linux {
    ipvs: ipvs::Client,
    link: Link,
    base: Base,
    table: Table,
    flows: conntrack::Client,
}

impl Linux {
    /// Opens the kernel's interfaces and makes the link and the table, if they are not there.
    pub fn open(base: Base) -> Result<Self, Trouble> {
        let ipvs = ipvs::Client::connect()?;
        let link = Link::open()?;
        let table = Table::open(&base)?;
        let flows = conntrack::Client::open()?;
        Ok(Self {
            ipvs,
            link,
            base,
            table,
            flows,
        })
    }
}

impl Platform for Linux {
    fn submit(&mut self, commands: &[Command]) -> Result<Vec<Failure>, Trouble> {
        match self.ipvs.submit(commands) {
            Ok(()) => Ok(Vec::new()),
            Err(SubmitError::Failed(Failures(failures))) => Ok(failures),
            Err(broken) => Err(broken.into()),
        }
    }

    fn services(&mut self) -> Result<Vec<ServiceEntry>, Trouble> {
        Ok(self.ipvs.services()?)
    }

    fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceEntry>, Trouble> {
        Ok(self.ipvs.service(key)?)
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationEntry>, Trouble> {
        Ok(self.ipvs.destinations(key)?)
    }

    fn addresses(&mut self) -> Result<Vec<IpAddr>, Trouble> {
        self.link = Link::open()?;
        Ok(self.link.addresses()?)
    }

    fn other_addresses(&mut self) -> Result<Vec<IpAddr>, Trouble> {
        Ok(self.link.other_addresses()?)
    }

    fn bind(&mut self, addresses: &[IpAddr]) -> Result<Vec<Refused>, Trouble> {
        match self.link.add(addresses) {
            Ok(()) => Ok(Vec::new()),
            // Where there is no link, nothing is said of the addresses.
            Err(link::Error::Refused(refused)) if !refused.iter().any(Refused::is_without_link) => {
                Ok(refused)
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    fn unbind(&mut self, addresses: &[IpAddr]) -> Result<(), Trouble> {
        Ok(self.link.remove(addresses)?)
    }

    fn has_link(&mut self) -> Result<bool, Trouble> {
        Ok(self.link.is_there()?)
    }

    fn has_table(&mut self) -> Result<bool, Trouble> {
        Ok(self.table.has_rules()?)
    }

    fn table(&mut self) -> Result<Vec<Element>, Trouble> {
        self.table = Table::open(&self.base)?;
        Ok(self.table.elements()?)
    }

    fn rewrite(&mut self, base: &Base) -> Result<(), Trouble> {
        self.base = base.clone();
        Ok(self.table.rewrite(base)?)
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<(), Trouble> {
        Ok(self.table.commit(transaction)?)
    }

    fn call_back(&mut self, called: &[Element]) -> Result<(), Trouble> {
        Ok(self.table.call_back(called)?)
    }

    fn forget(&mut self, stale: &Stale) -> Result<Vec<Flow>, Trouble> {
        Ok(self.flows.forget(stale)?)
    }
}
