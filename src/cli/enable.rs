use clap::Args;
use serde_json::json;

use super::context::Context;
use super::disable::Which;
use crate::error::Failure;

/// Let visitors in again to an app that was disabled
#[derive(Debug, Args)]
pub(super) struct Enable {
    #[command(flatten)]
    which: Which,
}

pub(super) fn run(context: &Context, args: Enable) -> Result<(), Failure> {
    let (found, answer) = args.which.call(context, "enable", json!({}))?;
    let was = answer["was_disabled"].as_bool().unwrap_or_default();
    context.ui.line(format!("{} {}", found.app, if was { "is enabled" } else { "was not disabled" }));
    Ok(())
}
