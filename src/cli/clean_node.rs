use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use crate::error::Failure;
use crate::ui::Table;

/// Remove what no app on a node needs any more
///
/// Releases that are neither live nor previous, virtual environments no release uses, left-overs of updates that were cut off.
#[derive(Debug, Args)]
pub(super) struct CleanNode {
    /// The node; without it the default one
    name: Option<String>,
    /// Only show what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(super) fn run(context: &Context, args: CleanNode) -> Result<(), Failure> {
    let node = context.node(&NodeChoice { node: args.name }, None, &[])?;
    let mut remote = context.connect(&node)?;
    let answer = context.call(&mut remote, json!({"verb": "clean", "dry_run": args.dry_run}))?;
    context.ui.answer(&answer, |ui| {
        let mut table = Table::new(&["PATH", "BYTES", "WHY"]);
        for item in answer["removed"].as_array().into_iter().flatten() {
            let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
            table.row([text("path"), item["bytes"].to_string(), text("why")]);
        }
        if table.is_empty() {
            ui.line(format!("{}: nothing to remove", node.name));
            return;
        }
        table.print(ui);
        let megabytes = answer["bytes"].as_f64().unwrap_or_default() / 1e6;
        let verb = if args.dry_run { "would free" } else { "freed" };
        ui.say(format!("{}: {verb} {megabytes:.1} MB", node.name));
    });
    if !args.dry_run {
        let removed = answer["removed"].as_array().map_or(0, Vec::len);
        context.record("clean-node", Some(&node.name), None, "done", Some(&format!("{removed} removed")));
    }
    Ok(())
}
