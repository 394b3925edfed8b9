//! What the kernel knows of this process, under the names that all Prometheus clients use.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads `/proc/self` when metrics are asked for.
#[derive(Debug)]
pub struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        // Without /proc there are no such metrics.
        let Some(usage) = Usage::read() else {
            return Ok(());
        };
        let mut put =
            |name: &str, help: &str, metric: &dyn Metric| metric.put(&mut encoder, name, help);
        put(
            "process_cpu_seconds",
            "Total user and system CPU time spent in seconds.",
            &ConstCounter::new(usage.cpu_seconds),
        )?;
        put(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            &ConstGauge::new(usage.resident_bytes),
        )?;
        put(
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            &ConstGauge::new(usage.virtual_bytes),
        )?;
        put(
            "process_open_fds",
            "Number of open file descriptors.",
            &ConstGauge::new(usage.open_files),
        )?;
        put(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            &ConstGauge::new(usage.start_seconds),
        )
    }
}

/// A metric of any type.
trait Metric {
    fn put(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> std::fmt::Result;
}

impl<T: EncodeMetric> Metric for T {
    fn put(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> std::fmt::Result {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}

#[derive(Debug)]
struct Usage {
    cpu_seconds: f64,
    resident_bytes: i64,
    virtual_bytes: i64,
    open_files: i64,
    start_seconds: f64,
}

impl Usage {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name, which may hold spaces; proc(5) counts from 1.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<i64>().ok();
        let ticks = constant(SysconfVar::CLK_TCK)?;
        Some(Self {
            cpu_seconds: seconds(field(14)? + field(15)?, ticks),
            resident_bytes: field(24)?.checked_mul(constant(SysconfVar::PAGE_SIZE)?)?,
            virtual_bytes: field(23)?,
            open_files: i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()?,
            start_seconds: boot_seconds()? + seconds(field(22)?, ticks),
        })
    }
}

fn constant(variable: SysconfVar) -> Option<i64> {
    sysconf(variable).ok().flatten()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact for 285 million years of ticks"
)]
fn seconds(ticks: i64, per_second: i64) -> f64 {
    ticks as f64 / per_second as f64
}

/// When the machine started, in seconds since 1970.
fn boot_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_kernel_is_asked_about_this_very_process() {
        let before = Usage::read().unwrap();
        let held = vec![1_u8; 64 << 20];
        let usage = Usage::read().unwrap();
        assert!(
            usage.resident_bytes >= before.resident_bytes + (60 << 20),
            "{before:?} {usage:?}"
        );
        assert!(usage.virtual_bytes >= usage.resident_bytes);
        drop(held);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(usage.start_seconds);
        let age = SystemTime::now().duration_since(start).unwrap_or_default();
        assert!(age < Duration::from_mins(10), "{age:?}");
        assert!(usage.cpu_seconds >= 0.0 && usage.open_files >= 3);
    }
}
