/// Demand and room at one place: a node, a zone or the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// Connections at a time that are wanted and not served nearer.
    pub demand: f64,
    /// Connections at a time that its pods can have besides those that are nearer to them.
    pub room: f64,
}

impl Place {
    /// The fraction of the demand that there is room for.
    pub fn served(self) -> f64 {
        if self.demand > 0.0 {
            (self.room / self.demand).min(1.0)
        } else {
            0.0
        }
    }

    /// The fraction of the room that is used.
    pub fn used(self) -> f64 {
        if self.room > 0.0 {
            (self.demand / self.room).min(1.0)
        } else {
            0.0
        }
    }

    /// Whether it differs from another by more than this fraction, 0 to 1.
    pub fn differs(self, other: Self, by: f64) -> bool {
        (self.served() - other.served()).abs() > by || (self.used() - other.used()).abs() > by
    }
}
