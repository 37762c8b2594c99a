use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::query::words;
use super::several::{self, Failures};
use super::where_from::Nodes;
use crate::error::Failure;
use crate::inventory::NodeRecord;
use crate::names::AppName;
use crate::ui::Table;

/// Show who did what on the nodes: when, how long it took, and what came of it
///
/// From the nodes' own audit logs, to which every command that changes something adds a line, whoever gave it and from wherever.
#[derive(Debug, Args)]
pub(super) struct History {
    /// Only what was done to this app
    app: Option<AppName>,
    /// How many entries at most
    #[arg(short = 'n', long = "lines", default_value_t = 50, value_name = "LINES")]
    lines: u32,
    /// Only what was done since then: 30s, 10m, 2h, 3d ago, or a time in UTC like 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    #[command(flatten)]
    nodes: Nodes,
}

pub(super) fn run(context: &Context, args: History) -> Result<(), Failure> {
    let nodes = match &args.app {
        Some(app) => args.nodes.serving(context, &super::data::Target::App(app.clone()))?,
        None => args.nodes.all(context)?,
    };
    let request = json!({"verb": "history", "app": args.app, "lines": args.lines, "since": args.since});
    let ask = |node: &NodeRecord| -> Result<Value, Failure> {
        let mut remote = context.connect(node)?;
        context.call(&mut remote, request.clone())
    };
    let mut failures = Failures::default();
    let mut entries = Vec::new();
    several::each(&nodes, several::LIMIT, ask, |node, answer| match answer {
        Ok(mut answer) => {
            for entry in answer["entries"].as_array_mut().into_iter().flatten() {
                entry["node"] = json!(node.name);
                entries.push(entry.take());
            }
        }
        Err(failure) => failures.add(&context.ui, nodes.len(), failure),
    });
    let entries = newest(entries, args.lines as usize);
    context.ui.answer(&json!({"entries": entries}), |ui| {
        let mut table = Table::new(&["AT", "BY", "NODE", "APP", "VERB", "WHAT", "SECONDS", "RESULT"]);
        for entry in &entries {
            let cell = |key: &str| words(&entry[key]);
            let what = ["release", "location", "command"].map(cell).into_iter().filter(|word| !word.is_empty());
            let seconds = entry["seconds"].as_f64().map(|seconds| format!("{seconds:.1}")).unwrap_or_default();
            let what = what.collect::<Vec<_>>().join(" ");
            table.row([cell("at"), cell("by"), cell("node"), cell("app"), cell("verb"), what, seconds, cell("result")]);
        }
        if table.is_empty() {
            ui.say("Nothing was done.");
        } else {
            table.print(ui);
        }
    });
    failures.outcome(nodes.len())
}

/// The newest first, of all nodes.
fn newest(mut entries: Vec<Value>, count: usize) -> Vec<Value> {
    entries.sort_by(|one, other| other["at"].as_str().cmp(&one["at"].as_str()));
    entries.truncate(count);
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_all_nodes_come_first() {
        let entry = |at: &str| json!({"at": at});
        assert_eq!(newest(vec![entry("1"), entry("3"), entry("2")], 2), [entry("3"), entry("2")]);
    }
}
