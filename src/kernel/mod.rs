//! The kernel, as Spillway uses it: IPVS, the nftables table, the link that holds the virtual
//! addresses, the flows of connection tracking, and sysctls. Everything goes over netlink or
//! `/proc/sys`; no process is spawned.
//!
//! Nothing here knows Kubernetes.

mod attributes;
pub mod conntrack;
pub mod ipvs;
pub mod link;
pub mod mark;
mod netfilter;
pub mod nft;
pub mod socket;
pub mod sysctl;
