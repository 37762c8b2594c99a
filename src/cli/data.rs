//! What the commands about an app's data share: which app is meant, and where backups lie.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::{Context, show};
use crate::backup::{Archive, At, Destination, Directory, Place, Sources};
use crate::config::{BackupPlan, When};
use crate::deploy::Remote;
use crate::error::{Failure, Kind};
use crate::inventory::{Inventory, NodeRecord};
use crate::names::{AppName, BadName, Location};
use crate::node::{Error, Event};

/// An app by its name, or by a location it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    App(AppName),
    Location(Location),
}

impl FromStr for Target {
    type Err = BadName;

    /// No app has a dot or a slash in its name.
    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.contains(['.', '/']) { text.parse().map(Target::Location) } else { text.parse().map(Target::App) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::App(app) => app.fmt(f),
            Target::Location(location) => location.fmt(f),
        }
    }
}

/// How long to wait for others.
#[derive(Debug, Args)]
pub(super) struct Patience {
    /// How many seconds to wait when somebody else is at it
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub(super) lock_timeout: u32,
}

/// An app on a node that answers.
pub(super) struct Found {
    pub(super) node: NodeRecord,
    pub(super) remote: Remote,
    pub(super) app: AppName,
}

/// Connects to the node of an app. Its program is made this version's, for it must know what we ask.
pub(super) fn find(context: &Context, target: &Target, choice: &NodeChoice) -> Result<Found, Failure> {
    let node = match target {
        Target::App(app) => context.node(choice, Some(app), &[])?,
        Target::Location(location) => context.node(choice, None, std::slice::from_ref(location))?,
    };
    let (mut remote, _) = context.connect_installing(&node)?;
    let app = match target {
        Target::App(app) => app.clone(),
        Target::Location(location) => app_at(context, &mut remote, location)?,
    };
    Ok(Found { node, remote, app })
}

fn app_at(context: &Context, remote: &mut Remote, location: &Location) -> Result<AppName, Failure> {
    let answer = context.call(remote, json!({"verb": "query", "filter": []}))?;
    let named = |app: &Value, key: &str| app[key].as_array().is_some_and(|all| all.contains(&json!(location)));
    // One that has moved is found where its requests still go.
    let serves = |app: &&Value| named(app, "locations") || named(app, "forwards");
    let app = answer["apps"].as_array().into_iter().flatten().find(serves);
    let name = app.and_then(|app| app["app"].as_str()).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("no app of {} serves {location}", remote.node()))
            .hint("cloudtool query shows apps and their locations")
    })?;
    Ok(name.parse()?)
}

/// What was asked for: a name of the configuration, a URL or a directory. When nobody says where: the configuration's `backups`,
/// or a directory of cloudtool's own.
pub(super) fn destination(context: &Context, asked: Option<&str>) -> Result<Destination, Failure> {
    let config = context.config()?;
    let Some(text) = asked.or(config.defaults.backups.as_deref()) else {
        let dir = Inventory::default_dir()?.join("backups");
        return Destination::directory(&dir)
            .map_err(|error| Failure::new(Kind::Usage, format!("{} is no directory: {error}", dir.display())));
    };
    let by = context.by();
    let user = by.split('@').next().unwrap_or_default().to_owned();
    let ask = |question: &str| context.ui.ask_secret(question).ok();
    Ok(Destination::find(text, &Sources { config, ask: &ask, user })?)
}

/// Whose backup is meant: an archive says it itself.
pub(super) fn app_of(place: &Place, destination: &Destination) -> Result<AppName, Failure> {
    if let Some(app) = &place.app {
        return Ok(app.clone());
    }
    let At::Archive(path) = &destination.at else {
        return Err(Failure::new(Kind::Usage, format!("{} does not say of which app", destination.name)));
    };
    let archive = Archive::open(path).map_err(|error| unreadable(path, &error))?;
    match &archive.apps()[..] {
        [app] => Ok(app.parse()?),
        _ => Err(Failure::new(Kind::Usage, format!("{} has not one backup in it", path.display()))),
    }
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Failed, format!("{} cannot be used: {error}", path.display()))
}

/// What a node is told that is to back an app up by itself; nothing where app.ini has no such wish.
pub(super) fn schedule(context: &Context, plan: Option<&BackupPlan>) -> Result<Option<Value>, Failure> {
    let Some((plan, when)) = plan.and_then(|plan| Some((plan, plan.when.as_ref()?))) else { return Ok(None) };
    let destination = destination(context, plan.to.as_deref())?;
    if let At::Directory(_) | At::Archive(_) = destination.at {
        let message = format!("backup.to: the node cannot put backups into {}, which is here", destination.name);
        return Err(Failure::new(Kind::Usage, message)
            .hint("name a [backups:NAME] of your configuration with a url like s3://BUCKET or ssh://HOST/PATH"));
    }
    let mut told = json!({
        "to": destination.name, "keep": plan.keep.as_ref().or(destination.keep.as_ref()),
        "recipients": destination.recipients, "store": destination.request(&context.by()),
    });
    match when {
        When::Every(minutes) => told["every"] = json!(minutes),
        When::At(at) => told["at"] = json!(at),
    }
    Ok(Some(told))
}

/// Sends a request about the backups at a destination, shows its steps, and writes it down as an event.
pub(super) fn call(
    context: &Context,
    found: &mut Found,
    destination: &Destination,
    request: Value,
) -> Result<Value, Failure> {
    let verb = request["verb"].as_str().unwrap_or_default().to_owned();
    let mut steps = context.ui.steps();
    let answer = call_store(context, &mut found.remote, destination, request, &mut |event| show(&mut steps, event));
    drop(steps);
    context.record_answer(found.remote.node(), &verb, Some(&found.app), &answer);
    answer
}

/// The same without a word about it. Only a directory of this machine has a part in the conversation: to other destinations the
/// node goes by itself.
pub(super) fn call_store(
    context: &Context,
    remote: &mut Remote,
    destination: &Destination,
    mut request: Value,
    on_event: &mut dyn FnMut(Event),
) -> Result<Value, Failure> {
    request["store"] = destination.request(&context.by());
    let answer = match &destination.at {
        At::Directory(dir) => remote.call_with_store(request, &mut Directory::new(dir), on_event),
        At::Archive(path) => {
            let archive = if request["verb"] == "backup" { Archive::create(path) } else { Archive::open(path) };
            let mut archive = archive.map_err(|error| unreadable(path, &error))?;
            remote.call_with_store(request, &mut archive, on_event)
        }
        At::S3 { .. } | At::Ssh { .. } => remote.call(request, on_event),
    };
    answer.map_err(Error::into_failure)
}

/// `1.5 GB`.
pub(super) fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        _ if bytes >= 1e9 => format!("{:.1} GB", bytes / 1e9),
        _ if bytes >= 1e6 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} kB", bytes / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_or_a_slash_makes_a_location() {
        assert_eq!("shop".parse(), Ok(Target::App("shop".parse().unwrap())));
        assert_eq!("shop.com".parse(), Ok(Target::Location("shop.com".parse().unwrap())));
        assert!("Shop".parse::<Target>().is_err());
    }
}
