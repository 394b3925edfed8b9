//! Addresses to listen on, as kube-proxy writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port of `/healthz` (`KubeProxyHealthzPort` of Kubernetes).
pub const HEALTHZ_PORT: u16 = 10256;
/// The port of `/metrics` (`ProxyStatusPort` of Kubernetes).
pub const METRICS_PORT: u16 = 10249;
/// All addresses of both families.
pub const EVERYWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// A text that is no address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAddress;

/// This host's own address, of the family that `bindAddress` names.
pub fn loopback(bind_address: Option<IpAddr>) -> IpAddr {
    match bind_address {
        Some(IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
        Some(IpAddr::V4(_)) | None => Ipv4Addr::LOCALHOST.into(),
    }
}

/// Reads an address to listen on: empty stands for the default, `off` for none; a port that is left
/// out, or an address, is the default's.
pub fn listen(text: &str, default: SocketAddr) -> Result<Option<SocketAddr>, NoAddress> {
    match text {
        "" => Ok(Some(default)),
        "off" => Ok(None),
        _ => {
            let address = text.parse().ok();
            let address = address.or_else(|| {
                let ip = text.trim_start_matches('[').trim_end_matches(']');
                Some(SocketAddr::new(ip.parse().ok()?, default.port()))
            });
            let address = address.or_else(|| {
                let port = text.strip_prefix(':')?.parse().ok()?;
                Some(SocketAddr::new(EVERYWHERE, port))
            });
            address.map(Some).ok_or(NoAddress)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_kube_proxy_writes_them() {
        let default = SocketAddr::new(EVERYWHERE, 10256);
        for (text, wanted) in [
            ("", "[::]:10256"),
            ("0.0.0.0:10256", "0.0.0.0:10256"),
            ("0.0.0.0", "0.0.0.0:10256"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("::1", "[::1]:10256"),
            ("[::1]", "[::1]:10256"),
            ("[::1]:7", "[::1]:7"),
            (":7", "[::]:7"),
        ] {
            assert_eq!(listen(text, default), Ok(wanted.parse().ok()), "{text}");
        }
        assert_eq!(listen("off", default), Ok(None));
        for wrong in ["host:1", "1.2.3.4:70000", "10256", "1.2.3"] {
            assert_eq!(listen(wrong, default), Err(NoAddress), "{wrong}");
        }
    }
}
