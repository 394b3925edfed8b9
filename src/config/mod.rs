//! Configuration: the `KubeProxyConfiguration` file and the command line → [`Settings`].
//!
//! A kubeadm cluster's own kube-proxy file works unchanged. What does not apply here is named in a
//! warning, never fatal; a value that does apply and is wrong is an error.

mod address;
pub mod annotations;
mod change;
mod check;
mod file;
mod flags;
mod gates;
mod marks;
mod node_ports;
mod pods;
mod settings;
mod timeouts;
mod tuning;
mod unused;
mod written;

use std::io;
use std::path::{Path, PathBuf};

pub use change::Difference;
pub use flags::{Flags, boolean};
pub use node_ports::NodePortAddresses;
pub use pods::PodDetection;
pub use settings::{Conntrack, IpvsTimeouts, Masquerade, Overrides, Reports, Settings};

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no YAML, or a value is of the wrong type.
    #[error("{path}: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<serde_saphyr::Error>,
    },
    /// Values are wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Invalid>),
}

/// A wrong value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {field}: {wrong}; {remedy}")]
pub struct Invalid {
    /// The file, or `command line`.
    pub origin: String,
    /// The path of the field, or the flag.
    pub field: String,
    /// What is wrong with it.
    pub wrong: String,
    /// What to do about it.
    pub remedy: String,
}

/// Reads the settings: defaults, then the file, then the command line. Also returns what a person
/// should be told about values that have no effect.
pub fn load(
    path: Option<&Path>,
    overrides: &Overrides,
) -> Result<(Settings, Vec<String>), ConfigError> {
    let Some(path) = path else {
        return check::settings(file::Configuration::default(), "", overrides, &[]);
    };
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.into(),
        source,
    })?;
    parse(&text, path, overrides)
}

/// Reads the settings as [`load`] does, from the text of the file at `path`.
pub fn parse(
    text: &str,
    path: &Path,
    overrides: &Overrides,
) -> Result<(Settings, Vec<String>), ConfigError> {
    let (file, unknown) = file::parse(text).map_err(|source| ConfigError::Syntax {
        path: path.into(),
        source: Box::new(source),
    })?;
    check::settings(file, &path.display().to_string(), overrides, &unknown)
}

#[cfg(test)]
mod tests;
