use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data::{self, Found, Patience, Target};
use crate::backup::Manifest;
use crate::error::{Failure, Kind};

/// Back up the data of an app: every service, streamed to this machine
///
/// Databases are read from one snapshot each, and directories after them. The app goes on, and may be updated meanwhile. Files that
/// an earlier backup in the same directory has are not sent again.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// A directory of this machine; in it, one of each app
    #[arg(value_name = "DEST")]
    destination: Option<PathBuf>,
    /// Which backups stay there, e.g. '7 daily, 4 weekly'; without it all
    #[arg(long, value_name = "RULES")]
    keep: Option<String>,
    /// Encrypt it for the owner of this age key (age1...); may be given several times
    #[arg(long, value_name = "KEY")]
    recipient: Vec<String>,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: Backup) -> Result<(), Failure> {
    let dir = data::destination(args.destination.as_deref())?;
    let mut found = data::find(context, &args.target, &args.node)?;
    let request = json!({
        "verb": "backup", "app": found.app, "keep": args.keep, "recipients": args.recipient,
        "lock_timeout": args.patience.lock_timeout,
    });
    let answer = take(context, &mut found, &dir, request)?;
    context.ui.event(&answer);
    Ok(())
}

/// Takes a backup and says where it is.
pub(super) fn take(
    context: &Context,
    found: &mut Found,
    dir: &std::path::Path,
    request: Value,
) -> Result<Value, Failure> {
    let answer = data::call(context, found, dir, request)?;
    let manifest: Manifest = serde_json::from_value(answer["backup"].clone()).map_err(|error| {
        Failure::new(Kind::Failed, format!("{} answered with a manifest that is none: {error}", found.remote.node()))
    })?;
    context.ui.line(format!(
        "{} is backed up: {}, {} of it new ({:.2} s)",
        found.app,
        data::size(manifest.bytes()),
        data::size(manifest.added()),
        manifest.seconds
    ));
    context.ui.line(format!("  {}", dir.join(found.app.as_str()).join(&manifest.id).display()));
    for (service, why) in &manifest.left_out {
        context.ui.line(format!("  without {service}: {why}"));
    }
    Ok(answer)
}
