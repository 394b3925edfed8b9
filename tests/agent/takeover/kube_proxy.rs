//! The kernel as kube-proxy's mode ipvs leaves it: what its version 1.36 makes of one Service,
//! written down as data (chains, sets and virtual servers as in rows 84 to 103 of the contract).

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use spillway::kernel::ipvs::{self, Client, Destination, Name, ServiceKey};
use spillway::kernel::link::Link;
use spillway::kernel::sysctl;
use spillway::model::{Family, Protocol};

use crate::bed::tool;

/// A Service of one TCP port, in one family.
pub struct Frontend {
    pub at: SocketAddr,
    pub node_port: SocketAddr,
    pub pods: Vec<SocketAddr>,
    /// Where a Service was that has been deleted since, whose address no link has any more.
    pub gone: SocketAddr,
    /// `clusterCIDR`.
    pub cidr: String,
}

/// What is not kube-proxy's, but the kubelet's and a stranger's.
const OTHERS: &str = "\
*filter
:KUBE-FIREWALL - [0:0]
:MINE - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT -j MINE
-A MINE -m set --match-set mine-SUFFIX src -j ACCEPT
COMMIT
";

const NAT: &str = "\
*nat
:KUBE-LOAD-BALANCER - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
-I PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-I OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-I POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING
-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-NODE-PORT -p tcp -m set --match-set PREFIXNODE-PORT-TCP dst -j KUBE-MARK-MASQ
-A KUBE-POSTROUTING -m set --match-set PREFIXLOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE
-A KUBE-SERVICES -s LOOPBACK -j RETURN
-A KUBE-SERVICES ! -s CIDR -m set --match-set PREFIXCLUSTER-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
-A KUBE-SERVICES -m set --match-set PREFIXCLUSTER-IP dst,dst -j ACCEPT
COMMIT
";

const FILTER: &str = "\
*filter
:KUBE-FORWARD - [0:0]
:KUBE-IPVS-FILTER - [0:0]
:KUBE-IPVS-OUT-FILTER - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SOURCE-RANGES-FIREWALL - [0:0]
-I FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD
-I FORWARD -m comment --comment \"kube-proxy firewall rules\" -j KUBE-PROXY-FIREWALL
-I INPUT -m comment --comment \"kubernetes health check rules\" -j KUBE-NODE-PORT
-I INPUT -m comment --comment \"kube-proxy firewall rules\" -j KUBE-PROXY-FIREWALL
-I INPUT -m comment --comment \"kubernetes ipvs access filter\" -j KUBE-IPVS-FILTER
-I OUTPUT -m comment --comment \"kubernetes ipvs access filter\" -j KUBE-IPVS-OUT-FILTER
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-IPVS-FILTER -m set --match-set PREFIXCLUSTER-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set PREFIXIPVS-IPS dst -j REJECT
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP
COMMIT
";

impl Frontend {
    /// Writes it into the kernel of the network namespace that this is called in.
    pub fn write(&self) -> Result<()> {
        let v6 = Family::of(self.at.ip()) == Family::V6;
        let (prefix, loopback, tool) = if v6 {
            ("KUBE-6-", "::1/128", "ip6tables-restore")
        } else {
            ("KUBE-", "127.0.0.0/8", "iptables-restore")
        };
        feed("ipset", &["restore"], &self.sets(prefix, v6))?;
        for rules in [OTHERS, NAT, FILTER] {
            let rules = rules
                .replace("PREFIX", prefix)
                .replace("SUFFIX", if v6 { "6" } else { "4" })
                .replace("LOOPBACK", loopback)
                .replace("CIDR", &self.cidr);
            feed(tool, &["--noflush"], &rules)?;
        }
        let kernel = sysctl::KernelVersion::running().context("a version")?;
        let settings = sysctl::required(false, kernel);
        if let Err(errors) = sysctl::apply(Path::new("/proc/sys"), &settings) {
            anyhow::bail!("{errors:?}");
        }
        Link::open()?.add(&[self.at.ip()])?;
        self.virtual_servers()
    }

