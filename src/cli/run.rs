use std::path::Path;

use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use super::data::Target;
use super::inside::{self, Wish};
use super::{local, uploads};
use crate::error::{Failure, Kind};
use crate::names::BadName;

/// Run a command inside an app
///
/// In the release that serves, as the app's own user, with its variables, its virtual environment, its sandbox and its limits. The
/// command is a file of the release (of its bin/ first), of the virtual environment, or of the node; no shell reads its arguments.
/// Standard input, output and error are the command's, and so is the exit code. Arguments that name files or directories of this
/// machine are sent, and replaced by where they are on the node, until the command has ended; what the release has itself stays.
///
/// With --local, on this machine: for the app in a directory, as `serve` would run it, with its services.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// With a terminal
    #[arg(short, long)]
    interactive: bool,
    /// Send no files: the arguments are for the node as they are
    #[arg(long)]
    no_upload: bool,
    /// On this machine; instead of the app stands its directory
    #[arg(long, conflicts_with_all = ["interactive", "no_upload", "node"])]
    local: bool,
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: String,
    /// The command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: Run) -> Result<(), Failure> {
    if args.local {
        return local::become_it(context, Path::new(&args.target), &args.command);
    }
    let target: Target = args.target.parse().map_err(|error: BadName| Failure::new(Kind::Usage, error.to_string()))?;
    let uploads =
        if args.no_upload { Vec::new() } else { uploads::find(&args.command, &uploads::current_directory()?) };
    let what = json!({"words": args.command});
    let wish = Wish { target: &target, node: &args.node, what, terminal: args.interactive, uploads };
    inside::become_it(context, wish)
}
