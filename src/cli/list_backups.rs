use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::data;
use crate::backup::{self, Manifest};
use crate::error::{Failure, Kind};
use crate::names::AppName;
use crate::ui::Table;

/// List the backups in a directory of this machine
#[derive(Debug, Args)]
pub(super) struct ListBackups {
    /// The app's name; without it all apps
    app: Option<AppName>,
    /// The directory
    #[arg(value_name = "DEST")]
    destination: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: ListBackups) -> Result<(), Failure> {
    let dir = data::destination(args.destination.as_deref())?;
    let unreadable = |error| Failure::new(Kind::Failed, format!("{} cannot be read: {error}", dir.display()));
    let apps = match &args.app {
        Some(app) => vec![app.to_string()],
        None => apps_in(&dir).map_err(unreadable)?,
    };
    let mut all: Vec<Manifest> = Vec::new();
    for app in apps {
        let (found, broken) = backup::list(&dir.join(&app)).map_err(unreadable)?;
        all.extend(found);
        for reason in broken {
            context.ui.warn(&reason);
        }
    }
    context.ui.answer(&json!({"destination": dir, "backups": all}), |ui| {
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
            ui.say(format!("No backup in {}. Take one: cloudtool backup APP", dir.display()));
        } else {
            table.print(ui);
        }
    });
    Ok(())
}

/// The directories that may be those of apps.
fn apps_in(dir: &std::path::Path) -> std::io::Result<Vec<String>> {
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
