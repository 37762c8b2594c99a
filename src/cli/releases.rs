use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use super::query::words;
use crate::error::Failure;
use crate::names::AppName;
use crate::ui::Table;

/// List the releases of an app: who, when, how long, with which result
#[derive(Debug, Args)]
pub(super) struct Releases {
    /// The app's name
    app: AppName,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: Releases) -> Result<(), Failure> {
    let node = context.node(&args.node, Some(&args.app), &[])?;
    let mut remote = context.connect(&node)?;
    let answer = context.call(&mut remote, json!({"verb": "releases", "app": args.app}))?;
    context.ui.answer(&answer, |ui| {
        let mut table = Table::new(&["RELEASE", "RESULT", "AT", "BY", "SECONDS", "FILES", "SNAPSHOT", "NOTE"]);
        for release in answer["releases"].as_array().into_iter().flatten() {
            let cell = |key: &str| words(&release[key]);
            let seconds = release["seconds"].as_f64().map(|s| format!("{s:.2}")).unwrap_or_default();
            let note = if release["result"] == "failed" { cell("message") } else { cell("note") };
            let snapshot = words(&release["snapshot"]["id"]);
            table.row([
                cell("release"),
                cell("result"),
                cell("at"),
                cell("by"),
                seconds,
                cell("files"),
                snapshot,
                note,
            ]);
        }
        table.print(ui);
    });
    Ok(())
}
