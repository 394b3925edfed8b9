//! Checks of `detectLocalMode`: how pods are told from other clients.

use ipnet::IpNet;

use super::check::Findings;
use super::file::Configuration;
use crate::model::{Family, LinkName};

/// How pods are told from other clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodDetection {
    /// By their addresses, at most one range per family; none: not at all.
    ClusterCidr(Vec<IpNet>),
    /// By their addresses, those of this node's own pods: `spec.podCIDRs` of its Node.
    NodeCidr,
    /// By the bridge that this node's pods are at.
    Bridge(LinkName),
    /// By the names of the links that this node's pods are at, which start so.
    LinkPrefix(LinkName),
}

impl Default for PodDetection {
    fn default() -> Self {
        Self::ClusterCidr(Vec::new())
    }
}

/// `detectLocalMode` and what belongs to it. `clusterCIDR` is checked in any mode.
pub fn detection(file: &Configuration, findings: &mut Findings<'_>) -> PodDetection {
    let cidrs = cidrs(&file.cluster_cidr, findings);
    let links = &file.detect_local;
    match &*file.detect_local_mode {
        "" | "ClusterCIDR" => return PodDetection::ClusterCidr(cidrs),
        "NodeCIDR" => return PodDetection::NodeCidr,
        "BridgeInterface" => {
            let name = link(
                "detectLocal.bridgeInterface",
                &links.bridge_interface,
                findings,
            );
            name.map(PodDetection::Bridge)
        }
        "InterfaceNamePrefix" => {
            let field = "detectLocal.interfaceNamePrefix";
            let prefix = link(field, &links.interface_name_prefix, findings);
            prefix.map(PodDetection::LinkPrefix)
        }
        mode => {
            findings.wrong(
                "detectLocalMode",
                format_args!("found {mode:?}"),
                "use ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
            );
            None
        }
    }
    .unwrap_or_default()
}

fn link(field: &str, name: &str, findings: &mut Findings<'_>) -> Option<LinkName> {
    let link = LinkName::new(name);
    if link.is_none() {
        findings.wrong(
            field,
            format_args!("found {name:?}, which detectLocalMode needs"),
            "give the name of a link, or its beginning: 1 to 15 characters without blanks, / and :",
        );
    }
    link
}

fn cidrs(text: &str, findings: &mut Findings<'_>) -> Vec<IpNet> {
    const REMEDY: &str = "give one range per family, like 10.244.0.0/16,fd00:10:244::/56";
    let mut cidrs: Vec<IpNet> = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        match part.parse::<IpNet>() {
            Err(_) => findings.wrong("clusterCIDR", format_args!("found {part:?}"), REMEDY),
            Ok(cidr) => {
                let family = Family::of(cidr.addr());
                if family.among(&cidrs).next().is_some() {
                    let wrong = format_args!("{part} is a second {family} range");
                    findings.wrong("clusterCIDR", wrong, REMEDY);
                } else {
                    cidrs.push(cidr.trunc());
                }
            }
        }
    }
    cidrs
}
