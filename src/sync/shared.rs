//! What service ports share in the kernel: the addresses on the link and the table's maps and sets.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use tracing::warn;

use super::Sent;
use super::platform::{Platform, Trouble};
use super::refs::Refs;
use super::routes::{Claim, Routes};
use crate::kernel::link::Refused;
use crate::kernel::mark::Mark;
use crate::kernel::nft::{Element, Transaction};
use crate::model::Protocol;
use crate::plan::Frontend;

/// Shared state, as it shall be and as it is.
#[derive(Debug, Default)]
pub struct Shared {
    /// The mark maps.
    pub routes: Routes,
    /// Virtual addresses in the table's set.
    pub vips: Refs<IpAddr>,
    /// Virtual addresses on the link.
    pub addresses: Refs<IpAddr>,
    /// Addresses of real servers on this node.
    pub hairpins: Refs<IpAddr>,
    /// Real servers that see their clients as this node.
    pub hosts: Refs<(Protocol, SocketAddr)>,
    /// Virtual addresses that the kernel has refused: they are not tried again for any change, but
    /// when a Service that needs them is.
    refused: BTreeSet<IpAddr>,
    /// Those of them that were refused since somebody last asked.
    news: BTreeSet<IpAddr>,
    /// What is there and not needed stays, since it may be claimed yet.
    pub keep_unclaimed: bool,
}

impl Shared {
    /// What a previous run left, all of it unclaimed.
    pub fn new(platform: &mut impl Platform) -> Result<Self, Trouble> {
        let mut shared = Self {
            keep_unclaimed: true,
            ..Self::default()
        };
        shared.found(&platform.table()?);
        shared.addresses.found(platform.addresses()?);
        Ok(shared)
    }

    /// Makes the kernel hold what is needed: an address before the elements that lead there. What
    /// leads to an address that cannot be had waits; all else does not.
    pub fn flush(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let bound = self.bind(platform, sent);
        self.commit(platform, sent)?;
        bound?;
        self.unbind(platform, sent)
    }

    /// An address may be tried again, if it was refused.
    pub fn try_again(&mut self, ip: IpAddr) {
        self.refused.remove(&ip);
    }

    /// The addresses that were refused since the last call.
    pub fn take_refused(&mut self) -> BTreeSet<IpAddr> {
        std::mem::take(&mut self.news)
    }

    /// Adds the addresses that are missing. If that does not work at all, somebody else has
    /// deleted the link: it is made again, read back, and what is missing then is added.
    fn bind(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let Err(trouble) = self.try_bind(platform, sent) else {
            return Ok(());
        };
        warn!(error = %trouble, "the link is not as it was left, reading it back");
        sent.shared_failed += 1;
        self.addresses.found(platform.addresses()?);
        self.try_bind(platform, sent)
    }

    fn try_bind(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let mut wanted = self.addresses.pending().add;
        wanted.retain(|ip| !self.refused.contains(ip));
        if wanted.is_empty() {
            return Ok(());
        }
        let refused = platform.bind(&wanted)?;
        tell(&refused);
        let refused: BTreeSet<IpAddr> = refused.iter().map(|it| it.ip).collect();
        wanted.retain(|ip| !refused.contains(ip));
        self.addresses.added(&wanted);
        sent.addresses += wanted.len() as u64;
        sent.shared_failed += u64::from(!refused.is_empty());
        self.news.extend(&refused);
        self.refused.extend(&refused);
        Ok(())
    }

    fn unbind(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let unwanted = self.addresses.pending().remove;
        if unwanted.is_empty() || self.keep_unclaimed {
            return Ok(());
        }
        if let Err(trouble) = platform.unbind(&unwanted) {
            self.addresses.found(platform.addresses()?);
            return Err(trouble);
        }
        self.addresses.removed(&unwanted);
        sent.addresses += unwanted.len() as u64;
        Ok(())
    }

    /// Commits the pending changes of the maps. If they do not fit what is there, somebody else
    /// has changed our table: it is made whole, read back, and the difference is committed.
    fn commit(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let Err(trouble) = self.try_commit(platform, sent) else {
            return Ok(());
        };
        warn!(error = %trouble, "the table is not as it was left, reading it back");
        sent.shared_failed += 1;
        self.found(&platform.table()?);
        self.try_commit(platform, sent)
    }

