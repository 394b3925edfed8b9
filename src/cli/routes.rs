use std::fmt::Write as _;

use anyhow::{Context, anyhow};
use clap::ValueEnum;

use super::columns::{Lean, align, blocks, counted, limit, percent};
use super::local::Socket;
use crate::serve::near::parse;
use crate::serve::routes::{EndpointRoutes, FamilyRoutes, LevelRoutes, PortRoutes};

const EXAMPLE: &str = "\
Examples: all services of this node, and one of them as JSON
  spillway routes
  spillway routes shop/web -o json";

/// Shows where this node's agent sends connections now: `ipvsadm -ln`, but level by level.
///
/// For each service port and family: its levels in the order in which they fill up, with their
/// endpoints. `>` marks the level that a new connection goes to. BUDGET is this node's part of
/// what an endpoint accepts (CAPACITY, of all nodes together); ACTIVE and INACTIVE are this node's
/// connections, `-` where nobody counts them since the service has no capacity. SHARE is the part
/// of this node's new connections. Needs root on the node, or `kubectl exec` into its agent.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// NAMESPACE/NAME, or NAME in namespace default; NAME@clusterset for a ServiceImport [default: all]
    service: Option<String>,

    /// How to print the routes
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    socket: Socket,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Table,
    Json,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let service = args.service.as_deref().map(parse);
    let service = service.transpose().map_err(|wrong| anyhow!(wrong))?;
    let routes = args.socket.routes(service.as_ref())?;
    match args.output {
        Output::Table => print!("{}", table(&routes)),
        Output::Json => println!(
            "{}",
            serde_json::to_string_pretty(&routes)
                .context("the routes cannot be written as JSON")?
        ),
    }
    Ok(())
}

/// A block for each virtual server, with a blank line between two.
fn table(routes: &[PortRoutes]) -> String {
    blocks(routes, block)
}

fn block(port: &PortRoutes, family: &FamilyRoutes) -> String {
    let mut text = format!(
        "{}  {}  at  {}\n  {}, scheduler {}",
        port.title(),
        family.family,
        port.frontends_of(family).join(" "),
        family.routing,
        family.scheduler
    );
    if let Some(mark) = port.mark {
        // Writing to a String cannot fail.
        let _ = write!(text, ", mark {mark:#010x}");
    }
    text.push('\n');
    if family.levels.is_empty() {
        text.push_str("    no endpoint: connections are refused\n");
        return text;
    }
    let mut rows = vec![
        [
            "LEVEL", "ENDPOINT", "WEIGHT", "CAPACITY", "BUDGET", "ACTIVE", "INACTIVE", "SHARE",
            "STATE", "REASON",
        ]
        .map(String::from),
    ];
    // Room for the mark of the level that is taken.
    rows[0][0].insert_str(0, "  ");
    for level in &family.levels {
        rows.push(level_row(level, family.takes.as_deref()));
        rows.extend(level.endpoints.iter().map(endpoint_row));
    }
    let (l, r) = (Lean::Left, Lean::Right);
    text.push_str(&align(2, [l, l, r, r, r, r, r, r, l, l], &rows));
    text
}

fn level_row(level: &LevelRoutes, takes: Option<&str>) -> [String; 10] {
    let title = level.title();
    let mark = if takes == Some(title.as_str()) {
        ">"
    } else {
        " "
    };
    let endpoints = match level.endpoints.len() {
        1 => "1 endpoint".to_owned(),
        many => format!("{many} endpoints"),
    };
    [
        format!("{mark} {title}"),
        endpoints,
        String::new(),
        String::new(),
        limit(level.budget),
        counted(level.active),
        counted(level.inactive),
        percent(level.share),
        level.state.name().to_owned(),
        level.reason.clone(),
    ]
}

fn endpoint_row(endpoint: &EndpointRoutes) -> [String; 10] {
    [
        String::new(),
        endpoint.address.clone(),
        endpoint.weight.to_string(),
        limit(endpoint.capacity),
        limit(endpoint.budget),
        counted(endpoint.active),
        counted(endpoint.inactive),
        percent(endpoint.share),
        endpoint.state.clone(),
        endpoint.reason.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::routes::example::{refused, spilling};

    #[test]
    fn a_service_shows_level_by_level() {
        let wanted = "\
default/web:http/TCP  IPv4  at  10.96.0.10:80 *:30080
  spill, scheduler sed, mark 0x01000001
    LEVEL        ENDPOINT             WEIGHT  CAPACITY  BUDGET  ACTIVE  INACTIVE    SHARE  STATE      REASON
    node         1 endpoint                                 50      50         3    0.0 %  saturated  50 of 50 connections: full
                 10.244.1.5:8080  1073741824       100      50      50         3    0.0 %  full
  > zone         1 endpoint                                 80      17         3  100.0 %  serving    17 of 80 connections
                 10.244.2.7:8080       32768       100      80      17         3  100.0 %  serving
    remote west  1 endpoint                                any       0         0    0.0 %  idle       no connections, room for any number
                 10.9.0.4:8080             1       any     any       0         0    0.0 %  idle
";
        assert_eq!(table(&[spilling()]), wanted);
    }

    #[test]
    fn a_service_without_endpoints_says_so() {
        let wanted = "\
default/idle/UDP  IPv4  at  10.96.0.11:53
  prefer, scheduler wrr
    no endpoint: connections are refused
";
        assert_eq!(table(&[refused()]), wanted);
        let both = table(&[refused(), refused()]);
        assert_eq!(both, format!("{wanted}\n{wanted}"));
    }

    #[test]
    fn frontends_show_with_their_family() {
        let mut port = spilling();
        port.frontends.push("[fd00::a]:80".into());
        port.frontends.push("[*]:30080".into());
        let mut six = port.families[0].clone();
        six.family = "IPv6".into();
        port.families.push(six);
        let text = table(&[port]);
        assert!(text.contains("IPv4  at  10.96.0.10:80 *:30080\n"), "{text}");
        assert!(
            text.contains("IPv6  at  [fd00::a]:80 [*]:30080\n"),
            "{text}"
        );
    }
}
