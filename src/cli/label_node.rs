use clap::Args;
use serde_json::json;

use super::clouds::no_such_node;
use super::context::Context;
use crate::error::{Failure, Kind};

/// Give a node labels, or show those it has
///
/// `exec --on @LABEL` means all nodes with a label. Labels are kept in the inventory of this machine.
#[derive(Debug, Args)]
pub(super) struct LabelNode {
    /// The node's name
    node: String,
    /// The labels: letters, digits, '-', '_' and '.'
    #[arg(value_name = "LABEL")]
    labels: Vec<String>,
    /// Take the labels away
    #[arg(long, requires = "labels")]
    remove: bool,
}

pub(super) fn run(context: &Context, args: LabelNode) -> Result<(), Failure> {
    let inventory = context.inventory()?;
    let Some(node) = inventory.find_node(&args.node)? else { return Err(no_such_node(&args.node)) };
    for label in &args.labels {
        let is_label = !label.is_empty()
            && label.len() <= 60
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !is_label {
            return Err(Failure::new(Kind::Usage, format!("{label:?} is no label"))
                .hint("it has letters, digits, '-', '_' and '.', and is written without @"));
        }
    }
    for label in &args.labels {
        if args.remove {
            inventory.remove_label(&node.provider, &node.id, label)?;
        } else {
            inventory.add_label(&node.provider, &node.id, label)?;
        }
    }
    let labels = inventory.labels(&node.provider, &node.id)?;
    context.ui.answer(&json!({"node": node.name, "labels": labels}), |ui| {
        if labels.is_empty() {
            ui.say(format!("{} has no label", node.name));
        } else {
            ui.line(format!("{}: {}", node.name, labels.join(" ")));
        }
    });
    Ok(())
}
