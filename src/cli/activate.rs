use std::str::FromStr;

use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use super::data::Patience;
use crate::error::Failure;
use crate::names::{AppName, BadName, Location, ReleaseId};

/// Point a location at an app, or at one of its releases
#[derive(Debug, Args)]
pub(super) struct Activate {
    /// The location: HOST, HOST/PATH or *.DOMAIN
    location: Location,
    /// APP, APP@vN, or prev for the previous release of the app that has the location
    #[arg(value_name = "APP[@vN]|prev")]
    target: Target,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Debug, Clone)]
enum Target {
    App(AppName, Option<ReleaseId>),
    Previous,
}

impl FromStr for Target {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text == "prev" {
            return Ok(Target::Previous);
        }
        match text.split_once('@') {
            Some((app, release)) => Ok(Target::App(app.parse()?, Some(release.parse()?))),
            None => Ok(Target::App(text.parse()?, None)),
        }
    }
}

pub(super) fn run(context: &Context, args: Activate) -> Result<(), Failure> {
    let (app, release) = match args.target {
        Target::App(app, release) => (Some(app), release),
        Target::Previous => (None, None),
    };
    let node = context.node(&args.node, app.as_ref(), std::slice::from_ref(&args.location))?;
    let mut remote = context.connect(&node)?;
    let request = json!({"verb": "activate", "location": args.location, "app": app, "release": release, "lock_timeout": args.patience.lock_timeout});
    let answer = context.call_recorded(&mut remote, "activate", app.as_ref(), request)?;
    context.refresh_locations(&node, &mut remote)?;
    context.ui.event(&answer);
    let text = |key: &str| answer[key].as_str().unwrap_or_default();
    context.ui.line(format!("{} leads to {} {}", args.location, text("app"), text("release")));
    Ok(())
}
