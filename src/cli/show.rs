//! A plan as a table for people and as JSON for programs.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde::Serialize;

use crate::model::{EndpointSet, Family, SetId};
use crate::plan::{Frontend, PortPlan, RealServer, VirtualServer};

/// One endpoint set of a service port, as JSON shows it.
#[derive(Debug, Serialize)]
struct PortView {
    namespace: String,
    service: String,
    port: String,
    protocol: String,
    /// The only client that it is for, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    /// Whether it is for clients under a traffic policy `Local`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    local: bool,
    frontends: Vec<String>,
    virtual_servers: Vec<ServerView>,
}

#[derive(Debug, Serialize)]
struct ServerView {
    family: String,
    scheduler: &'static str,
    real_servers: Vec<RealView>,
}

#[derive(Debug, Serialize)]
struct RealView {
    address: String,
    level: String,
    weight: u32,
    /// The part of the new connections that it gets, from 0 to 1.
    share: f64,
}

/// A JSON array with one object for each endpoint set.
pub fn json<'a>(
    ports: impl Iterator<Item = (&'a SetId, &'a PortPlan)>,
) -> serde_json::Result<String> {
    let views: Vec<PortView> = ports.map(|(id, plan)| port_view(id, plan)).collect();
    serde_json::to_string_pretty(&views)
}

/// A table with a line for each frontend and each real server.
pub fn table<'a>(ports: impl Iterator<Item = (&'a SetId, &'a PortPlan)>) -> String {
    let mut rows = vec![["SERVICE PORT", "LEVEL", "ENDPOINT", "WEIGHT", "SHARE"].map(String::from)];
    for (id, plan) in ports {
        for family in Family::ALL {
            let frontends: Vec<String> = plan
                .frontends
                .iter()
                .filter(|one| one.family() == family)
                .map(Frontend::to_string)
                .collect();
            if frontends.is_empty() {
                continue;
            }
            rows.push([
                format!("{id}"),
                frontends.join(" "),
                String::new(),
                String::new(),
                String::new(),
            ]);
            let server = plan.servers.iter().find(|server| server.family == family);
            rows.extend(server_rows(server));
        }
    }
    align(&rows)
}

fn server_rows(server: Option<&VirtualServer>) -> Vec<[String; 5]> {
    let mut reals: Vec<&RealServer> = server
        .into_iter()
        .flat_map(|server| &server.reals)
        .collect();
    if reals.is_empty() {
        let refused = "no endpoint: connections are refused".to_owned();
        return vec![[
            String::new(),
            "-".to_owned(),
            refused,
            String::new(),
            String::new(),
        ]];
    }
    reals.sort_by_key(|real| (real.level, real.ip, real.port));
    reals
        .iter()
        .map(|real| {
            let share = server.map_or(0.0, |server| share(server, real));
            [
                String::new(),
                real.level.to_string(),
                SocketAddr::new(real.ip, real.port.get()).to_string(),
                real.weight.to_string(),
                format!("{:.1} %", share * 100.0),
            ]
        })
        .collect()
}

fn port_view(id: &SetId, plan: &PortPlan) -> PortView {
    let SetId { port, set } = id;
    PortView {
        namespace: port.service.namespace.to_string(),
        service: port.service.name.to_string(),
        port: port.port.to_string(),
        protocol: port.protocol.to_string(),
        client: set.client().map(|ip| ip.to_string()),
        local: *set == EndpointSet::Local,
        frontends: plan.frontends.iter().map(Frontend::to_string).collect(),
        virtual_servers: plan.servers.iter().map(server_view).collect(),
    }
}

fn server_view(server: &VirtualServer) -> ServerView {
    ServerView {
        family: server.family.to_string(),
        scheduler: server.scheduler.name(),
        real_servers: server
            .reals
            .iter()
            .map(|real| RealView {
                address: SocketAddr::new(real.ip, real.port.get()).to_string(),
                level: real.level.to_string(),
                weight: real.weight,
                share: share(server, real),
            })
            .collect(),
    }
}

fn share(server: &VirtualServer, real: &RealServer) -> f64 {
    let total: f64 = server.reals.iter().map(|real| f64::from(real.weight)).sum();
    f64::from(real.weight) / total.max(1.0)
}

/// Pads every column but the first to its widest cell; the first cell of a row with one stands on
/// the line of its own that names the service port.
fn align(rows: &[[String; 5]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .skip(1)
            .filter(|row| row[0].is_empty())
            .map(|row| row[column].len())
            .max()
            .unwrap_or(0)
            .max(rows[0][column].len())
    };
    let widths = [width(1), width(2), width(3)];
    let mut text = String::new();
    for (index, [port, level, endpoint, weight, share]) in rows.iter().enumerate() {
        let line = if index > 0 && !port.is_empty() {
            format!("{port}  at  {level}")
        } else {
            format!(
                "    {level:<0$}  {endpoint:<1$}  {weight:>2$}  {share:>7}",
                widths[0], widths[1], widths[2]
            )
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
