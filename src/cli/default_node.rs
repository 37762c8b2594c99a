use clap::Args;
use serde_json::json;

use super::context::Context;
use crate::error::Failure;

/// Show or set the node of commands without --node
#[derive(Debug, Args)]
pub(super) struct DefaultNode {
    /// The node that becomes the default one
    name: Option<String>,
    /// There shall be none
    #[arg(long, conflicts_with = "name")]
    unset: bool,
}

pub(super) fn run(context: &Context, args: DefaultNode) -> Result<(), Failure> {
    let inventory = context.inventory()?;
    if args.unset {
        inventory.set_default_node(None)?;
    } else if let Some(name) = &args.name {
        let node = context.named(name)?;
        inventory.set_default_node(Some(&node.name))?;
    }
    let default = inventory.default_node()?;
    context.ui.answer(&json!({"default_node": default}), |ui| match &default {
        Some(name) => ui.line(name),
        None => ui.say("There is no default node"),
    });
    Ok(())
}
