use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use crate::error::Failure;
use crate::names::{AppName, ReleaseId};

/// Go back to the previous release of an app, or to any that is kept
///
/// The same way as an update: the release is started, checked, and switched to. Data stays as it is.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// The app's name
    app: AppName,
    /// The release to go to (or forward to)
    #[arg(long, value_name = "RELEASE")]
    to: Option<ReleaseId>,
    #[command(flatten)]
    node: NodeChoice,
    /// How many seconds to wait when somebody else is at it
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    lock_timeout: u32,
}

pub(super) fn run(context: &Context, args: Rollback) -> Result<(), Failure> {
    let start = Instant::now();
    let node = context.node(&args.node, Some(&args.app), &[])?;
    let mut remote = context.connect(&node)?;
    let request = json!({"verb": "rollback", "app": args.app, "to": args.to, "lock_timeout": args.lock_timeout});
    let answer = context.call_recorded(&mut remote, "rollback", Some(&args.app), request)?;
    context.ui.event(&answer);
    let release = answer["release"].as_str().unwrap_or_default();
    context.ui.line(format!("{} {release} serves ({:.2} s)", args.app, start.elapsed().as_secs_f64()));
    Ok(())
}
