//! Fields that somebody has set and that do nothing here.

use serde_json::Value;

use super::file::{Configuration, Unused};
use super::gates;

/// Their paths. A zero is no choice: kubeadm writes every field.
pub fn unused(file: &Configuration) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |path: &str, field: &Unused| {
        if field.as_ref().is_some_and(|value| !is_zero(value)) {
            found.push(path.to_owned());
        }
    };
    look(
        "clientConnection.acceptContentTypes",
        &file.client_connection.accept_content_types,
    );
    look("clientConnection.burst", &file.client_connection.burst);
    look(
        "clientConnection.contentType",
        &file.client_connection.content_type,
    );
    look("clientConnection.qps", &file.client_connection.qps);
    look("configSyncPeriod", &file.config_sync_period);
    look("enableProfiling", &file.enable_profiling);
    look("ipvs.minSyncPeriod", &file.ipvs.min_sync_period);
    look("logging", &file.logging);
    look("portRange", &file.port_range);
    look(
        "showHiddenMetricsForVersion",
        &file.show_hidden_metrics_for_version,
    );
    look("windowsRunAsService", &file.windows_run_as_service);
    look("winkernel", &file.winkernel);
    for (name, section) in [("iptables", &file.iptables), ("nftables", &file.nftables)] {
        look(
            &format!("{name}.localhostNodePorts"),
            &section.localhost_node_ports,
        );
        look(&format!("{name}.minSyncPeriod"), &section.min_sync_period);
        look(&format!("{name}.syncPeriod"), &section.sync_period);
    }
    // Masquerading is read from the section of the mode.
    let (name, idle) = match &*file.mode {
        "nftables" => ("iptables", &file.iptables),
        _ => ("nftables", &file.nftables),
    };
    if idle.masquerade_all {
        found.push(format!("{name}.masqueradeAll"));
    }
    if idle.masquerade_bit.is_some_and(|bit| bit != 0) {
        found.push(format!("{name}.masqueradeBit"));
    }
    found.extend(gates::unused(file));
    found.sort_unstable();
    found
}

/// Whether a value is what Go writes for a field that nobody has set.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => matches!(&**text, "" | "0" | "0s"),
        Value::Array(values) => values.iter().all(is_zero),
        Value::Object(fields) => fields.values().all(is_zero),
    }
}
