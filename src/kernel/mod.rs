//! The kernel, as Spillway uses it: IPVS, the nftables table, the link that holds the virtual
//! addresses, and sysctls. Everything goes over netlink or `/proc/sys`; no process is spawned.
//!
//! Nothing here knows Kubernetes.

pub mod ipvs;
pub mod link;
pub mod mark;
pub mod nft;
pub mod socket;
pub mod sysctl;
