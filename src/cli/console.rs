use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use super::data::Target;
use super::inside::{self, Wish};
use crate::error::Failure;

/// Open a Python or PHP prompt with an app loaded
///
/// Inside the release that serves, as `cloudtool run` does it. In Python `application` and the runner's module are there by their names,
/// in PHP what the app's autoloader finds. What is piped in is run as a script: `cloudtool console myapp < report.py`.
#[derive(Debug, Args)]
pub(super) struct Console {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: Console) -> Result<(), Failure> {
    let what = json!({"open": "console"});
    inside::become_it(
        context,
        Wish { target: &args.target, node: &args.node, what, terminal: true, uploads: Vec::new() },
    )
}
