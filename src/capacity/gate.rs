//! What keeps an endpoint from getting too many connections.

use super::threshold::Threshold;
use crate::plan::Limits;

/// What keeps an endpoint from getting too many connections. Where all endpoints are above their
/// thresholds the kernel refuses, and most clients just see silence. So somebody always has none,
/// unless the Service asks to shed load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    /// Nothing: it accepts any number.
    Open,
    /// The kernel passes it over at its threshold.
    Threshold(Threshold),
    /// It takes what nobody else has room for. On a ladder it gets the least weight while others
    /// have.
    Last {
        /// Whether it has the least weight now.
        lowered: bool,
    },
}

impl Gate {
    /// The limits in the kernel.
    pub fn limits(self) -> Limits {
        match self {
            Self::Threshold(threshold) => threshold.limits(),
            Self::Open | Self::Last { .. } => Limits::default(),
        }
    }
}
