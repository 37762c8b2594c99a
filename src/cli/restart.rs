use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use super::data::Patience;
use super::ps;
use crate::error::Failure;
use crate::names::AppName;

/// Start an app or some of its processes afresh, without one failed request
///
/// Without PROCESS all of it. The app itself (web) is started beside the running one, checked, and switched to, as with an update.
#[derive(Debug, Args)]
pub(super) struct Restart {
    /// The app's name
    app: AppName,
    /// Which processes: web, or the NAME of a [process:NAME]
    #[arg(value_name = "PROCESS")]
    processes: Vec<String>,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: Restart) -> Result<(), Failure> {
    let node = context.node(&args.node, Some(&args.app), &[])?;
    let mut remote = context.connect(&node)?;
    let request = json!({
        "verb": "restart", "app": args.app, "processes": args.processes, "lock_timeout": args.patience.lock_timeout,
    });
    let answer = context.call_recorded(&mut remote, "restart", Some(&args.app), request)?;
    context.ui.answer(&answer, |ui| ps::show(ui, &answer));
    Ok(())
}
