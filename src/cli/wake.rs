use clap::Args;
use serde_json::json;

use super::context::Context;
use super::disable::Which;
use super::query::words;
use crate::error::Failure;

/// Start an app that sleeps, as a visitor would
#[derive(Debug, Args)]
pub(super) struct Wake {
    #[command(flatten)]
    which: Which,
}

pub(super) fn run(context: &Context, args: Wake) -> Result<(), Failure> {
    let (found, answer) = args.which.call(context, "wake", json!({}))?;
    let now = if answer["changed"] == json!(true) { "is awake" } else { "was awake already" };
    context.ui.line(format!("{} {} {now}", found.app, words(&answer["release"])));
    Ok(())
}
