use clap::Args;
use serde_json::json;

use super::context::Context;
use super::disable::Which;
use super::query::words;
use crate::error::Failure;

/// Stop an app until somebody visits it: the next request wakes it, and is answered
///
/// With `idle_stop = 30m` in app.ini the node does this by itself, when nobody has visited the app for that time.
#[derive(Debug, Args)]
pub(super) struct Sleep {
    #[command(flatten)]
    which: Which,
}

pub(super) fn run(context: &Context, args: Sleep) -> Result<(), Failure> {
    let (found, answer) = args.which.call(context, "sleep", json!({}))?;
    let now = if answer["changed"] == json!(true) { "sleeps" } else { "was asleep already" };
    context.ui.line(format!("{} {} {now}", found.app, words(&answer["release"])));
    Ok(())
}
