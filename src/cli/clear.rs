use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::data::{self, Patience, Target};
use super::query::words;
use super::{NodeChoice, backup};
use crate::error::Failure;

/// Give an app new, empty data, and run its update_fetch on them
///
/// Asks for the app's name, and takes a backup first. The app is switched to the new databases and directories as an update is; then
/// the old ones are destroyed.
#[derive(Debug, Args)]
pub(super) struct Clear {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// Take no backup before
    #[arg(long)]
    no_backup: bool,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: Clear) -> Result<(), Failure> {
    let start = Instant::now();
    let destination = data::destination(context, None)?;
    let mut found = data::find(context, &args.target, &args.node)?;
    let after = if args.no_backup { "There will be NO BACKUP of them." } else { "A backup is taken first." };
    context.ui.confirm_by_name(
        &format!("All data of {} on {} are destroyed. {after}", found.app, found.node.name),
        found.app.as_str(),
    )?;
    let lock_timeout = args.patience.lock_timeout;
    if !args.no_backup {
        let request = json!({"verb": "backup", "app": found.app, "recipients": destination.recipients, "lock_timeout": lock_timeout});
        backup::take(context, &mut found, &destination, request)?;
    }
    let request = json!({"verb": "clear", "app": found.app, "lock_timeout": lock_timeout});
    let answer = data::call(context, &mut found, &destination, request)?;
    context.ui.event(&answer);
    let seconds = start.elapsed().as_secs_f64();
    context.ui.line(format!("{} is empty: {} ({seconds:.2} s)", found.app, words(&answer["services"])));
    Ok(())
}
