use crate::capacity::Key;
use crate::model::{Family, Origin, Protocol, stable_hash};

/// The name of a virtual server in reports. Part of the wire format.
pub fn key_hash(key: &Key) -> u64 {
    let port = &key.id.port;
    stable_hash([
        &*port.service.namespace,
        &*port.service.name,
        match port.service.origin {
            Origin::Service => "service",
            Origin::Import => "import",
        },
        &*port.port,
        // A Service port's protocol as Kubernetes writes it.
        match port.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        },
        match key.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        },
    ])
}
