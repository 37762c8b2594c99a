use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data::{self, Found, Patience, Target};
use crate::backup::{At, Destination, Manifest};
use crate::error::{Failure, Kind};

/// Back up the data of an app: every service, streamed to where you say
///
/// Databases are read from one snapshot each, and directories after them. The app goes on, and may be updated meanwhile. Files that
/// an earlier backup at the same destination has are not sent again.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// A destination's NAME in the configuration, s3://BUCKET/PREFIX, ssh://USER@HOST/PATH, a directory of this machine, or a FILE.tar for all of it in one file
    #[arg(value_name = "DEST")]
    destination: Option<String>,
    /// Which backups stay there, e.g. '7 daily, 4 weekly'; without it what the configuration says of the destination, else all
    #[arg(long, value_name = "RULES")]
    keep: Option<String>,
    /// Encrypt it for the owner of this age key (age1...), besides those of the destination; may be given several times
    #[arg(long, value_name = "KEY")]
    recipient: Vec<String>,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: Backup) -> Result<(), Failure> {
    let destination = data::destination(context, args.destination.as_deref())?;
    if let (At::Archive(path), keep) = (&destination.at, &args.keep) {
        if keep.is_some() {
            return Err(Failure::new(Kind::Usage, "an archive has one backup: --keep says nothing about it"));
        }
        if path.exists() {
            return Err(Failure::new(Kind::Usage, format!("there is {} already", path.display())));
        }
    }
    let mut found = data::find(context, &args.target, &args.node)?;
    let recipients = [args.recipient, destination.recipients.clone()].concat();
    let request = json!({
        "verb": "backup", "app": found.app, "keep": args.keep.as_ref().or(destination.keep.as_ref()),
        "recipients": recipients,
        "lock_timeout": args.patience.lock_timeout,
    });
    let answer = take(context, &mut found, &destination, request)?;
    context.ui.event(&answer);
    Ok(())
}

/// Takes a backup and says where it is.
pub(super) fn take(
    context: &Context,
    found: &mut Found,
    destination: &Destination,
    request: Value,
) -> Result<Value, Failure> {
    let answer = data::call(context, found, destination, request)?;
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
    context.ui.line(format!("  {}", destination.called(found.app.as_str(), &manifest.id)));
    for (service, why) in &manifest.left_out {
        context.ui.line(format!("  without {service}: {why}"));
    }
    Ok(answer)
}
