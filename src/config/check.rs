//! Checks: the file's values and the flags → [`Settings`], or all that is wrong with them.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use nix::sys::utsname::uname;

use super::address::{EVERYWHERE, HEALTHZ_PORT, METRICS_PORT, NoAddress, listen, loopback};
use super::file::{self, Configuration};
use super::marks::{marks, masquerade};
use super::pods::detection;
use super::timeouts::{conntrack, patience, timeouts};
use super::tuning::{cluster_id, defaults, slow_start, tick};
use super::unused::unused;
use super::{ConfigError, Invalid, Overrides, Reports, Settings, gates, node_ports};
use crate::model::{Scheduler, ServiceId, Weight, Weights};

/// What has been found.
pub struct Findings<'a> {
    origin: &'a str,
    /// Fields whose value is that of a flag.
    flags: Vec<(&'static str, &'static str)>,
    wrong: Vec<Invalid>,
    warnings: Vec<String>,
}

impl Findings<'_> {
    /// Notes a wrong value of the file, or of a flag.
    pub fn wrong(&mut self, field: &str, wrong: impl Display, remedy: &str) {
        let (origin, field) = self.blame(field);
        self.wrong.push(Invalid {
            origin,
            field,
            wrong: wrong.to_string(),
            remedy: remedy.to_owned(),
        });
    }

    /// Where the value of a field comes from, and what it is called there.
    fn blame(&self, field: &str) -> (String, String) {
        let flag = self.flags.iter().find(|(name, _)| *name == field);
        let field = flag.map_or(field, |(_, flag)| flag);
        let origin = match self.origin {
            _ if field.starts_with("--") => "command line",
            "" => "defaults",
            origin => origin,
        };
        (origin.to_owned(), field.to_owned())
    }

    /// Notes what a person should be told.
    pub fn warn(&mut self, field: &str, what: impl Display) {
        let (origin, field) = self.blame(field);
        self.warnings.push(format!("{origin}: {field}: {what}"));
    }
}

/// Checks everything at once, so that a person can correct everything at once.
pub fn settings(
    mut file: Configuration,
    origin: &str,
    overrides: &Overrides,
    unknown: &[String],
) -> Result<(Settings, Vec<String>), ConfigError> {
    let flags = overrides.flags.apply(&mut file);
    let file = &file;
    let mut findings = Findings {
        origin,
        flags,
        wrong: Vec::new(),
        warnings: Vec::new(),
    };
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        findings.warn(
            "unknown fields",
            format_args!("{unknown}; they have no effect"),
        );
    }
    version(file, &mut findings);
    without_effect(file, overrides, &mut findings);
    let bind_address = bind_address(&file.bind_address, &mut findings);
    let (node, hostname_override) = node(&file.hostname_override, overrides, &mut findings);
    let marks = marks(file.spillway.mark_range.as_deref(), &mut findings);
    let settings = Settings {
        node,
        hostname_override,
        bind: bind_address.filter(|ip| !ip.is_unspecified()),
        kubeconfig: Some(file.client_connection.kubeconfig.trim())
            .filter(|path| !path.is_empty())
            .map(PathBuf::from),
        weights: weights(&file.spillway.weights, &mut findings),
        scheduler: scheduler(&file.ipvs.scheduler, &mut findings),
        defaults: defaults(&file.spillway, &mut findings),
        cluster_id: cluster_id(&file.spillway, &mut findings),
        tick: tick(&file.spillway, &mut findings),
        slow_start: slow_start(&file.spillway, &mut findings),
        marks,
        masquerade: masquerade(file, marks, &mut findings),
        pods: detection(file, &mut findings),
        node_ports: node_ports::addresses(&file.node_port_addresses, &mut findings),
        external_ips: gates::external_ips(file),
        exclude_cidrs: exclude_cidrs(&file.ipvs.exclude_cidrs, &mut findings),
        healthz: address(
            (
                "--healthz-bind-address",
                overrides.healthz_bind_address.as_deref(),
            ),
            ("healthzBindAddress", &file.healthz_bind_address),
            SocketAddr::new(EVERYWHERE, HEALTHZ_PORT),
            &mut findings,
        ),
        metrics: address(
            (
                "--metrics-bind-address",
                overrides.metrics_bind_address.as_deref(),
            ),
            ("metricsBindAddress", &file.metrics_bind_address),
            SocketAddr::new(loopback(bind_address), METRICS_PORT),
            &mut findings,
        ),
        socket: match &overrides.socket {
            Some(path) if path.as_os_str() == "off" => None,
            Some(path) => Some(path.clone()),
            None => Some(Settings::SOCKET.into()),
        },
        bind_hard_fail: file.bind_address_hard_fail,
        patience: patience(&file.ipvs, &mut findings),
        oom_score_adj: oom_score_adj(file.oom_score_adj, &mut findings),
        strict_arp: file.ipvs.strict_arp,
        timeouts: timeouts(&file.ipvs, &mut findings),
        conntrack: conntrack(&file.conntrack, &mut findings),
        drain: file
            .spillway
            .drain_seconds
            .map_or(Settings::DRAIN, |seconds| {
                Duration::from_secs(seconds.into())
            }),
        reports: reports(&file.spillway.reports, &mut findings),
        proc_sys: overrides
            .proc_sys
            .clone()
            .unwrap_or_else(|| PathBuf::from("/proc/sys")),
    };
    if findings.wrong.is_empty() {
        Ok((settings, findings.warnings))
    } else {
        Err(ConfigError::Invalid(findings.wrong))
    }
}

