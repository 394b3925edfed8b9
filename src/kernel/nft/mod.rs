//! The nftables table.
