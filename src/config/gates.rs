//! Feature gates: of Kubernetes' many, the one that a proxy has to follow.

use std::collections::BTreeMap;

use super::file::Configuration;
use super::flags::boolean;

/// While it is off, the field `externalIPs` of Services means nothing (KEP-5707).
const EXTERNAL_IPS: &str = "AllowServiceExternalIPs";

/// Whether the field `externalIPs` of Services counts.
pub fn external_ips(file: &Configuration) -> bool {
    file.feature_gates
        .get(EXTERNAL_IPS)
        .copied()
        .unwrap_or(true)
}

/// As in the file.
pub fn written(external_ips: bool) -> BTreeMap<&'static str, bool> {
    BTreeMap::from([(EXTERNAL_IPS, external_ips)])
}

/// The paths of those that are set and do nothing here.
pub fn unused(file: &Configuration) -> impl Iterator<Item = String> {
    let others = file
        .feature_gates
        .keys()
        .filter(|gate| *gate != EXTERNAL_IPS);
    others.map(|gate| format!("featureGates.{gate}"))
}

/// Reads the flag: `A=true,B=false`.
pub fn read(text: &str) -> Result<BTreeMap<String, bool>, String> {
    let gates = text
        .split(',')
        .map(str::trim)
        .filter(|gate| !gate.is_empty());
    let read = gates.map(|gate| {
        let (name, value) = gate.split_once('=')?;
        let value = boolean(value.trim()).ok()?;
        Some((name.trim().to_owned(), value))
    });
    let wrong = || "give gates like AllowServiceExternalIPs=false, separated by commas".to_owned();
    read.collect::<Option<_>>().ok_or_else(wrong)
}
