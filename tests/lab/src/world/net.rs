//! Links, addresses, routes and sysctls of one namespace, set over route netlink: what `ip` and
//! `sysctl` would do, without starting a process for each (0.1 s apiece under emulation).

use std::fs;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use ipnet::IpNet;
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::address::{AddressHeaderFlags, AddressScope};
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::packet_route::route::{RouteScope, RouteType};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};
use tokio::runtime::{Builder, Runtime};

use super::netns::Netns;

/// Where packets to a destination go.
#[derive(Clone, Copy, Debug)]
pub enum Via<'a> {
    /// To the next router, on a link.
    Gateway(IpAddr, &'a str),
    /// Straight onto a link.
    Link(&'a str),
    /// Nowhere, silently.
    Blackhole,
}

/// The network settings of the namespace that the calling thread is in.
pub struct Net {
    runtime: Runtime,
    handle: Handle,
}

impl Netns {
    /// Changes the network settings of this namespace.
    pub fn configure(&self, work: impl FnOnce(&Net) -> Result<()> + Send) -> Result<()> {
        self.enter(|| work(&Net::open()?))?
    }
}

impl Net {
    fn open() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let context = runtime.enter();
        let (connection, handle, _) = rtnetlink::new_connection()?;
        runtime.spawn(connection);
        drop(context);
        Ok(Self { runtime, handle })
    }

    /// Brings `lo` up and sets what every host of the lab has: addresses usable at once (no
    /// duplicate address detection), no addresses but the given ones, no redirects, answers
    /// taken from any link.
    pub fn basics(&self) -> Result<()> {
        for which in ["all", "default"] {
            sysctl(&format!("ipv6/conf/{which}/accept_dad"), "0")?;
            sysctl(&format!("ipv6/conf/{which}/accept_ra"), "0")?;
            sysctl(&format!("ipv4/conf/{which}/rp_filter"), "0")?;
            sysctl(&format!("ipv4/conf/{which}/send_redirects"), "0")?;
        }
        self.up("lo")
    }

    /// Lets packets pass through.
    pub fn forward(&self) -> Result<()> {
        sysctl("ipv4/ip_forward", "1")?;
        sysctl("ipv6/conf/all/forwarding", "1")
    }

    /// Brings a link up.
    pub fn up(&self, link: &str) -> Result<()> {
        let message = LinkUnspec::new_with_index(index(link)?).up().build();
        self.runtime
            .block_on(self.handle.link().set(message).execute())
            .with_context(|| format!("bring {link} up"))
    }

    /// Makes a pair of links: one here, which is brought up, and its peer in another namespace,
    /// which cannot be as long as it has none.
    pub fn veth(&self, name: &str, peer: &str, peer_home: &Netns) -> Result<()> {
        let peer_message = LinkUnspec::new_with_name(peer)
            .setns_by_fd(peer_home.file().as_raw_fd())
            .build();
        let message = LinkVeth::new(name, peer)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer_message)))
            .up()
            .build();
        self.runtime
            .block_on(self.handle.link().add(message).execute())
            .with_context(|| format!("add the links {name} and {peer}"))
    }

    /// Makes an Ethernet segment that other links can be plugged into.
    pub fn bridge(&self, name: &str) -> Result<()> {
        let message = LinkBridge::new(name).up().build();
        self.runtime
            .block_on(self.handle.link().add(message).execute())
            .with_context(|| format!("add the bridge {name}"))
    }

    /// Plugs a link into a bridge.
    pub fn plug(&self, link: &str, bridge: &str) -> Result<()> {
        let message = LinkUnspec::new_with_index(index(link)?)
            .controller(index(bridge)?)
            .build();
        self.runtime
            .block_on(self.handle.link().set(message).execute())
            .with_context(|| format!("plug {link} into {bridge}"))
    }

    /// Removes a link, and its peer with it.
    pub fn remove(&self, link: &str) -> Result<()> {
        self.runtime
            .block_on(self.handle.link().del(index(link)?).execute())
            .with_context(|| format!("remove {link}"))
    }

    /// Puts addresses on a link.
    pub fn address(&self, link: &str, addresses: impl IntoIterator<Item = IpNet>) -> Result<()> {
        self.add_addresses(link, addresses, AddressScope::Universe)
    }

    /// Puts addresses on a link that are valid on it only: never the source of packets to
    /// elsewhere.
    pub fn link_address(
        &self,
        link: &str,
        addresses: impl IntoIterator<Item = IpNet>,
    ) -> Result<()> {
        self.add_addresses(link, addresses, AddressScope::Link)
    }

    fn add_addresses(
        &self,
        link: &str,
        addresses: impl IntoIterator<Item = IpNet>,
        scope: AddressScope,
    ) -> Result<()> {
        for net in addresses {
            let mut request = self
                .handle
                .address()
                .add(index(link)?, net.addr(), net.prefix_len());
            let header = &mut request.message_mut().header;
            header.scope = scope;
            if net.addr().is_ipv6() {
                // Even with detection off an address is tentative, and so no use as a source,
                // until a kernel worker has come round to it.
                header.flags = AddressHeaderFlags::Nodad;
            }
            self.runtime
                .block_on(request.execute())
                .with_context(|| format!("put {net} on {link}"))?;
        }
        Ok(())
    }

    /// Adds or replaces a route; `source` is the address that local processes then use.
    pub fn route(&self, to: IpNet, via: Via<'_>, source: Option<IpAddr>) -> Result<()> {
        let mut route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(to.network(), to.prefix_len())?;
        if let Some(source) = source {
            route = route.pref_source(source)?;
        }
        route = match via {
            // `onlink`: the router need not be inside a range that the link's addresses have.
            Via::Gateway(gateway, link) => route
                .gateway(gateway)?
                .output_interface(index(link)?)
                .onlink(),
            Via::Link(link) => route.output_interface(index(link)?).scope(RouteScope::Link),
            Via::Blackhole => route.kind(RouteType::BlackHole),
        };
        self.runtime
            .block_on(self.handle.route().add(route.build()).replace().execute())
            .with_context(|| format!("route {to} via {via:?}"))
    }
}

/// Writes a setting below `/proc/sys/net` of the namespace that the calling thread is in.
fn sysctl(key: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/{key}");
    fs::write(&path, value).with_context(|| format!("write {value} to {path}"))
}

fn index(link: &str) -> Result<u32> {
    if_nametoindex(link).with_context(|| format!("find the link {link}"))
}
