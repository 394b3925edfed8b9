//! Checks of the time-outs of IPVS and connection tracking, and of the agent's own.

use std::time::Duration;

use super::check::Findings;
use super::file;
use super::{Conntrack, IpvsTimeouts};

/// The longest time that the kernel takes for a time-out: `INT_MAX / HZ` s, with its fastest clock.
const MAX_SECONDS: u64 = 2_147_483;

/// A time-out in whole seconds; 0 leaves the kernel's.
fn seconds(
    field: &str,
    duration: Option<kube::core::Duration>,
    findings: &mut Findings<'_>,
) -> Option<Duration> {
    let duration = duration?;
    let length = Duration::from(duration);
    if duration.is_negative() || length.as_secs() > MAX_SECONDS {
        let remedy = format!("give 0s (leave it as it is) to {MAX_SECONDS}s");
        findings.wrong(field, format_args!("found {duration:?}"), &remedy);
        return None;
    }
    let whole = length.as_secs() + u64::from(length.subsec_nanos() > 0);
    (whole > 0).then(|| Duration::from_secs(whole))
}

/// `ipvs.*Timeout`
pub fn timeouts(file: &file::Ipvs, findings: &mut Findings<'_>) -> IpvsTimeouts {
    IpvsTimeouts {
        tcp: seconds("ipvs.tcpTimeout", file.tcp_timeout, findings),
        tcp_fin: seconds("ipvs.tcpFinTimeout", file.tcp_fin_timeout, findings),
        udp: seconds("ipvs.udpTimeout", file.udp_timeout, findings),
    }
}

/// Twice `ipvs.syncPeriod`, as in kube-proxy.
pub fn patience(file: &file::Ipvs, findings: &mut Findings<'_>) -> Duration {
    const SYNC_PERIOD: Duration = Duration::from_secs(30);
    let period = seconds("ipvs.syncPeriod", file.sync_period, findings);
    2 * period.unwrap_or(SYNC_PERIOD)
}

/// `conntrack`
pub fn conntrack(file: &file::Conntrack, findings: &mut Findings<'_>) -> Conntrack {
    let default = Conntrack::default();
    let mut timeout = |field, given: Option<_>, default| match given {
        None => default,
        given => seconds(field, given, findings),
    };
    Conntrack {
        max_per_core: match file.max_per_core {
            None => default.max_per_core,
            Some(0) => None,
            given => given,
        },
        min: file.min.unwrap_or(default.min),
        tcp_established: timeout(
            "conntrack.tcpEstablishedTimeout",
            file.tcp_established_timeout,
            default.tcp_established,
        ),
        tcp_close_wait: timeout(
            "conntrack.tcpCloseWaitTimeout",
            file.tcp_close_wait_timeout,
            default.tcp_close_wait,
        ),
        udp: timeout("conntrack.udpTimeout", file.udp_timeout, default.udp),
        udp_stream: timeout(
            "conntrack.udpStreamTimeout",
            file.udp_stream_timeout,
            default.udp_stream,
        ),
        tcp_be_liberal: file.tcp_be_liberal,
    }
}
