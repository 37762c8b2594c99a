use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use super::data::{self, Patience, Target};
use super::query::words;
use super::service_console;
use crate::error::Failure;

/// Give an app a new password for one of its services, without one failed request
///
/// The new password is valid beside the old one while the app changes over to it, as an update does. When nothing uses the old one any
/// more it ends, and is refused from then on. Releases that are kept start with the new one too.
#[derive(Debug, Args)]
pub(super) struct ServiceRotate {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// The service; need not be said when only one has a password that can be changed
    service: Option<String>,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: ServiceRotate) -> Result<(), Failure> {
    let start = Instant::now();
    let mut found = data::find(context, &args.target, &args.node)?;
    let named = args.service.as_deref();
    let what = "a password that can be changed while it serves";
    let service = service_console::one(context, &mut found, named, what, |service| service["rotates"] == true)?;
    let request = json!({
        "verb": "rotate", "app": found.app, "service": service.name, "lock_timeout": args.patience.lock_timeout,
    });
    let answer = context.call_recorded(&mut found.remote, "rotate", Some(&found.app), request)?;
    context.ui.event(&answer);
    let (app, release, seconds) = (&found.app, words(&answer["release"]), start.elapsed().as_secs_f64());
    context.ui.line(format!(
        "{app} {release} has a new password for {}; the old one is refused ({seconds:.2} s)",
        service.name
    ));
    Ok(())
}
