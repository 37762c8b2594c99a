use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data;
use super::query::warnings;
use crate::backup::{self, Archive, At, Destination, Manifest};
use crate::deploy::Remote;
use crate::error::{Failure, Kind};
use crate::inventory::NodeRecord;
use crate::names::AppName;
use crate::node::Store;
use crate::ui::Table;

/// List the backups at a destination
///
/// What is in a directory of this machine is read by itself. At other destinations it is a node that looks. Below the list it says of
/// which apps the last backup failed, or none was ever verified, as far as their nodes answer.
#[derive(Debug, Args)]
pub(super) struct ListBackups {
    /// The app's name; without it all apps. A word that alone names a destination is one
    app: Option<String>,
    /// A destination's NAME in the configuration, s3://BUCKET/PREFIX, ssh://USER@HOST/PATH, a directory or a FILE.tar of this machine
    #[arg(value_name = "DEST")]
    destination: Option<String>,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: ListBackups) -> Result<(), Failure> {
    let (app, destination) = match (&args.app, &args.destination) {
        (Some(word), None) if is_destination(context, word)? => (None, Some(word)),
        (app, destination) => (app.as_ref(), destination.as_ref()),
    };
    let app: Option<AppName> = app.map(|name| name.parse()).transpose()?;
    let destination = data::destination(context, destination.map(String::as_str))?;
    let (all, remote) = match &destination.at {
        At::Directory(dir) => (in_directory(context, dir, app.as_ref())?, None),
        At::Archive(path) => (in_archive(path, app.as_ref())?, None),
        At::S3 { .. } | At::Ssh { .. } => {
            let node = context.node(&args.node, app.as_ref(), &[])?;
            let (mut remote, _) = context.connect_installing(&node)?;
            (seen_by_node(context, &destination, app.as_ref(), &mut remote)?, Some(remote))
        }
    };
    context.ui.answer(&json!({"destination": destination.name, "backups": all}), |ui| {
        let mut table = Table::new(&["BACKUP", "AT", "NODE", "RELEASE", "SIZE", "NEW", "SERVICES", "BY"]);
        for manifest in &all {
            let services: Vec<&str> = manifest.services.keys().map(String::as_str).collect();
            table.row([
                format!("{}/{}", manifest.app, manifest.id),
                manifest.at.clone(),
                manifest.node.clone(),
                manifest.release.clone(),
                data::size(manifest.bytes()),
                data::size(manifest.added()),
                services.join(", "),
                manifest.by.clone(),
            ]);
        }
        if table.is_empty() {
            ui.say(format!("No backup in {}. Take one: cloudtool backup APP", destination.name));
        } else {
            table.print(ui);
        }
    });
    let listed = all.into_iter().map(|manifest| manifest.app);
    let apps = app.map(|app| app.to_string()).into_iter().chain(listed).collect();
    warn_of(context, apps, remote)
}

/// What their nodes remember of the backups of these apps. The list is told by then: a node that is gone only hides this.
fn warn_of(context: &Context, apps: BTreeSet<String>, mut connected: Option<Remote>) -> Result<(), Failure> {
    let inventory = context.inventory()?;
    let mut by_node: BTreeMap<String, (NodeRecord, Vec<String>)> = BTreeMap::new();
    for app in apps {
        if let Ok(name) = app.parse()
            && let Some(node) = inventory.node_for_app(&name)?
        {
            by_node.entry(node.name.clone()).or_insert((node, Vec::new())).1.push(app);
        }
    }
    for (name, (node, apps)) in by_node {
        let remote = connected.take_if(|remote| remote.node() == name).map_or_else(|| context.connect(&node), Ok);
        let request = json!({"verb": "query", "filter": apps});
        let answer = match remote.and_then(|mut remote| context.call(&mut remote, request)) {
            Ok(answer) => answer,
            Err(failure) => {
                let about = apps.join(", ");
                context.ui.warn(&format!("whether backups of {about} failed is not known: {}", failure.message));
                continue;
            }
        };
        // The words of a filter are also patterns of hosts.
        let meant = |app: &&Value| app["app"].as_str().is_some_and(|app| apps.iter().any(|name| name == app));
        for warning in answer["apps"].as_array().into_iter().flatten().filter(meant).flat_map(warnings) {
            context.ui.warn(&warning);
        }
    }
    Ok(())
}

/// No app has a slash in its name.
fn is_destination(context: &Context, word: &str) -> Result<bool, Failure> {
    Ok(word.contains('/') || Archive::is_meant(word) || context.config()?.backups.contains_key(word))
}

fn in_archive(path: &Path, app: Option<&AppName>) -> Result<Vec<Manifest>, Failure> {
    let mut archive = Archive::open(path).map_err(|error| data::unreadable(path, &error))?;
    let mut all = Vec::new();
    for owner in archive.apps().iter().filter(|owner| app.is_none_or(|app| app.as_str() == *owner)) {
        let objects = archive.list(owner).map_err(|error| data::unreadable(path, &error))?;
        for (name, size) in objects.iter().filter(|(name, _)| name.ends_with(".json")) {
            let size = usize::try_from(*size).unwrap_or(usize::MAX).min(64 << 20);
            let text = archive.read(owner, name, 0, size).map_err(|error| data::unreadable(path, &error))?;
            let manifest = backup::parse(&text).map_err(|reason| {
                Failure::new(Kind::Failed, format!("{name} in {} is no manifest: {reason}", path.display()))
            })?;
            all.push(manifest);
        }
    }
    Ok(all)
}

fn in_directory(context: &Context, dir: &Path, app: Option<&AppName>) -> Result<Vec<Manifest>, Failure> {
    let unreadable = |error| Failure::new(Kind::Failed, format!("{} cannot be read: {error}", dir.display()));
    let apps = match app {
        Some(app) => vec![app.to_string()],
        None => apps_in(dir).map_err(unreadable)?,
    };
    let mut all = Vec::new();
    for app in apps {
        let (found, broken) = backup::list(&dir.join(&app)).map_err(unreadable)?;
        all.extend(found);
        for reason in broken {
            context.ui.warn(&reason);
        }
    }
    Ok(all)
}

fn seen_by_node(
    context: &Context,
    destination: &Destination,
    app: Option<&AppName>,
    remote: &mut Remote,
) -> Result<Vec<Manifest>, Failure> {
    let request = json!({"verb": "backups", "app": app});
    let answer: Value = data::call_store(context, remote, destination, request, &mut |_| {})?;
    for reason in answer["broken"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        context.ui.warn(reason);
    }
    serde_json::from_value(answer["backups"].clone()).map_err(|error| {
        Failure::new(Kind::Failed, format!("{} answered with a manifest that is none: {error}", remote.node()))
    })
}

/// The directories that may be those of apps.
fn apps_in(dir: &Path) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut apps = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && name.parse::<AppName>().is_ok()
            && entry.file_type()?.is_dir()
        {
            apps.push(name);
        }
    }
    apps.sort();
    Ok(apps)
}
