use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::query::words;
use crate::error::Failure;
use crate::names::AppName;
use crate::ui::{Table, Ui};

/// Show the processes of an app: the app itself and those of [process:NAME]
///
/// A process that fails is started again; one that fails again and again waits longer each time, and is shown as waiting.
#[derive(Debug, Args)]
pub(super) struct Ps {
    /// The app's name
    app: AppName,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: Ps) -> Result<(), Failure> {
    let node = context.node(&args.node, Some(&args.app), &[])?;
    let mut remote = context.connect(&node)?;
    let answer = context.call(&mut remote, json!({"verb": "ps", "app": args.app}))?;
    context.ui.answer(&answer, |ui| show(ui, &answer));
    Ok(())
}

/// The processes of an answer that has some.
pub(super) fn show(ui: &Ui, answer: &Value) {
    let mut table = Table::new(&["PROCESS", "STATE", "PID", "MEMORY", "SINCE", "RESTARTS", "NOTE"]);
    for process in answer["processes"].as_array().into_iter().flatten() {
        let cell = |key: &str| words(&process[key]);
        let memory = process["memory_mb"].as_f64().map(|mb| format!("{mb:.0} MB")).unwrap_or_default();
        table.row([cell("process"), cell("state"), cell("pid"), memory, cell("since"), cell("restarts"), cell("note")]);
    }
    table.print(ui);
}