    fn sets(&self, prefix: &str, v6: bool) -> String {
        let family = if v6 { "inet6" } else { "inet" };
        let mut lines = Vec::new();
        let mut set = |name: &str, kind: &str, members: &[String]| {
            let family = if kind.starts_with("hash") {
                format!(" family {family}")
            } else {
                String::new()
            };
            lines.push(format!("create {name} {kind}{family}\n"));
            let members = members.iter();
            lines.extend(members.map(|member| format!("add {name} {member}\n")));
        };
        let (ip, port) = (self.at.ip(), self.at.port());
        let loops: Vec<String> = self
            .pods
            .iter()
            .map(|pod| format!("{},tcp:{},{}", pod.ip(), pod.port(), pod.ip()))
            .collect();
        for (name, kind, members) in [
            (
                "CLUSTER-IP",
                "hash:ip,port",
                vec![format!("{ip},tcp:{port}")],
            ),
            ("LOOP-BACK", "hash:ip,port,ip", loops),
            ("IPVS-IPS", "hash:ip", vec![ip.to_string()]),
            ("EXTERNAL-IP", "hash:ip,port", Vec::new()),
            ("LOAD-BALANCER", "hash:ip,port", Vec::new()),
            ("LOAD-BALANCER-SOURCE-CIDR", "hash:ip,port,net", Vec::new()),
            (
                "NODE-PORT-TCP",
                "bitmap:port range 0-65535",
                vec![self.node_port.port().to_string()],
            ),
            (
                "HEALTH-CHECK-NODE-PORT",
                "bitmap:port range 0-65535",
                Vec::new(),
            ),
        ] {
            // The kernel's names have at most 31 characters.
            let name: String = format!("{prefix}{name}").chars().take(31).collect();
            set(&name, kind, &members);
        }
        set(if v6 { "mine-6" } else { "mine-4" }, "hash:ip", &[]);
        lines.concat()
    }

    fn virtual_servers(&self) -> Result<()> {
        let mut commands = Vec::new();
        for at in [self.at, self.node_port, self.gone] {
            let key = by_address(at);
            commands.push(ipvs::Command::NewService(ipvs::Service::new(key, Name::RR)));
            for pod in &self.pods {
                let real = Destination::new(pod.ip(), pod.port(), 1);
                commands.push(ipvs::Command::NewDestination(key, real));
            }
        }
        Ok(Client::connect()?.submit(&commands)?)
    }
}

/// kube-proxy's way to find a Service: by its address.
fn by_address(at: SocketAddr) -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        ip: at.ip(),
        port: at.port(),
    }
}

/// What is left of it in the network namespace that this is called in: virtual servers at
/// addresses, chains and sets.
pub fn left() -> Result<Vec<String>> {
    let mut left = Vec::new();
    for entry in Client::connect()?.services()? {
        if let ServiceKey::Address { ip, port, .. } = entry.service.key {
            left.push(format!("virtual server {}", SocketAddr::new(ip, port)));
        }
    }
    left.extend(rules()?);
    Ok(left)
}

/// The chains and sets, the kubelet's and the stranger's among them.
pub fn rules() -> Result<Vec<String>> {
    let mut all = Vec::new();
    for command in ["iptables-save", "ip6tables-save"] {
        for line in tool(command)?.lines() {
            let chain = line
                .strip_prefix(':')
                .and_then(|line| line.split(' ').next());
            let chain = chain.filter(|chain| chain.starts_with("KUBE-") || *chain == "MINE");
            all.extend(chain.map(|chain| format!("{command} {chain}")));
        }
    }
    let sets = tool("ipset list -name")?;
    all.extend(sets.lines().map(|set| format!("set {set}")));
    Ok(all)
}

/// Whether an address is one of the link's.
pub fn has(ip: IpAddr) -> Result<bool> {
    Ok(Link::open()?.addresses()?.contains(&ip))
}

fn feed(tool: &str, arguments: &[&str], text: &str) -> Result<()> {
    let mut child = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{tool} cannot be run"))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    stdin.write_all(text.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{tool}: {said}\n{text}");
    Ok(())
}
