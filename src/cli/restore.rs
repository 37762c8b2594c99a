use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data::{self, Patience, Target};
use super::query::words;
use crate::backup::Place;
use crate::error::{Failure, Kind};

/// Put a backup in the place of an app's data
///
/// The backup is loaded into new databases and directories beside those in use, checked, and switched to as an update is: without one
/// failed request. Whatever goes wrong, the old data stay. What was written since the backup is lost.
#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    from: From,
    /// The app that gets the data, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// The backup is of another app than the one that gets it
    #[arg(long)]
    other_app: bool,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

/// Which backup, and what opens it when it is encrypted.
#[derive(Debug, Args)]
pub(super) struct From {
    /// [DEST/]APP for the newest backup of an app, [DEST/]APP/ID for another (see list-backups)
    pub(super) backup: Place,
    /// A file with the age key (AGE-SECRET-KEY-1...) that opens an encrypted backup; the node is told it for this once
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

impl From {
    pub(super) fn identity(&self) -> Result<Option<String>, Failure> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|error| Failure::new(Kind::Usage, format!("{} cannot be read: {error}", path.display())))
        };
        self.identity.as_deref().map(read).transpose()
    }
}

pub(super) fn run(context: &Context, args: Restore) -> Result<(), Failure> {
    let start = Instant::now();
    let place = &args.from.backup;
    let destination = data::destination(context, place.destination.as_deref())?;
    let identity = args.from.identity()?;
    let of = data::app_of(place, &destination)?;
    let mut found = data::find(context, &args.target, &args.node)?;
    if of != found.app && !args.other_app {
        return Err(Failure::new(Kind::Usage, format!("the backup is of {of}, not of {}", found.app))
            .hint("say --other-app if that is meant"));
    }
    let which = place.id.as_ref().map_or_else(|| "newest backup".to_owned(), |id| format!("backup {}", id.as_str()));
    context.ui.confirm_by_name(
        &format!("The data of {} on {} are replaced by the {which} of {}.", found.app, found.node.name, of),
        found.app.as_str(),
    )?;
    let request = json!({
        "verb": "restore", "app": found.app, "of": of, "backup": place.id.as_ref().map(|id| id.as_str()),
        "identity": identity, "lock_timeout": args.patience.lock_timeout,
    });
    let answer = data::call(context, &mut found, &destination, request)?;
    context.ui.event(&answer);
    report(context, &answer, start);
    Ok(())
}

fn report(context: &Context, answer: &Value, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let (app, backup) = (words(&answer["app"]), words(&answer["backup"]));
    context
        .ui
        .line(format!("{app} serves the data of backup {backup}: {} ({seconds:.2} s)", words(&answer["services"])));
}
