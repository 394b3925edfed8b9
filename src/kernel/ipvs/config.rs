//! What holds for IPVS as a whole, in one network namespace: time-outs, version.

use super::wire::{Attributes, InfoAttributes};

/// How long an idle connection is remembered, in seconds, at most `i32::MAX` / `HZ`.
///
/// When set, 0 leaves a time-out as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// An established TCP connection; 900 unless set.
    pub tcp: u32,
    /// A TCP connection after a FIN; 120 unless set.
    pub tcp_fin: u32,
    /// UDP; 300 unless set.
    pub udp: u32,
}

impl From<&Timeouts> for Attributes {
    fn from(timeouts: &Timeouts) -> Self {
        Self {
            timeout_tcp: Some(timeouts.tcp),
            timeout_tcp_fin: Some(timeouts.tcp_fin),
            timeout_udp: Some(timeouts.udp),
            ..Self::default()
        }
    }
}

impl From<&Attributes> for Timeouts {
    /// 0 for the protocols that the kernel was built without.
    fn from(attributes: &Attributes) -> Self {
        Self {
            tcp: attributes.timeout_tcp.unwrap_or_default(),
            tcp_fin: attributes.timeout_tcp_fin.unwrap_or_default(),
            udp: attributes.timeout_udp.unwrap_or_default(),
        }
    }
}

/// The IPVS that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its version: major, minor, patch.
    pub version: [u8; 3],
    /// Buckets in the connection table (module parameter `conn_tab_bits`).
    pub connection_table_size: u32,
}

impl From<&InfoAttributes> for Info {
    fn from(attributes: &InfoAttributes) -> Self {
        let [_, version @ ..] = attributes.version.unwrap_or_default().to_be_bytes();
        Self {
            version,
            connection_table_size: attributes.connection_table_size.unwrap_or_default(),
        }
    }
}
