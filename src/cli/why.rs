use std::fmt::Write as _;

use anyhow::anyhow;

use super::columns::{Lean, align, blocks, counted, limit, percent};
use super::local::Socket;
use crate::serve::near::parse;
use crate::serve::routes::{FamilyRoutes, Origination, PortRoutes, Source};

const EXAMPLE: &str = "\
Example: why do connections to the service web in the namespace shop go where they go?
  spillway why shop/web";

/// Says which level a new connection from this node to a service takes now, and what made it so.
///
/// Asks the agent of this node: another node may have other levels and another part of the
/// endpoints' capacity. `spillway routes` shows the endpoints behind the levels. Needs root on the
/// node, or `kubectl exec` into its agent.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// NAMESPACE/NAME, or NAME in namespace default; NAME@clusterset for a ServiceImport
    service: String,

    #[command(flatten)]
    socket: Socket,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let service = parse(&args.service).map_err(|wrong| anyhow!(wrong))?;
    let routes = args.socket.routes(Some(&service))?;
    if routes.is_empty() {
        println!("{service} has no port that is programmed on this node");
    }
    print!("{}", prose(&routes));
    Ok(())
}

/// A paragraph and a table for each virtual server, with a blank line between two.
fn prose(routes: &[PortRoutes]) -> String {
    blocks(routes, block)
}

fn block(port: &PortRoutes, family: &FamilyRoutes) -> String {
    let mut text = String::new();
    let at = port.frontends_of(family).join(" ");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{} over {}, at {at}\n", port.title(), family.family);
    let takes = match &family.takes {
        Some(level) => format!("A new connection goes to level {level}:"),
        None => "A new connection is refused:".to_owned(),
    };
    let _ = writeln!(text, "{takes}");
    for reason in &family.because {
        let _ = writeln!(text, "  - {reason}");
    }
    if !family.levels.is_empty() {
        let _ = write!(text, "\n{}", levels(family));
    }
    if !family.sources.is_empty() {
        let _ = write!(text, "\n{}", sources(family));
    }
    text
}

fn levels(family: &FamilyRoutes) -> String {
    let head = ["LEVEL", "STATE", "ENDPOINTS", "BUDGET", "ACTIVE", "SHARE"];
    let mut rows = vec![head.map(String::from)];
    rows.extend(family.levels.iter().map(|level| {
        [
            level.title(),
            level.state.name().to_owned(),
            level.endpoints.len().to_string(),
            limit(level.budget),
            counted(level.active),
            percent(level.share),
        ]
    }));
    let (l, r) = (Lean::Left, Lean::Right);
    align(2, [l, l, r, r, r, r], &rows)
}

/// A node speaks of the capacity of the pods on it, and of no others'.
fn whose(source: &Source) -> String {
    let text = source.from.text();
    if source.from == Origination::Node && source.part.starts_with("capacity") {
        format!("{text}, of the pods on it")
    } else {
        text.to_owned()
    }
}

fn sources(family: &FamilyRoutes) -> String {
    let rows: Vec<[String; 3]> = family
        .sources
        .iter()
        .map(|source| {
            [
                source.part.clone(),
                source.value.clone(),
                format!("says {}", whose(source)),
            ]
        })
        .collect();
    align(2, [Lean::Left; 3], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::routes::example::{refused, spilling};

    #[test]
    fn why_a_connection_goes_to_the_zone() {
        let wanted = "\
default/web:http/TCP over IPv4, at 10.96.0.10:80 *:30080

A new connection goes to level zone:
  - level node is saturated: 50 of 50 connections: full
  - level zone is serving: 17 of 80 connections
  - level remote west is idle: no connections, room for any number
  - budgets follow what all nodes report that they want

  LEVEL        STATE      ENDPOINTS  BUDGET  ACTIVE    SHARE
  node         saturated          1      50      50    0.0 %
  zone         serving            1      80      17  100.0 %
  remote west  idle               1     any       0    0.0 %

  routing   spill             says the service
  levels    node,zone,remote  says this node
  capacity  100               says the service
  remote    fallback          says the configuration
";
        assert_eq!(prose(&[spilling()]), wanted);
    }

    #[test]
    fn why_a_connection_is_refused() {
        let wanted = "\
default/idle/UDP over IPv4, at 10.96.0.11:53

A new connection is refused:
  - the service has no endpoint that is ready
";
        assert_eq!(prose(&[refused()]), wanted);
    }
}