fn version(file: &Configuration, findings: &mut Findings<'_>) {
    for (field, found, wanted) in [
        (
            "apiVersion",
            &file.api_version,
            "kubeproxy.config.k8s.io/v1alpha1",
        ),
        ("kind", &file.kind, "KubeProxyConfiguration"),
    ] {
        if let Some(found) = found.as_deref().filter(|found| *found != wanted) {
            findings.wrong(
                field,
                format_args!("found {found:?}"),
                &format!("use {wanted}"),
            );
        }
    }
}

/// Warns of values that somebody chose and that do nothing here.
fn without_effect(file: &Configuration, overrides: &Overrides, findings: &mut Findings<'_>) {
    if !matches!(&*file.mode, "" | "ipvs") {
        let mode = &file.mode;
        findings.warn(
            "mode",
            format_args!("{mode:?} has no effect: Spillway is IPVS"),
        );
    }
    let unused = unused(file);
    if !unused.is_empty() {
        let unused = unused.join(", ");
        findings.warn(
            "fields of other proxies",
            format_args!("{unused}; they have no effect"),
        );
    }
    let flags = overrides.flags.without_effect();
    if let Some(first) = flags.first() {
        let all = flags.join(", ");
        findings.warn(first, format_args!("no effect here: {all}"));
    }
}

/// The Node's name, and again if it is not that of the host.
fn node(hostname: &str, overrides: &Overrides, findings: &mut Findings<'_>) -> (String, String) {
    const REMEDY: &str = "give the name of the Node with --node";
    let given = overrides.node.as_deref().unwrap_or(hostname).trim();
    let name = if given.is_empty() {
        let host = uname().map(|name| name.nodename().to_string_lossy().trim().to_owned());
        host.unwrap_or_default()
    } else {
        given.to_owned()
    };
    // As kube-proxy and kubelet do.
    let name = name.to_lowercase();
    let characters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if name.is_empty() || !name.chars().all(characters) {
        let field = if overrides.node.is_some() {
            "--node"
        } else {
            "hostnameOverride"
        };
        findings.wrong(
            field,
            format_args!("{name:?} cannot be the name of a Node"),
            REMEDY,
        );
    }
    let given = if given.is_empty() { "" } else { &name };
    (name.clone(), given.to_owned())
}

