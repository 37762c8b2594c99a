use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::data::Target;
use super::query::{warnings, words};
use super::several::{self, Failures};
use super::where_from::Nodes;
use crate::error::{Failure, Kind};
use crate::inventory::NodeRecord;
use crate::ui::{Table, Ui};

/// Show how apps are: releases, requests, memory, backups, and what wants attention
///
/// Of all known nodes, or of the app or location. Every warning says what to do. Requests are those of the last five minutes.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Option<Target>,
    /// End with exit code 1 when something wants attention
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    nodes: Nodes,
}

pub(super) fn run(context: &Context, args: Status) -> Result<(), Failure> {
    let (nodes, filter) = match &args.target {
        Some(target) => (args.nodes.serving(context, target)?, vec![target.to_string()]),
        None => (args.nodes.all(context)?, Vec::new()),
    };
    let ask = |node: &NodeRecord| -> Result<Value, Failure> {
        let mut remote = context.connect(node)?;
        context.call(&mut remote, json!({"verb": "status", "filter": filter}))
    };
    let mut failures = Failures::default();
    let mut answers: Vec<(String, Value)> = Vec::new();
    several::each(&nodes, several::LIMIT, ask, |node, answer| match answer {
        Ok(answer) => answers.push((node.name.clone(), answer)),
        Err(failure) => failures.add(&context.ui, nodes.len(), failure),
    });
    answers.sort_by(|one, other| one.0.cmp(&other.0));
    let apps: usize = answers.iter().map(|(_, answer)| answer["apps"].as_array().map_or(0, Vec::len)).sum();
    let told: Vec<Value> = answers.iter().map(|(node, answer)| json!({"name": node, "status": answer})).collect();
    context.ui.answer(&json!({"nodes": told}), |ui| show(ui, &answers, args.target.is_some()));
    failures.outcome(nodes.len())?;
    if let (Some(target), 0) = (&args.target, apps) {
        let names: Vec<&str> = answers.iter().map(|(node, _)| node.as_str()).collect();
        return Err(Failure::new(Kind::Usage, format!("there is no {target} on {}", names.join(", ")))
            .hint("cloudtool status shows all apps, cloudtool query NODE learns those of a node"));
    }
    if args.check && answers.iter().any(|(_, answer)| wants_attention(answer)) {
        // The warnings have said it.
        return Err(Failure::told_already(Kind::Failed));
    }
    Ok(())
}

fn wants_attention(answer: &Value) -> bool {
    let apps = answer["apps"].as_array().into_iter().flatten();
    apps.chain([&answer["node"]]).any(|about| warnings(about).next().is_some())
}

/// One app that was asked for line by line, several as a table; then the warnings.
fn show(ui: &Ui, answers: &[(String, Value)], asked: bool) {
    let mut table = Table::new(&COLUMNS);
    for (node, answer) in answers {
        if !asked {
            ui.say(format!(
                "{node}: {}",
                texts(&answer["node"]).map(|(name, text)| format!("{name} {text}")).collect::<Vec<_>>().join(", ")
            ));
        }
        for app in answer["apps"].as_array().into_iter().flatten() {
            if asked {
                ui.line(format!("{} on {node}", words(&app["app"])));
                for (name, text) in texts(app) {
                    ui.line(format!("  {name:<10} {text}"));
                }
            } else {
                table.row(row(node, app));
            }
        }
    }
    if !table.is_empty() {
        table.print(ui);
    }
    for (node, answer) in answers {
        let about = answer["apps"].as_array().into_iter().flatten().flat_map(warnings);
        for warning in about.chain(warnings(&answer["node"]).map(|warning| format!("{node}: {warning}"))) {
            ui.warn(&warning);
        }
    }
}

/// The entries that have something to say, and what.
pub(super) fn texts(about: &Value) -> impl Iterator<Item = (&str, &str)> {
    let entries = about.as_object().into_iter().flatten();
    entries.filter_map(|(name, entry)| Some((name.as_str(), entry.get("text")?.as_str()?)))
}

/// What [`row`] has of an app.
pub(super) const COLUMNS: [&str; 10] =
    ["NODE", "APP", "LIVE", "STATE", "MEMORY", "REQ/MIN", "P95", "FAILED", "SINCE", "BY"];

/// An app of a node, a cell a column.
pub(super) fn row(node: &str, app: &Value) -> [String; COLUMNS.len()] {
    let (serving, requests) = (&app["serving"], &app["requests"]);
    let number = |value: &Value, digits: usize, unit: &str| {
        value.as_f64().map(|number| format!("{number:.digits$}{unit}")).unwrap_or_default()
    };
    let live = live_slot(app);
    let failed = requests["requests"].as_u64().filter(|requests| *requests > 0).and(requests["error_rate"].as_f64());
    [
        node.to_owned(),
        words(&app["app"]),
        words(&serving["release"]),
        words(&serving["state"]),
        number(&live["memory_mb"], 0, " MB"),
        number(&requests["per_minute"], 1, ""),
        number(&requests["p95_ms"], 0, " ms"),
        failed.map(|share| format!("{:.1} %", share * 100.0)).unwrap_or_default(),
        words(&serving["since"]),
        words(&serving["by"]),
    ]
}

/// The slot that serves; null where there is none.
pub(super) fn live_slot(app: &Value) -> &Value {
    let slots = ["blue", "green"].map(|slot| &app["slots"][slot]);
    slots.into_iter().find(|slot| slot["live"] == true).unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_speak_for_themselves() {
        let app = json!({"app": "shop", "serving": {"text": "v1", "release": "v1"}, "x": {"no": "text"}, "cron": {"text": "ran"}, "warnings": []});
        assert_eq!(texts(&app).collect::<Vec<_>>(), [("serving", "v1"), ("cron", "ran")]);
        assert!(!wants_attention(&json!({"apps": [app], "node": {}})));
        let node = json!({"warnings": [{"message": "The disk is full.", "hint": "cloudtool clean-node x"}]});
        assert!(wants_attention(&json!({"apps": [], "node": node})));
        assert_eq!(warnings(&node).collect::<Vec<_>>(), ["The disk is full. -> cloudtool clean-node x"]);
    }
}
