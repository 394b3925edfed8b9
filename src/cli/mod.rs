//! The `spillway` command.

mod agent;
mod cleanup;
mod columns;
mod local;
mod plan;
mod routes;
mod show;
mod why;

use clap::{Parser, Subcommand};

/// A Kubernetes service proxy that routes every connection to the nearest pod that has room.
///
/// Spillway runs on every node in place of kube-proxy. It watches Services and EndpointSlices and
/// programs the kernel's IPVS through netlink; no packet ever passes through it, and the kernel
/// goes on routing while it is stopped.
#[derive(Debug, Parser)]
#[command(name = "spillway", version, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Agent(Box<agent::Args>),
    Plan(plan::Args),
    Routes(routes::Args),
    Why(why::Args),
    Cleanup(cleanup::Args),
}

/// Runs the command that the process was started with.
///
/// # Errors
/// Those of the command; their text is for the person who gave it.
pub fn run() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Agent(args) => agent::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Routes(args) => routes::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Cleanup(args) => cleanup::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_an_example() {
        let mut command = Args::command();
        command.build();
        command.clone().debug_assert();
        for command in command
            .get_subcommands()
            .filter(|it| it.get_name() != "help")
        {
            let example = command.get_after_help().map(ToString::to_string);
            let call = format!("  spillway {}", command.get_name());
            assert!(example.is_some_and(|text| text.contains(&call)), "{call}");
        }
    }
}