fn bind_address(text: &str, findings: &mut Findings<'_>) -> Option<IpAddr> {
    if text.is_empty() {
        return None;
    }
    let ip = text.parse().ok();
    if ip.is_none() {
        findings.wrong(
            "bindAddress",
            format_args!("found {text:?}"),
            "give an IP address",
        );
    }
    ip
}

fn address(
    (flag, given): (&str, Option<&str>),
    (field, text): (&str, &str),
    default: SocketAddr,
    findings: &mut Findings<'_>,
) -> Option<SocketAddr> {
    let (field, text) = given.map_or((field, text), |given| (flag, given));
    listen(text, default).unwrap_or_else(|NoAddress| {
        let remedy = format!("give an IP address and port like {default}, or \"off\"");
        findings.wrong(field, format_args!("found {text:?}"), &remedy);
        None
    })
}

fn weights(file: &file::Weights, findings: &mut Findings<'_>) -> Weights {
    let default = Weights::default();
    let mut weight = |field, value: Option<i64>, default| {
        let Some(value) = value else { return default };
        let weight = u16::try_from(value).ok().and_then(Weight::new);
        weight.unwrap_or_else(|| {
            findings.wrong(
                field,
                format_args!("found {value}"),
                "give a number from 1 to 65535",
            );
            default
        })
    };
    Weights {
        node: weight("spillway.weights.node", file.node, default.node),
        zone: weight("spillway.weights.zone", file.zone, default.zone),
        cluster: weight("spillway.weights.cluster", file.cluster, default.cluster),
        remote: weight("spillway.weights.remote", file.remote, default.remote),
    }
}

fn scheduler(name: &str, findings: &mut Findings<'_>) -> Scheduler {
    match name {
        "" => Scheduler::default(),
        "rr" | "lc" => {
            findings.warn(
                "ipvs.scheduler",
                format_args!(
                    "with {name:?} weights do not count: near and far endpoints get equal shares"
                ),
            );
            Scheduler::from_name(name).unwrap_or_default()
        }
        _ => Scheduler::from_name(name).unwrap_or_else(|| {
            let default = Scheduler::default().name();
            findings.warn(
                "ipvs.scheduler",
                format_args!("{name:?} is not supported; {default:?} is used"),
            );
            Scheduler::default()
        }),
    }
}

fn oom_score_adj(score: Option<i64>, findings: &mut Findings<'_>) -> Option<i16> {
    let score = score?;
    let valid = i16::try_from(score)
        .ok()
        .filter(|score| (-1000..=1000).contains(score));
    if valid.is_none() {
        findings.wrong(
            "oomScoreAdj",
            format_args!("found {score}"),
            "give a number from -1000 to 1000",
        );
    }
    valid
}

fn reports(file: &file::Reports, findings: &mut Findings<'_>) -> Option<Reports> {
    let text = match file.service.trim() {
        "" => "kube-system/spillway",
        "off" => return None,
        text => text,
    };
    let service = text
        .split_once('/')
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
    let Some((namespace, name)) = service.filter(|(_, name)| !name.contains('/')) else {
        findings.wrong(
            "spillway.reports.service",
            format_args!("found {text:?}"),
            "give NAMESPACE/NAME of the agents' Service, or \"off\"",
        );
        return None;
    };
    let key_file = file.key_file.as_deref().filter(|path| !path.is_empty());
    Some(Reports {
        service: ServiceId::new(namespace, name),
        key_file: key_file.map(PathBuf::from),
    })
}

fn exclude_cidrs(texts: &[String], findings: &mut Findings<'_>) -> Vec<IpNet> {
    let parsed = texts.iter().filter_map(|text| {
        let cidr = text.trim().parse().ok();
        if cidr.is_none() {
            let remedy = "give ranges like 192.0.2.0/24";
            findings.wrong("ipvs.excludeCIDRs", format_args!("found {text:?}"), remedy);
        }
        cidr
    });
    parsed.collect()
}
