use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use crate::error::Failure;
use crate::ui::Table;

/// Show the apps of a node: releases, locations, services, memory
#[derive(Debug, Args)]
pub(super) struct Query {
    /// A node, then globs of apps or hosts; without a node the default one
    #[arg(value_name = "NODE|APP|HOST")]
    words: Vec<String>,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: Query) -> Result<(), Failure> {
    let (choice, filter) = split(context, args)?;
    let node = context.node(&choice, None, &[])?;
    let mut remote = context.connect(&node)?;
    let answer = context.call(&mut remote, json!({"verb": "query", "filter": filter}))?;
    if filter.is_empty() {
        context.learn(&node, &answer)?;
    }
    context.ui.answer(&answer, |ui| {
        let facts = &answer["node"];
        ui.say(format!(
            "{}: {}, {} MB memory, {} MB of disk free",
            node.name,
            facts["os"].as_str().unwrap_or_default(),
            facts["memory_mb"],
            facts["disk_free_mb"]
        ));
        let mut table = Table::new(&[
            "APP",
            "LIVE",
            "STATE",
            "MEMORY",
            "SINCE",
            "BY",
            "BACKUP",
            "SERVICES",
            "LOCATIONS",
            "EXPIRES",
        ]);
        for app in answer["apps"].as_array().into_iter().flatten() {
            let memory = app["memory_mb"].as_f64().map(|mb| format!("{mb:.0} MB")).unwrap_or_default();
            let cell = |key: &str| words(&app[key]);
            let places = match app["moved_to"].as_str() {
                Some(node) => format!("sent on to {node}: {}", cell("forwards")),
                None => cell("locations"),
            };
            table.row([
                cell("app"),
                cell("live"),
                state(app),
                memory,
                cell("since"),
                cell("by"),
                words(&app["backup"]["taken"]["at"]),
                cell("services"),
                places,
                cell("expires"),
            ]);
        }
        if table.is_empty() {
            ui.say("No app. Deploy one: cloudtool update path/to/app --host=HOST");
        } else {
            table.print(ui);
        }
        for app in answer["apps"].as_array().into_iter().flatten() {
            for warning in warnings(app) {
                ui.warn(&warning);
            }
        }
    });
    Ok(())
}

/// What it does, and what its visitors get of it.
fn state(app: &Value) -> String {
    let disabled = if app["disabled"].is_object() { ", disabled" } else { "" };
    format!("{}{disabled}", words(&app["state"]))
}

/// What somebody should do something about, as the node says it.
pub(super) fn warnings(value: &Value) -> impl Iterator<Item = String> {
    let warnings = value["warnings"].as_array().into_iter().flatten();
    warnings.map(|warning| format!("{} -> {}", words(&warning["message"]), words(&warning["hint"])))
}

/// The first word is a node if it is the name of one.
fn split(context: &Context, args: Query) -> Result<(NodeChoice, Vec<String>), Failure> {
    let mut words = args.words;
    let first_is_node = match (args.node.node.is_none(), words.first()) {
        (true, Some(first)) => context.inventory()?.find_node(first)?.is_some(),
        _ => false,
    };
    if first_is_node {
        let node = words.remove(0);
        return Ok((NodeChoice { node: Some(node) }, words));
    }
    Ok((args.node, words))
}

/// A value of an answer as a cell: lists with blanks between, nothing for null.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
