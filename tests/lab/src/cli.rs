//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::machine::guest;
use crate::run::{self, Options};

/// Runs Spillway's tests, demo and benchmarks under a real IPVS kernel.
#[derive(Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab")]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Common {
    /// Use this machine's own kernel instead of a virtual machine (needs IPVS and root's rights).
    #[arg(long, global = true)]
    native: bool,
    /// Show the kernel's console and the output of tests that pass.
    #[arg(long, short, global = true)]
    verbose: bool,
    /// The longest that the machine may run, in seconds.
    #[arg(long, global = true, default_value_t = 3600, value_name = "SECONDS")]
    limit: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Run the tests whose name (`AREA::MODULE::TEST`) contains FILTER; all by default.
    ///
    /// A FILTER that begins with the name of a kernel test program, such as `kernel::nft`, is about
    /// that program alone.
    Test {
        /// A part of the names of the tests to run.
        #[arg(default_value = "")]
        filter: String,
    },
    /// Open a shell in the machine, or run a command there.
    Shell {
        /// The command, as one would type it.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Show what Spillway does.
    Demo,
    /// Run the benchmarks whose name contains NAME; all by default.
    ///
    /// Fails if one fails, or measures something that is not within its bounds.
    Bench {
        /// A part of the names of the benchmarks to run.
        #[arg(default_value = "")]
        name: String,
    },
    /// What runs inside of the machine.
    #[command(subcommand, hide = true)]
    Guest(Guest),
}

#[derive(Subcommand)]
enum Guest {
    /// The first process of a virtual machine.
    Boot { job: PathBuf },
    /// The first process in namespaces of this machine.
    Native { job: PathBuf },
    /// A script of a person's shell.
    Shell { script: String },
    /// The demo.
    Demo,
}

/// Does what the command line asks for.
pub fn run() -> anyhow::Result<ExitCode> {
    let Cli { common, command } = Cli::parse();
    let options = Options {
        native: common.native,
        verbose: common.verbose,
        limit: Duration::from_secs(common.limit),
    };
    Ok(match command {
        Command::Test { filter } => all_good(run::test::run(&options, &filter)?),
        Command::Bench { name } => all_good(run::bench::run(&options, &name)?),
        Command::Shell { command } => run::shell::shell(&options, &command)?.into(),
        Command::Demo => run::shell::demo(&options)?.into(),
        Command::Guest(guest) => inside(&guest)?,
    })
}

fn inside(guest: &Guest) -> anyhow::Result<ExitCode> {
    match guest {
        Guest::Boot { job } => guest::boot(job)?,
        Guest::Native { job } => guest::native(job)?,
        Guest::Shell { script } => return guest::shell::run(script),
        Guest::Demo => lab::demo::run()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn all_good(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
