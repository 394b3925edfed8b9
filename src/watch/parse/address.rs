//! Which addresses can be served at all.

use std::net::IpAddr;

/// What kind of address this is, where it is one that nothing can be served at or sent to: those
/// that Kubernetes refuses for endpoints (`ValidateNonSpecialIP`), all of multicast, and broadcast.
///
/// An API server refuses most of them, but controllers that write past its checks, and manifests,
/// may bring them. A virtual address of the loopback kind would close the node's own loopback.
pub fn special(ip: IpAddr) -> Option<&'static str> {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if ip.is_unspecified() {
        Some("unspecified")
    } else if ip.is_loopback() {
        Some("loopback")
    } else if link_local {
        Some("link-local")
    } else if ip.is_multicast() {
        Some("multicast")
    } else if matches!(ip, IpAddr::V4(ip) if ip.is_broadcast()) {
        Some("broadcast")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_told_from_those_that_can_be_served() {
        for (ip, kind) in [
            ("0.0.0.0", Some("unspecified")),
            ("::", Some("unspecified")),
            ("127.0.0.1", Some("loopback")),
            ("127.255.255.254", Some("loopback")),
            ("::1", Some("loopback")),
            ("169.254.20.10", Some("link-local")),
            ("fe80::1", Some("link-local")),
            ("febf::1", Some("link-local")),
            ("224.0.0.1", Some("multicast")),
            ("239.1.1.1", Some("multicast")),
            ("ff02::1", Some("multicast")),
            ("ff0e::1", Some("multicast")),
            ("255.255.255.255", Some("broadcast")),
            ("10.96.0.1", None),
            ("126.255.255.255", None),
            ("128.0.0.1", None),
            ("169.253.0.1", None),
            ("192.168.0.1", None),
            ("fd00::1", None),
            ("fec0::1", None),
            ("2001:db8::1", None),
        ] {
            assert_eq!(special(ip.parse().unwrap()), kind, "{ip}");
        }
    }
}
