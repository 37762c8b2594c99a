use clap::Args;
use serde_json::json;

use super::context::Context;
use super::data::Patience;
use super::query::words;
use super::{NodeChoice, lent};
use crate::error::Failure;
use crate::names::AppName;

/// Remove an app from a node; its data stays unless told otherwise
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The app's name
    app: AppName,
    /// Destroy the data of its services too: databases, files, secrets
    #[arg(long)]
    with_data: bool,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: Remove) -> Result<(), Failure> {
    let node = context.node(&args.node, Some(&args.app), &[])?;
    let what = if args.with_data { "with ALL ITS DATA" } else { "; its data stays" };
    context.ui.confirm_by_name(
        &format!("{} is removed from {} {what}.", args.app, node.name).replace(" ;", ";"),
        args.app.as_str(),
    )?;
    let mut remote = context.connect(&node)?;
    let request = json!({"verb": "remove", "app": args.app, "with_data": args.with_data, "lock_timeout": args.patience.lock_timeout});
    let answer = context.call_recorded(&mut remote, "remove", Some(&args.app), request)?;
    lent::give_back(context, &args.app, &answer["lenders"]);
    context.refresh_locations(&node, &mut remote)?;
    context.ui.event(&answer);
    context.ui.line(format!("{} is removed from {}", args.app, node.name));
    let kept = words(&answer["kept"]);
    if !kept.is_empty() {
        context
            .ui
            .line(format!("  kept: {kept} (the next update finds its data again; remove --with-data destroys it)"));
    }
    Ok(())
}
