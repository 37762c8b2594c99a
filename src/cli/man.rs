use std::path::PathBuf;

use clap::Args;

use super::context::Context;
use crate::error::{Failure, Kind};

/// Write the manual pages
///
/// One for each command, to be read with `man -M DIR cloudtool` and `man -M DIR cloudtool-update`.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The directory; they are put into man1 below it
    #[arg(default_value = ".")]
    dir: PathBuf,
}

pub(super) fn run(context: &Context, args: Man) -> Result<(), Failure> {
    let directory = args.dir.join("man1");
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Failed, format!("{} cannot be written: {error}", directory.display()))
    };
    std::fs::create_dir_all(&directory).map_err(failed)?;
    clap_mangen::generate_to(super::definition().disable_help_subcommand(true), &directory).map_err(failed)?;
    context.ui.say(format!("wrote the manual pages to {}", directory.display()));
    Ok(())
}
