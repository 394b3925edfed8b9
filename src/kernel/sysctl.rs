//! `/proc/sys` settings that the data plane depends on.
//!
//! [`required`] says which, [`apply`] writes those that differ. Settings of IPVS exist only once
//! the kernel module `ip_vs` is loaded.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use nix::sys::utsname::uname;

/// Where the kernel shows its settings.
pub const ROOT: &str = "/proc/sys";

/// A kernel setting and the value that it shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its path under [`ROOT`].
    pub key: &'static str,
    /// Its value.
    pub value: u32,
}

/// A kernel's version, without what comes after the second number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The 6 of 6.1.0
    pub major: u32,
    /// The 1 of 6.1.0
    pub minor: u32,
}

impl KernelVersion {
    /// The first kernel that has `conn_reuse_mode`.
    const REUSE_MODE: Self = Self { major: 4, minor: 1 };
    /// The first kernel on which a reused port is scheduled anew without a lost packet.
    const REUSE_WITHOUT_LOSS: Self = Self { major: 5, minor: 9 };

    /// The version of the running kernel, or `None` if its release does not begin with two numbers.
    pub fn running() -> Option<Self> {
        Self::parse(uname().ok()?.release().to_str()?)
    }

    /// The version that a release like `6.1.0-13-amd64` begins with.
    pub fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|it: char| !it.is_ascii_digit());
        Some(Self {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The settings that the data plane needs on a kernel; the same as kube-proxy's IPVS mode.
pub fn required(strict_arp: bool, kernel: KernelVersion) -> Vec<Setting> {
    let setting = |key, value| Setting { key, value };
    let mut settings = vec![
        // Connections that IPVS sends on stay known to conntrack: masquerading needs it.
        setting("net/ipv4/vs/conntrack", 1),
        // A connection to a removed real server ends with its next packet, and UDP is scheduled
        // anew.
        setting("net/ipv4/vs/expire_nodest_conn", 1),
        // Session affinity does not hold clients on a real server of weight 0.
        setting("net/ipv4/vs/expire_quiescent_template", 1),
        setting("net/ipv4/ip_forward", 1),
    ];
    if (KernelVersion::REUSE_MODE..KernelVersion::REUSE_WITHOUT_LOSS).contains(&kernel) {
        // With 1, these kernels lose the first packet of a connection from a reused port, which
        // costs the client a second (kubernetes/kubernetes#70747, #93297).
        settings.push(setting("net/ipv4/vs/conn_reuse_mode", 0));
    }
    if strict_arp {
        // Only the link that has an address answers for it, so not this node for the virtual ones.
        settings.push(setting("net/ipv4/conf/all/arp_ignore", 1));
        settings.push(setting("net/ipv4/conf/all/arp_announce", 2));
    }
    settings
}

/// Whether there is IPv6 here: the kernel has it, and nobody has switched it off.
pub fn has_ipv6(root: &Path) -> bool {
    match fs::read_to_string(root.join("net/ipv6/conf/all/disable_ipv6")) {
        Ok(off) => off.trim() == "0",
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// A setting that is not as it should be.
#[derive(Debug, thiserror::Error)]
#[error("sysctl {} must be {}: {source}; {}", .setting.key.replace('/', "."), .setting.value, remedy(.source.kind(), .setting))]
pub struct Error {
    /// Which one.
    pub setting: Setting,
    /// Why it could not be read or written.
    pub source: io::Error,
}

/// What the operator can do.
fn remedy(kind: ErrorKind, setting: &Setting) -> String {
    match kind {
        ErrorKind::NotFound if setting.key.starts_with("net/ipv4/vs/") => {
            "load the kernel module ip_vs".to_owned()
        }
        ErrorKind::NotFound => "the kernel does not have it".to_owned(),
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => format!(
            "run the container privileged, or set it on the host with `sysctl -w {}={}`",
            setting.key.replace('/', "."),
            setting.value
        ),
        _ => "set it on the host".to_owned(),
    }
}

/// Gives settings under `root` (see [`ROOT`]) their values and logs what it changed.
///
/// # Errors
/// All settings that could not be given their values; the others have them.
pub fn apply(root: &Path, settings: &[Setting]) -> Result<(), Vec<Error>> {
    let failed: Vec<_> = settings
        .iter()
        .filter_map(|&setting| {
            let source = ensure(root, setting).err()?;
            Some(Error { setting, source })
        })
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed)
    }
}

/// Writes only on a difference: a setting that is right may well be read-only.
fn ensure(root: &Path, setting: Setting) -> io::Result<()> {
    let path = root.join(setting.key);
    let old = fs::read_to_string(&path)?;
    if old.trim().parse() == Ok(setting.value) {
        return Ok(());
    }
    fs::write(&path, setting.value.to_string())?;
    tracing::info!(
        key = setting.key,
        old = old.trim(),
        new = setting.value,
        "changed a sysctl"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: KernelVersion = KernelVersion { major: 6, minor: 1 };

    fn value(settings: &[Setting], key: &str) -> Option<u32> {
        settings.iter().find(|it| it.key == key).map(|it| it.value)
    }

    #[test]
    fn what_ipvs_needs_does_not_depend_on_the_kernel() {
        for (major, minor) in [(4, 0), (4, 19), (5, 9), (6, 18)] {
            let settings = required(false, KernelVersion { major, minor });
            for key in [
                "net/ipv4/vs/conntrack",
                "net/ipv4/vs/expire_nodest_conn",
                "net/ipv4/vs/expire_quiescent_template",
                "net/ipv4/ip_forward",
            ] {
                assert_eq!(value(&settings, key), Some(1), "{key}");
            }
        }
    }

    #[test]
    fn reused_ports_are_left_to_kernels_that_can() {
        for (major, minor, expected) in [
            (3, 10, None),
            (4, 0, None),
            (4, 1, Some(0)),
            (5, 8, Some(0)),
            (5, 9, None),
            (6, 1, None),
        ] {
            let settings = required(false, KernelVersion { major, minor });
            let found = value(&settings, "net/ipv4/vs/conn_reuse_mode");
            assert_eq!(found, expected, "{major}.{minor}");
        }
    }

    #[test]
    fn arp_is_strict_on_request() {
        let [loose, strict] = [false, true].map(|strict| required(strict, NEW));
        assert_eq!(value(&loose, "net/ipv4/conf/all/arp_ignore"), None);
        assert_eq!(value(&loose, "net/ipv4/conf/all/arp_announce"), None);
        assert_eq!(value(&strict, "net/ipv4/conf/all/arp_ignore"), Some(1));
        assert_eq!(value(&strict, "net/ipv4/conf/all/arp_announce"), Some(2));
    }

    #[test]
    fn ipv6_may_be_switched_off_or_missing_altogether() {
        let root = tempfile::tempdir().unwrap();
        assert!(!has_ipv6(root.path()), "a kernel without it");
        let all = root.path().join("net/ipv6/conf/all");
        fs::create_dir_all(&all).unwrap();
        for (off, there) in [("0\n", true), ("1\n", false)] {
            fs::write(all.join("disable_ipv6"), off).unwrap();
            assert_eq!(has_ipv6(root.path()), there, "{off}");
        }
    }

    #[test]
    fn a_release_begins_with_two_numbers() {
        let version = |major, minor| Some(KernelVersion { major, minor });
        assert_eq!(KernelVersion::parse("6.1.0-13-amd64"), version(6, 1));
        assert_eq!(KernelVersion::parse("5.15.167.4-WSL2"), version(5, 15));
        assert_eq!(KernelVersion::parse("6.12-rc1"), version(6, 12));
        assert_eq!(KernelVersion::parse("6"), None);
        assert_eq!(KernelVersion::parse("linux"), None);
    }

    #[test]
    fn an_error_says_what_to_do() {
        let error = |key, kind: ErrorKind| {
            let setting = Setting { key, value: 1 };
            let source = kind.into();
            Error { setting, source }.to_string()
        };
        let missing = error("net/ipv4/vs/conntrack", ErrorKind::NotFound);
        assert!(missing.starts_with("sysctl net.ipv4.vs.conntrack must be 1: "));
        assert!(missing.ends_with("; load the kernel module ip_vs"));
        let read_only = error("net/ipv4/ip_forward", ErrorKind::ReadOnlyFilesystem);
        assert!(read_only.ends_with("with `sysctl -w net.ipv4.ip_forward=1`"));
    }
}
