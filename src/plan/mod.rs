//! From what the cluster looks like to what the kernel shall hold. Pure: no clock, no I/O.

mod wanted;

pub use wanted::{Frontend, PortPlan, RealServer, Scheduler, ServicePlan, VirtualServer};
