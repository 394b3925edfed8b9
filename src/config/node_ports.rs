//! `nodePortAddresses`: at which of the node's addresses node ports are served.

use std::net::IpAddr;

use ipnet::IpNet;

use super::check::Findings;
use crate::model::Family;

/// The node's addresses that serve node ports: all of them by default, as in kube-proxy's mode ipvs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePortAddresses {
    /// Those in these networks.
    pub networks: Vec<IpNet>,
    /// The Node's first of each family (`primary`).
    pub primary: bool,
}

impl NodePortAddresses {
    /// The networks that they are in, on a Node with these addresses. A family for which nothing is
    /// listed has them all.
    pub fn on(&self, node: &[IpAddr]) -> Vec<IpNet> {
        Family::ALL
            .into_iter()
            .flat_map(|family| self.of(family, node))
            .collect()
    }

    fn of(&self, family: Family, node: &[IpAddr]) -> Vec<IpNet> {
        let mut networks: Vec<IpNet> = family.among(&self.networks).collect();
        if self.primary {
            let first = node.iter().find(|ip| Family::of(**ip) == family);
            networks.extend(first.map(|ip| IpNet::from(*ip)));
            // An address that is not known yet must not open all others.
            if node.is_empty() {
                return networks;
            }
        }
        let everything = family.everything();
        if networks.is_empty() || networks.contains(&everything) {
            return vec![everything];
        }
        networks
    }

    /// As in the file.
    pub fn words(&self) -> Vec<String> {
        let networks = self.networks.iter().map(ToString::to_string);
        let primary = self.primary.then(|| "primary".to_owned());
        primary.into_iter().chain(networks).collect()
    }
}

/// `nodePortAddresses`
pub fn addresses(texts: &[String], findings: &mut Findings<'_>) -> NodePortAddresses {
    const FIELD: &str = "nodePortAddresses";
    let mut found = NodePortAddresses::default();
    for text in texts.iter().map(|text| text.trim()) {
        match text {
            "primary" => found.primary = true,
            "all" => found.networks.extend(Family::ALL.map(Family::everything)),
            "localhost" => findings.wrong(
                FIELD,
                "\"localhost\" is listed, but IPVS serves no node port at a loopback address",
                "leave it out",
            ),
            _ => match text.parse::<IpNet>() {
                Ok(network) => found.networks.push(network.trunc()),
                Err(_) => findings.wrong(
                    FIELD,
                    format_args!("found {text:?}"),
                    "give ranges like 192.0.2.0/24, \"primary\" or \"all\"",
                ),
            },
        }
    }
    found.networks.sort_unstable();
    found.networks.dedup();
    if !found.networks.is_empty() && !found.primary {
        for family in Family::ALL {
            if family.among(&found.networks).next().is_none() {
                findings.warn(
                    FIELD,
                    format_args!(
                        "no {family} range: node ports are served at all {family} addresses"
                    ),
                );
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(networks: &[&str], primary: bool, node: &[&str]) -> Vec<String> {
        let addresses = NodePortAddresses {
            networks: networks.iter().map(|it| it.parse().unwrap()).collect(),
            primary,
        };
        let node: Vec<IpAddr> = node.iter().map(|it| it.parse().unwrap()).collect();
        addresses
            .on(&node)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn nothing_listed_is_everything_of_a_family() {
        assert_eq!(on(&[], false, &[]), ["0.0.0.0/0", "::/0"]);
        assert_eq!(on(&["10.0.0.0/8"], false, &[]), ["10.0.0.0/8", "::/0"]);
        assert_eq!(on(&["10.0.0.0/8", "0.0.0.0/0"], false, &[])[0], "0.0.0.0/0");
    }

    #[test]
    fn the_primary_address_is_the_first_of_a_family() {
        let node = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
        assert_eq!(on(&[], true, &node), ["192.0.2.1/32", "2001:db8::1/128"]);
        assert_eq!(
            on(&["10.0.0.0/8"], true, &node),
            ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::1/128"]
        );
        assert_eq!(on(&[], true, &node[..1]), ["192.0.2.1/32", "::/0"]);
    }

    #[test]
    fn before_the_node_is_known_its_primary_address_opens_nothing() {
        assert_eq!(on(&[], true, &[]), Vec::<String>::new());
        assert_eq!(on(&["10.0.0.0/8"], true, &[]), ["10.0.0.0/8"]);
    }
}