    fn try_commit(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let mut routes = self.routes.pending(self.keep_unclaimed);
        let mut vips = self.vips.pending();
        let mut hairpins = self.hairpins.pending();
        let mut hosts = self.hosts.pending();
        if self.keep_unclaimed {
            vips.remove.clear();
            hairpins.remove.clear();
            hosts.remove.clear();
        }
        // Nothing leads to an address that this node does not have.
        let missing: BTreeSet<IpAddr> = self.addresses.pending().add.into_iter().collect();
        routes.add.retain(|((_, frontend), _)| match frontend {
            Frontend::Address(ip, _) | Frontend::Own(_, ip, _) => !missing.contains(ip),
            Frontend::NodePort(..) => true,
        });
        vips.add.retain(|ip| !missing.contains(ip));
        let transaction = Transaction {
            remove: elements(
                &routes.remove,
                &vips.remove,
                &hairpins.remove,
                &hosts.remove,
            ),
            add: elements(&routes.add, &vips.add, &hairpins.add, &hosts.add),
        };
        if transaction.add.is_empty() && transaction.remove.is_empty() {
            return Ok(());
        }
        platform.commit(&transaction)?;
        sent.transactions += 1;
        self.routes.settle(&routes);
        for (refs, changes) in [(&mut self.vips, vips), (&mut self.hairpins, hairpins)] {
            refs.added(&changes.add);
            refs.removed(&changes.remove);
        }
        self.hosts.added(&hosts.add);
        self.hosts.removed(&hosts.remove);
        Ok(())
    }

    /// Takes in what the table holds.
    fn found(&mut self, elements: &[Element]) {
        let (mut routes, mut hosts) = (Vec::new(), Vec::new());
        let (mut vips, mut hairpins) = (Vec::new(), Vec::new());
        for element in elements {
            match *element {
                Element::Service {
                    ip,
                    protocol,
                    port,
                    mark,
                } => {
                    routes.push(((protocol, Frontend::Address(ip, port)), mark));
                }
                Element::NodePort {
                    family,
                    protocol,
                    port,
                    mark,
                } => {
                    routes.push(((protocol, Frontend::NodePort(family, port)), mark));
                }
                Element::Own {
                    client,
                    ip,
                    protocol,
                    port,
                    mark,
                } => {
                    routes.push(((protocol, Frontend::Own(client, ip, port)), mark));
                }
                // They go by themselves.
                Element::Called { .. } => {}
                Element::Vip(ip) => vips.push(ip),
                Element::Hairpin(ip) => hairpins.push(ip),
                Element::Host { ip, protocol, port } => {
                    hosts.push((protocol, SocketAddr::new(ip, port.get())));
                }
            }
        }
        self.routes.found(routes);
        self.vips.found(vips);
        self.hairpins.found(hairpins);
        self.hosts.found(hosts);
    }
}

/// Logs what the kernel refused, by name as long as that is readable.
fn tell(refused: &[Refused]) {
    const NAMED: usize = 8;
    for address in refused.iter().take(NAMED) {
        warn!(ip = %address.ip, error = %address.cause, "virtual address refused, its frontends wait");
    }
    if refused.len() > NAMED {
        warn!(
            count = refused.len() - NAMED,
            "more virtual addresses refused"
        );
    }
}

fn elements(
    routes: &[(Claim, Mark)],
    vips: &[IpAddr],
    hairpins: &[IpAddr],
    hosts: &[(Protocol, SocketAddr)],
) -> Vec<Element> {
    let routes = routes.iter().map(|(claim, mark)| element(*claim, *mark));
    let vips = vips.iter().copied().map(Element::Vip);
    let hairpins = hairpins.iter().copied().map(Element::Hairpin);
    let hosts = hosts.iter().filter_map(|(protocol, host)| {
        Some(Element::Host {
            ip: host.ip(),
            protocol: *protocol,
            port: NonZeroU16::new(host.port())?,
        })
    });
    routes.chain(vips).chain(hairpins).chain(hosts).collect()
}

fn element((protocol, frontend): Claim, mark: Mark) -> Element {
    match frontend {
        Frontend::Address(ip, port) => Element::Service {
            ip,
            protocol,
            port,
            mark,
        },
        Frontend::Own(client, ip, port) => Element::Own {
            client,
            ip,
            protocol,
            port,
            mark,
        },
        Frontend::NodePort(family, port) => Element::NodePort {
            family,
            protocol,
            port,
            mark,
        },
    }
}
