//! What people ask for, written as they would write it in an annotation.

use std::fmt::{self, Display};

use super::{Capacity, Evacuation, Level, Mode, Remote, RemoteUse, Weights};

impl Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::Connections(connections) => connections.fmt(f),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.when {
            RemoteUse::Fallback => "fallback",
            RemoteUse::Always => "always",
            RemoteUse::Never => "never",
        })?;
        if !self.order.is_empty() {
            write!(f, ":{}", self.order.join(","))?;
        }
        Ok(())
    }
}

impl Display for Evacuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = self.levels.iter().map(Level::to_string);
        let clusters = self.clusters.iter().map(|id| format!("cluster:{id}"));
        f.write_str(&levels.chain(clusters).collect::<Vec<_>>().join(","))
    }
}

impl Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = Level::USUAL.map(|level| format!("{level}={}", self.of(level)));
        f.write_str(&parts.join(","))
    }
}
