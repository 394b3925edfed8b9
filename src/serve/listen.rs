//! Getting hold of an address to listen on.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tracing::{info, warn};

/// The time between two attempts, as in kube-proxy.
const AGAIN: Duration = Duration::from_secs(5);

/// Listens at an address. `[::]` stands for all addresses of both families, and for those of IPv4
/// on a host without IPv6.
///
/// `told` hears of the first attempt that fails.
///
/// # Errors
/// Only with `hard_fail`; else it is tried again until it succeeds.
pub async fn bind(
    address: SocketAddr,
    hard_fail: bool,
    told: impl FnOnce(&io::Error),
) -> io::Result<TcpListener> {
    let listener = if hard_fail {
        attempt(address).await.map_err(|error| {
            told(&error);
            let text = format!("cannot listen on {address}: {error}");
            io::Error::new(error.kind(), text)
        })?
    } else {
        persist(address, told, || attempt(address)).await
    };
    info!(%address, "listening");
    Ok(listener)
}

/// Attempts to listen at a place until it succeeds. `told` hears of the first attempt that fails.
pub async fn persist<F: Future<Output = io::Result<TcpListener>>>(
    place: impl Display,
    told: impl FnOnce(&io::Error),
    attempt: impl Fn() -> F,
) -> TcpListener {
    let mut told = Some(told);
    loop {
        let error = match attempt().await {
            Ok(listener) => return listener,
            Err(error) => error,
        };
        if let Some(told) = told.take() {
            told(&error);
        }
        warn!("cannot listen on {place}, trying again in {AGAIN:?}: {error}");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn attempt(address: SocketAddr) -> io::Result<TcpListener> {
    let result = TcpListener::bind(address).await;
    match result {
        Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && lacks_ipv6(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        result => result,
    }
}

/// Whether an error says that the kernel has no IPv6 (`EAFNOSUPPORT`) or has it switched off.
fn lacks_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
        || error.kind() == ErrorKind::AddrNotAvailable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_taken_address_is_had_once_it_is_free() {
        let taken = bind("127.0.0.1:0".parse().unwrap(), true, |_| ())
            .await
            .unwrap();
        let address = taken.local_addr().unwrap();
        let mut told = 0;
        let error = bind(address, true, |_| told += 1).await.unwrap_err();
        assert_eq!((error.kind(), told), (ErrorKind::AddrInUse, 1));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        let release = async {
            tokio::time::sleep(2 * AGAIN + AGAIN / 2).await;
            drop(taken);
        };
        let start = tokio::time::Instant::now();
        let mut told = 0;
        let (listener, ()) = tokio::join!(bind(address, false, |_| told += 1), release);
        assert_eq!(listener.unwrap().local_addr().unwrap(), address);
        assert!(start.elapsed() >= 3 * AGAIN);
        assert_eq!(told, 1, "once is enough");
    }

    #[tokio::test]
    async fn all_addresses_means_both_families() {
        let listener = bind("[::]:0".parse().unwrap(), true, |_| ()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        let (client, accepted) = tokio::join!(client, listener.accept());
        assert_eq!(
            client.unwrap().local_addr().unwrap().port(),
            accepted.unwrap().1.port()
        );
    }
}
