use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use super::data::{self, Patience, Target};
use super::query::words;
use super::restore::From;
use crate::error::Failure;

/// Prove that a backup can be restored
///
/// It is loaded beside the data in use, counted, checked by the app where app.ini says how, and taken away again.
#[derive(Debug, Args)]
pub(super) struct VerifyBackup {
    #[command(flatten)]
    from: From,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: VerifyBackup) -> Result<(), Failure> {
    let start = Instant::now();
    let place = &args.from.backup;
    let destination = data::destination(context, place.destination.as_deref())?;
    let identity = args.from.identity()?;
    let mut found = data::find(context, &Target::App(data::app_of(place, &destination)?), &args.node)?;
    let request = json!({
        "verb": "verify", "app": found.app, "backup": place.id.as_ref().map(|id| id.as_str()),
        "identity": identity, "lock_timeout": args.patience.lock_timeout,
    });
    let answer = data::call(context, &mut found, &destination, request)?;
    context.ui.event(&answer);
    let seconds = start.elapsed().as_secs_f64();
    context.ui.line(format!("backup {} of {} can be restored ({seconds:.2} s)", words(&answer["backup"]), found.app));
    for (service, counts) in answer["counts"].as_object().into_iter().flatten() {
        let counted: Vec<String> =
            counts.as_object().into_iter().flatten().map(|(what, number)| format!("{number} in {what}")).collect();
        context.ui.line(format!("  {service}: {}", counted.join(", ")));
    }
    Ok(())
}
