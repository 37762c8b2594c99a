use std::net::IpAddr;

use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data::{self, Found, Patience, Target};
use super::query::words;
use crate::error::Failure;
use crate::names::AppName;

/// Answer an app's visitors with 503 and a maintenance page; the app goes on
///
/// At once, for all its locations, also for static files, and until `enable`: updates, rollbacks and reboots change nothing about it.
/// The page is the maintenance.html at the root of the app, or a common one. Backups, restores and `update_fetch` work as ever.
#[derive(Debug, Args)]
pub(super) struct Disable {
    #[command(flatten)]
    which: Which,
    /// An address whose visitors are let through; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    allow: Vec<IpAddr>,
}

/// The app that a command is for.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The app, or a location it serves
    #[arg(value_name = "LOCATION|APP", required_unless_present = "by_name", conflicts_with = "by_name")]
    target: Option<Target>,
    /// The app by its name, as Silver Lining has it
    #[arg(long, value_name = "APP")]
    by_name: Option<AppName>,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

impl Which {
    /// Sends a request about the app. Gives what the app was, and the answer.
    pub(super) fn call(&self, context: &Context, verb: &str, mut request: Value) -> Result<(Found, Value), Failure> {
        let by_name = self.by_name.clone().map(Target::App);
        let target = self.target.clone().or(by_name).expect("clap asks for one of the two");
        let mut found = data::find(context, &target, &self.node)?;
        request["verb"] = json!(verb);
        request["app"] = json!(found.app);
        request["lock_timeout"] = json!(self.patience.lock_timeout);
        let app = found.app.clone();
        let answer = context.call_recorded(&mut found.remote, verb, Some(&app), request)?;
        context.ui.event(&answer);
        Ok((found, answer))
    }
}

pub(super) fn run(context: &Context, args: Disable) -> Result<(), Failure> {
    let (found, answer) = args.which.call(context, "disable", json!({"allow": args.allow}))?;
    let allowed = words(&answer["disabled"]["allow"]);
    let but = if allowed.is_empty() { String::new() } else { format!(", but to {allowed}") };
    context.ui.line(format!("{} is disabled: it answers 503{but}", found.app));
    context.ui.line(format!("  cloudtool enable {} brings it back", found.app));
    Ok(())
}
