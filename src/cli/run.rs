use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use super::data::Target;
use super::inside::{self, Wish};
use super::uploads;
use crate::error::{Failure, Kind};

/// Run a command inside an app
///
/// In the release that serves, as the app's own user, with its variables, its virtual environment, its sandbox and its limits. The
/// command is a file of the release (of its bin/ first), of the virtual environment, or of the node; no shell reads its arguments.
/// Standard input, output and error are the command's, and so is the exit code. Arguments that name files or directories of this
/// machine are sent, and replaced by where they are on the node, until the command has ended; what the release has itself stays.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// With a terminal
    #[arg(short, long)]
    interactive: bool,
    /// Send no files: the arguments are for the node as they are
    #[arg(long)]
    no_upload: bool,
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// The command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: Run) -> Result<(), Failure> {
    let uploads = if args.no_upload {
        Vec::new()
    } else {
        let here = std::env::current_dir().and_then(|path| path.canonicalize());
        let here =
            here.map_err(|error| Failure::new(Kind::Usage, format!("the current directory cannot be read: {error}")))?;
        uploads::find(&args.command, &here)
    };
    let what = json!({"words": args.command});
    let wish = Wish { target: &args.target, node: &args.node, what, terminal: args.interactive, uploads };
    inside::become_it(context, wish)
}
