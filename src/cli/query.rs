use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use crate::error::Failure;
use crate::ui::Table;

/// A certificate that ends in fewer days has not been renewed when it should have been.
const SOON_DAYS: i64 = 21;

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
            for warning in about_certificate(app).into_iter().chain(warnings(app)) {
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

/// What is not well with an app's backups, processes and cron jobs.
pub(super) fn warnings(app: &Value) -> Vec<String> {
    let (name, backup) = (words(&app["app"]), &app["backup"]);
    let mut warnings = Vec::new();
    if let Some(failed) = backup["failed"].as_object() {
        warnings.push(format!(
            "{name}: the last backup, at {}, failed: {}",
            words(&failed["at"]),
            words(&failed["message"])
        ));
    }
    if backup["taken"].is_object() && backup["verified"].is_null() {
        warnings.push(format!("{name} has backups, and none was ever verified: cloudtool verify-backup [DEST/]{name}"));
    }
    for process in app["processes"].as_array().into_iter().flatten().filter(|process| process["state"] == "waiting") {
        warnings.push(format!(
            "{name}: {} {}; why: cloudtool logs {name}",
            words(&process["process"]),
            words(&process["note"])
        ));
    }
    for cron in app["crons"].as_array().into_iter().flatten() {
        if cron["last"]["result"] == "failed" {
            warnings.push(format!(
                "{name}: the cron job {} failed at {}: {}",
                words(&cron["cron"]),
                words(&cron["last"]["at"]),
                words(&cron["last"]["message"])
            ));
        }
    }
    warnings
}

/// Which of the app's own hosts have none that a browser trusts, and why; and one that ends.
fn about_certificate(app: &Value) -> Vec<String> {
    let (name, tls) = (words(&app["app"]), &app["tls"]);
    let own = tls["kind"] == "own";
    let why = |host: &str| {
        let reason = match (tls["elsewhere"][host].as_str(), tls["failed"]["message"].as_str()) {
            (_, _) if own => "it is not in the one that the app brings".to_owned(),
            (_, _) if host.starts_with("*.") => "no authority proves a wildcard by HTTP".to_owned(),
            (Some(elsewhere), _) => format!("{elsewhere}; it has to lead to this node, at port 80"),
            (None, Some(failed)) => format!("{failed}; it is tried again in an hour"),
            (None, None) => "it is being asked for".to_owned(),
        };
        format!("{name}: {host} has no certificate that browsers trust yet: {reason}")
    };
    let mut told: Vec<String> =
        tls["unsecured"].as_array().into_iter().flatten().filter_map(Value::as_str).map(why).collect();
    if let Some(days) = tls["days_left"].as_i64().filter(|days| *days < SOON_DAYS) {
        told.push(format!("{name}: its certificate ends in {days} days"));
    }
    told
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_without_a_certificate_are_told_with_the_reason() {
        let told = |tls: Value| about_certificate(&json!({"app": "shop", "tls": tls}));
        assert!(told(Value::Null).is_empty());
        let elsewhere = json!({"b.com": "the name is not known"});
        let told_of =
            told(json!({"kind": "auto", "unsecured": ["b.com", "*.c.com"], "elsewhere": elsewhere, "days_left": 89}));
        assert_eq!(told_of.len(), 2);
        assert!(
            told_of[0].starts_with("shop: b.com has no certificate that browsers trust yet: the name is not known;")
        );
        assert!(told_of[1].contains("*.c.com") && told_of[1].ends_with("no authority proves a wildcard by HTTP"));
        let refused = json!({"kind": "auto", "unsecured": ["a.com"], "failed": {"at": "", "message": "rate limited"}});
        assert!(told(refused)[0].contains("rate limited"));
        assert_eq!(
            told(json!({"kind": "own", "unsecured": [], "days_left": 3})),
            ["shop: its certificate ends in 3 days"]
        );
    }
}
